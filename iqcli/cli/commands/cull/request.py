"""What a person asks of a cull: the options, parsed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iqcli.cli.commands import xmp as sidecars
from iqcli.cli.output import choose_format
from iqcli.culling.planner import check_name
from iqcli.culling.rules import Quota, Rule
from iqcli.errors import IqError
from iqcli.settings import DEFAULT, RULE, checked
from iqcli.text import meant
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.cli.session import Session
    from iqcli.culling.rules import Protection
    from iqcli.settings import Settings

# The options that make the rule.
PARTS = (*RULE, "per", "margin")


@dataclass(frozen=True)
class CullAction:
    """What becomes of the rejects; `named` if a person named the kind.

    With a `profile`, XMP with all decisions is written first: `stars` says how scores become stars;
    with `embed` it is written into the photos, too.
    """

    kind: Action
    named: bool = False
    apply: bool = False
    profile: str | None = None
    stars: str = ""
    embed: bool = False

    @classmethod
    def parse(
        cls,
        session: Session,
        name: str | None,
        profile: str | None,
        stars: str | None,
        *,
        apply: bool,
        xmp: bool,
        embed: bool,
    ) -> CullAction:
        """The action of these options. Raises IqError where they do not go together."""
        if name is not None and name not in tuple(Action):
            near = meant(name, Action)
            raise IqError(f"--action is {name!r}{near}; give one of {', '.join(Action)}")
        kind = Action(name or Action.MOVE)
        if xmp and kind is Action.LIST:
            raise IqError("--action list touches nothing; leave --xmp out")
        profile, stars = sidecars.choose_xmp(session, profile, stars, xmp=xmp, embed=embed)
        return cls(kind, name is not None, apply, profile if xmp else None, stars, embed)

    @property
    def acts(self) -> bool:
        """Whether anything is done beside showing; a list never touches a photo."""
        return self.apply and self.kind is not Action.LIST


@dataclass(frozen=True)
class CullRequest:
    """A cull by a rule, or from the file `source`: a plan, or decisions of the contact sheet.

    `review` and `html` are looks at the decisions; `max_reject` is None where it was not given;
    only what is applied is held to it.
    """

    rule: Rule
    protection: Protection
    action: CullAction
    max_reject: float | None = None
    review: bool = False
    html: Path | None = None
    plan_file: Path | None = None
    source: Path | None = None
    format: str | None = None
    nul: bool = False

    def output_format(self, action: Action, settings: Settings) -> str:
        """How the decisions are shown: a list is one of paths.

        Raises IqError for a format that is none, or goes with neither the action nor `--print0`.
        """
        if action is not Action.LIST:
            return choose_format(self.format, settings, nul=self.nul)
        if self.format not in (None, "paths"):
            raise IqError("--action list prints paths; leave --format out")
        return "paths"

    def check(self) -> None:
        """Refuse a look or a plan that is not possible, before anything is measured.

        What a person decides on a look must not be lost because its plan cannot be written. Raises
        IqError.
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
    def keeps(self) -> bool:
        """Whether the decisions outlive the run."""
        return self.action.acts or self.plan_file is not None

    @property
    def writes(self) -> bool:
        """Whether files beside the photos are to change, now or by the plan."""
        return self.action.acts or (self.keeps and self.action.kind is not Action.LIST)

    def most_rejects(self, settings: Settings) -> float:
        """The share (0..1) of the photos that a rule may reject where the cull is applied."""
        return settings.max_reject if self.max_reject is None else self.max_reject


def parse_rule(given: Mapping[str, Any], session: Session) -> tuple[Rule, tuple[str, ...]]:
    """The rule, and the line about it if the settings had a part in it.

    `given` holds what the command line gives of `PARTS`, None for nothing. A rule on it replaces
    that of the settings; `per` and `margin` of the settings belong to whatever rule they go with.
    Raises IqError for values out of range.
    """
    given = {
        name: None if value is None else checked(name, value, f"--{name}")
        for name, value in given.items()
    }
    own_rule = any(given[name] is not None for name in RULE)
    parts: dict[str, Any] = {
        name: None if own_rule and name in RULE else getattr(session.settings, name)
        for name in PARTS
    } | {name: value for name, value in given.items() if value is not None}
    if parts["keep"] is None and given["margin"] is None:
        del parts["margin"]
    if parts["keep"] is None and parts["worst"] is None and given["per"] is None:
        del parts["per"]
    quotas = {name: Quota.parse(parts[name]) for name in ("worst", "keep") if parts[name]}
    rule = Rule(**parts | quotas | {"duplicates": bool(parts["duplicates"])})
    origins = session.origins
    taken = [
        name
        for name in parts
        if given[name] is None
        and not (own_rule and name in RULE)
        and origins.get(name, DEFAULT) != DEFAULT
    ]
    if not taken:
        return rule, ()
    sources = ", ".join(f"{name} from {origins[name]}" for name in taken)
    return rule, (f"the rule is {rule} ({sources})",)
