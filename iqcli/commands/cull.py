"""`iq cull`: show which photos a rule rejects, and move them only when told to."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from iqcli.commands.options import Format, Nul, a_share, over_photos
from iqcli.commands.results import checked_format, render
from iqcli.commands.run import Run
from iqcli.commands.screen import counted, say
from iqcli.culling import apply as moving
from iqcli.culling import choose, plan
from iqcli.errors import Exit, IqError
from iqcli.outputs.names import shown
from iqcli.records import Decision, Verdict

COLUMNS = ("score", "uncertainty", "issues", "reasons", "path")


@over_photos
def cull(
    run: Run,
    below: Annotated[
        float | None, typer.Option("--below", help="Reject what scores less.", metavar="SCORE")
    ] = None,
    worst: Annotated[
        float | None,
        typer.Option("--worst", help="Reject this share, the worst.", parser=a_share, metavar="P%"),
    ] = None,
    promise: Annotated[
        float | None,
        typer.Option(
            "--promise",
            help="Reject what it can while at most this share of it is good.",
            parser=a_share,
            metavar="P%",
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it: move the rejects.")] = False,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Write the plan to this file.", metavar="FILE")
    ] = None,
    from_plan: Annotated[
        Path | None,
        typer.Option("--from-plan", help="Take the plan from this file.", metavar="FILE"),
    ] = None,
    max_reject: Annotated[
        float | None,
        typer.Option(help="Stop a plan that rejects more [50%].", parser=a_share, metavar="P%"),
    ] = None,
    include_rated: Annotated[
        bool, typer.Option("--include-rated", help="Do not protect photos that have stars.")
    ] = False,
    format: Format = None,
    print0: Nul = False,
) -> Exit:
    """Show or move what a rule rejects.

    Without a rule, what the model is sure that people would rate under the middle of the scale.

    With --apply the rejects move to _Rejected/ in the folder that was given.

    Nothing is deleted or overwritten, and `iq undo` puts everything back.
    """
    form = checked_format(format or run.settings.format, nul=print0)
    if from_plan is not None:
        if run.given or plan_file or any(each is not None for each in (below, worst, promise)):
            raise IqError("a plan has its own photos and rule; give --from-plan alone")
        return _from_plan(from_plan, run, apply=apply)
    rule, grounds = _grounded(choose.Rule(below, worst, promise), run)
    if apply:
        roots = [path if path.is_dir() else path.parent for path in run.paths]
        _take_back_cut_off(run, roots)
    decisions = choose.decide(list(run.judged()), rule, include_rated)
    choose.check_share(decisions, run.settings.max_reject if max_reject is None else max_reject)
    made = plan.make(decisions, str(rule), run.settings.model)
    with suppress(SystemExit):  # a reader that went away must not stop what was asked for
        _show(decisions, form, nul=print0)
    if plan_file is not None:
        plan.save(made, plan_file)
        if not run.quiet:
            where = shown(plan_file)
            say(f"the plan is in {where}; `iq cull --from-plan FILE --apply` carries it out")
    code = run.finish()
    if not run.quiet:
        for line in (_summary(decisions), *grounds):
            say(line)
    return max(_carry_out(made, run, apply=apply), code)


def _grounded(rule: choose.Rule, run: Run) -> tuple[choose.Rule, tuple[str, ...]]:
    """The rule ready to decide, and what there is to say of it."""
    if not rule.rests_on_experience:
        return rule, ()
    from iqcli.culling.promise import settled
    from iqcli.models.registry import load

    return settled(rule, load(run.settings.model).experience)


def _from_plan(file: Path, run: Run, *, apply: bool) -> Exit:
    made = plan.load(file)
    if apply:
        _take_back_cut_off(run, made.roots)
    return _carry_out(made, run, apply=apply)


def _take_back_cut_off(run: Run, roots: Iterable[Path]) -> None:
    for outcome in moving.recover(roots, run.settings.state_dir):
        say(f"run {outcome.of} had been cut off; its {counted(outcome.shots, 'photo')} went back")


def _show(decisions: list[Decision], form: str, *, nul: bool) -> None:
    """Tables and paths show the rejects; the other formats show every decision."""
    wanted = [
        (each.judged, {"decision": each.verdict.value, "reasons": each.reasons})
        for each in decisions
        if form not in ("table", "paths") or each.verdict is Verdict.REJECT
    ]
    render(wanted, form, COLUMNS, nul=nul)


def _summary(decisions: list[Decision]) -> str:
    counts = {v: sum(each.verdict is v for each in decisions) for v in Verdict}
    return ", ".join(f"{verdict.value} {count:,}" for verdict, count in counts.items())


def _carry_out(made: plan.Plan, run: Run, *, apply: bool) -> Exit:
    what = f"{counted(len(made.shots), 'photo')} ({counted(made.files, 'file')})"
    if not made.shots:
        told = "no photo is rejected; nothing has moved"
    elif not apply:
        told = f"{what} would move; nothing has moved yet, give --apply to do it"
    else:
        done = moving.apply(made, run.settings.state_dir)
        where = ", ".join(shown(folder) for folder in done.rejects)
        told = f"moved {what} to {where}; `iq undo` puts them back (run {done.run})"
    if not run.quiet:
        say(told)
    return Exit.DONE
