"""All that a person asks of a cull, beside the photos.

Which rule a cull follows: that of the command line, or that of the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iqcli.cli.options import start_folder
from iqcli.cli.output import choose_format
from iqcli.culling.planner import check_name
from iqcli.culling.rules import Quota, Rule
from iqcli.errors import IqError
from iqcli.settings import DEFAULT, load_with_origins
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.cli.commands.cull.execute import Deed
    from iqcli.cli.session import Session
    from iqcli.culling.rules import Protection
    from iqcli.records import Decision
    from iqcli.settings import Settings


@dataclass(frozen=True)
class Wish:
    """The options as they were given; None is "not given".

    `rule` is by the names of `ruling.PARTS`. `review` and `html` are looks at the decisions.
    """

    rule: Mapping[str, Any]
    protect: Protection
    max_reject: float | None
    review: bool
    html: Path | None
    plan_file: Path | None
    action: str | None
    deed: Deed
    format: str | None
    nul: bool

    def form(self, action: Action, settings: Settings) -> str:
        """How the decisions are shown: a list is one of paths.

        Raises IqError for a format that is none, or goes with neither the action nor `--print0`.
        """
        if action is not Action.LIST:
            return choose_format(self.format, settings, nul=self.nul)
        if self.format not in (None, "paths"):
            raise IqError("--action list prints paths; leave --format out")
        return "paths"

    def check(self) -> None:
        """Refuse before anything is measured a look or a plan that cannot be had. Raises IqError.

        What a person decides on a look must not be lost because its plan cannot be written.
        """
        if self.plan_file is not None:
            check_name(self.plan_file)
        if self.html is not None:
            from iqcli.cli.commands.contact_sheet import check_sheet

            check_sheet(self.html)
        if self.review:
            from iqcli.cli.commands.cull.review import picture

            picture()

    @property
    def binds(self) -> bool:
        """Whether more comes of it than a look at what the rule says."""
        return self.keeps or self.review

    @property
    def keeps(self) -> bool:
        """Whether the decisions outlive the run."""
        return self.deed.acts or self.plan_file is not None

    def check_share(self, decisions: Sequence[Decision], settings: Settings) -> None:
        """Refuse a rule that rejects a larger share than is allowed. Raises IqError."""
        from iqcli.culling.decide import check_share

        largest = settings.max_reject if self.max_reject is None else self.max_reject
        check_share(decisions, largest)


PARTS = ("below", "worst", "promise", "keep", "per", "margin")


def chosen(given: Mapping[str, Any], session: Session) -> tuple[Rule, tuple[str, ...]]:
    """The rule, and what there is to say of it if the settings had a part in it.

    `given` holds what the command line says of `PARTS`, None for nothing. A rule on it puts that of
    the settings aside; `per` and `margin` of the settings are for whatever rule they go with.
    """
    settings, origins = load_with_origins(given, start_folder(list(session.given)))
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


def grounded(rule: Rule, session: Session) -> tuple[Rule, tuple[str, ...]]:
    """The rule ready to decide, and what there is to say of how it did elsewhere.

    Raises IqError where the model cannot follow it.
    """
    if not rule.rests_on_experience:
        return rule, ()
    from iqcli.culling.risk_control import with_risk_limit

    return with_risk_limit(rule, session.model.holdout)
