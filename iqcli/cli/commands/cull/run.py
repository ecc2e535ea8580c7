"""One cull: decisions of a rule or from a file are shown, counted and carried out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.cli.commands.cull import execute, report
from iqcli.cli.console import confirmed, counted, info, warn
from iqcli.culling import planner
from iqcli.errors import Exit, IqError
from iqcli.fs.other_programs import refuse_to_write
from iqcli.records import BY_HAND, Decision, Photo, Rating, Shot, Verdict
from iqcli.text import display_path
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iqcli.cli.commands.cull.request import CullAction, CullRequest
    from iqcli.cli.session import Session
    from iqcli.culling.decide import RejectShare
    from iqcli.pipeline.thumbnails import ThumbnailStore
    from iqcli.settings import Settings
    from iqcli.transactions.plan import Plan, PlannedShot

# The rule of a plan of decisions that a person took.
RULE = "by hand"
FROM_BEFORE = (
    "{} measured by an earlier version: cropped copies are not found among them; `iq cache clear` "
    "has them measured anew"
)


@dataclass(frozen=True)
class Decided:
    """Decisions, and what is known with them.

    `plan` is the one that they were loaded from; `before` and `after` are the lines that a person
    reads around the counts, None where no counts are shown.
    """

    decisions: list[Decision]
    action: CullAction
    rule: str = RULE
    plan: Plan | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] | None = ()


def cull(session: Session, request: CullRequest, notes: tuple[str, ...] = ()) -> Exit:
    """Show the decisions, and carry them out if the request asks for it.

    What is only shown or saved may reject any share. `notes` are about the rule. Raises IqError
    like its parts, PlanConflict where a file does not fit the disk.
    """
    by_rule = request.source is None
    form = request.output_format(request.action.kind, session.settings) if by_rule else ""
    found = decide(session, request, notes) if by_rule else load(session, request)
    form = form or request.output_format(found.action.kind, session.settings)
    share, most = _guard(found, request, session.settings)
    if found.action.acts:
        share.check(most)
    plan = found.plan or execute.make_plan(
        session,
        found.decisions,
        found.rule,
        found.action,
        kept=request.plan_file is not None,
        judged=share.judged,
        max_reject=most,
    )
    report.show(found.decisions, form, nul=request.nul)
    if plan and request.plan_file:
        execute.save(plan, request.plan_file, session)
    code = session.report() if by_rule else Exit.DONE
    if not session.quiet:
        for line in _lines(found, share, most):
            info(line)
        if by_rule:
            report.warn_of_losses(found.decisions)
    if by_rule and not request.keeps and any(BY_HAND in each.codes for each in found.decisions):
        warn("what you chose is not kept; give --review with --apply or --plan FILE for that")
    needs = share.way_out if share.is_over(most) else ""
    return max(execute.carry_out(plan, found.decisions, session, found.action, needs), code)


def _lines(found: Decided, share: RejectShare, most: float) -> Iterator[str]:
    """What a person reads beside the decisions, and why applying them needs another option."""
    yield from found.before
    if found.after is not None:
        yield from report.summary(found.decisions)
        yield from found.after
    later = not found.action.acts and found.action.kind is not Action.LIST
    if later and share.is_over(most):
        yield share.words(most)


def decide(session: Session, request: CullRequest, notes: tuple[str, ...]) -> Decided:
    """The decisions of the rule, shown and reviewed where the request asks for it."""
    from iqcli.culling import decide as rules
    from iqcli.culling.grouping.copies import is_half_known, with_copies
    from iqcli.culling.grouping.group import group

    request.check()
    if request.writes:  # not after an hour of measuring
        refuse_to_write(session.folders)
    rule = request.rule
    grounds: tuple[str, ...] = ()
    if rule.needs_holdout:
        from iqcli.culling.risk_control import with_risk_limit

        rule, grounds = with_risk_limit(rule, session.model.holdout)
    if request.action.acts:
        execute.recover(session, session.folders)
    with ExitStack() as stack:
        store = None
        if request.html is not None or request.review:
            from iqcli.pipeline.thumbnails import ThumbnailStore

            store = stack.enter_context(ThumbnailStore())
        found = list(session.photos(grouped=True, store=store))
        photos = group(with_copies(found, request.protection))
        if rule.duplicates and (old := sum(map(is_half_known, photos))):
            grounds = (*grounds, FROM_BEFORE.format(counted(old, "photo")))
        if none_due := rules.describe_none_due(photos, rule):
            grounds = (*grounds, none_due)
        decisions = rules.decide(photos, rule, request.protection)
        if store is not None:
            decisions = _looked_at(session, decisions, store, request)
    return Decided(decisions, request.action, str(rule), before=notes, after=grounds)


def _looked_at(
    session: Session, decisions: list[Decision], store: ThumbnailStore, request: CullRequest
) -> list[Decision]:
    if request.review:
        from iqcli.cli.commands.cull.review import review

        if request.action.acts:  # not after an hour of choosing by hand
            from iqcli.culling.decide import RejectShare

            RejectShare.of(decisions).check(request.most_rejects(session.settings))
        decisions = review(decisions, store)
    if request.html is not None:
        from iqcli.cli.commands.contact_sheet import write_sheet

        write_sheet(session, request.html, decisions, store)
    return decisions


def load(session: Session, request: CullRequest) -> Decided:
    """The decisions of a file: a plan, or what a person decided on the contact sheet.

    Raises IqError for a file that is neither, PlanConflict where it does not fit the disk.
    """
    from iqcli.culling import decisions

    file, action = request.source, request.action
    assert file is not None
    if decisions.is_ours(file):
        if action.acts:
            roots = decisions.roots(file)
            _check_roots(roots, session, request)
            execute.recover(session, roots)
        return Decided(decisions.load(file), action)
    plan = planner.load(file)
    _check(plan, request)
    action = replace(action, kind=plan.action)
    if action.acts:
        _check_roots(plan.roots, session, request)
        execute.recover(session, plan.roots)
    found = [_decision(shot, plan.model) for shot in plan.shots]
    about = f"the plan is of {plan.created}, by {plan.model}: {plan.rule}"
    return Decided(found, action, plan.rule, plan, () if action.apply else (about,), None)


def _check_roots(roots: Iterable[Path], session: Session, request: CullRequest) -> None:
    """See that a person knows what a file changes: it may come from a stranger.

    The folders are below those that are named with it, or else below the current one, or a person
    says yes. Raises IqError.
    """
    assert request.source is not None
    named = [Path(each).resolve() for each in session.given or (".",)]
    for root in sorted(roots):
        if any(root.is_relative_to(each) for each in named):
            continue
        where = "the folders named" if session.given else "the current folder"
        file, folder = display_path(request.source), display_path(root)
        if not confirmed(f"{file} changes {folder}, which is not in {where}. Go on?"):
            raise IqError(
                f"{file} changes {folder}, which is not in {where}; if you trust it, give the "
                f"folder, too: iq cull --from-plan {file} {folder} --apply"
            )


def _check(plan: Plan, request: CullRequest) -> None:
    """Refuse what a plan has settled already. Raises IqError."""
    action = request.action
    if action.named and plan.action is not action.kind:
        raise IqError(f"the plan is to {plan.action}; make another plan to {action.kind}")
    if action.profile is not None:
        raise IqError("a plan holds no photo but the rejects; leave --xmp out, see iq export --xmp")


def _guard(found: Decided, request: CullRequest, settings: Settings) -> tuple[RejectShare, float]:
    """What share of the photos the rule rejects, and the largest that may be applied.

    For a plan that is the share that was allowed when it was made, unless another is given now.
    """
    from iqcli.culling.decide import RejectShare

    plan, given = found.plan, request.max_reject
    if plan is None:
        return RejectShare.of(found.decisions), request.most_rejects(settings)
    judged, most = plan.judged, plan.max_reject if given is None else given
    if most is None:  # a plan of an earlier version, which was refused if it rejected too much
        judged, most = 0, 1.0
    elif judged is None:
        from iqcli.photos.find import find_again

        judged = len(find_again(plan.roots))
    ruled = sum(BY_HAND not in each.codes for each in plan.shots)
    return RejectShare(ruled, max(judged, len(plan.shots))), most


def _decision(shot: PlannedShot, model: str) -> Decision:
    first, *rest = shot.files
    paths = Shot(shot.root, shot.root / first.source, tuple(shot.root / e.source for e in rest))
    rating = None if shot.score is None else Rating(shot.score, None, model)
    photo = Photo(paths, first.sha256, rating=rating)
    return Decision(photo, Verdict.REJECT, shot.reasons, shot.codes)
