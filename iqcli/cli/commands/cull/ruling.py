"""Which rule a cull follows: that of the command line, or that of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqcli.cli.options import start_folder
from iqcli.culling.rules import Quota, Rule
from iqcli.settings import DEFAULT, load_with_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.cli.session import Run

PARTS = ("below", "worst", "promise", "keep", "per", "margin")


def chosen(given: Mapping[str, Any], run: Run) -> tuple[Rule, tuple[str, ...]]:
    """The rule, and what there is to say of it if the settings had a part in it.

    `given` holds what the command line says of `PARTS`, None for nothing. A rule on it puts that of
    the settings aside; `per` and `margin` of the settings are for whatever rule they go with.
    """
    settings, origins = load_with_origins(given, start_folder(list(run.given)))
    parts = {name: getattr(settings, name) for name in PARTS}
    if settings.keep is None and given["margin"] is None:
        del parts["margin"]
    if settings.keep is None and settings.worst is None and given["per"] is None:
        del parts["per"]
    keep = Quota.parse(settings.keep) if settings.keep else None
    rule = Rule(**parts | {"keep": keep})
    taken = [name for name in parts if given[name] is None and origins[name] != DEFAULT]
    if not taken:
        return rule, ()
    sources = ", ".join(f"{name} from {origins[name]}" for name in taken)
    return rule, (f"the rule is {rule} ({sources})",)


def grounded(rule: Rule, run: Run) -> tuple[Rule, tuple[str, ...]]:
    """The rule ready to decide, and what there is to say of how it did elsewhere.

    Raises IqError where the model cannot follow it.
    """
    if not rule.rests_on_experience:
        return rule, ()
    from iqcli.culling.risk_control import settled
    from iqcli.models.registry import load

    return settled(rule, load(run.settings.model).experience)
