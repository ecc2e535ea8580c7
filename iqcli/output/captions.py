"""What the review says of photos, as `Content`: text and never markup, whatever names hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from iqcli.output.review_state import Shelf
from iqcli.output.rows import row
from iqcli.output.table import bar, colour, in_words
from iqcli.records import Verdict
from iqcli.text import readable

if TYPE_CHECKING:
    from iqcli.output.review_state import Choices
    from iqcli.records import Decision

MARKS = {Verdict.KEEP: "✔", Verdict.REVIEW: "·", Verdict.REJECT: "✘"}
STYLES = {Verdict.KEEP: "$success", Verdict.REVIEW: "$warning", Verdict.REJECT: "$error"}
# The names that the tables have for colours, as this screen's theme has them.
THEME = {"green": "$text-success", "yellow": "$text-warning", "red": "$text-error"}
WORDS = {Verdict.KEEP: "keep", Verdict.REVIEW: "undecided", Verdict.REJECT: "reject"}
HELP = """\
P          keep it
X          reject it
U          leave it undecided
Z          the sharpest spot, pixel by pixel, and back

↑ ↓  J K   the photo before, the next
Tab        undecided, rejects, kept, all
Backspace  take the last choice back (also Ctrl+Z)

Enter, Q   done: on to the plan, and to --apply
Esc        leave, and change nothing

Nothing moves while you look."""
UNREAD = """\
It could not be read, so it cannot be rejected.

Any key  go on"""
LEAVE = """\
Leave, and forget what you chose here?

Y  leave      any other key  stay"""


def counts_line(choices: Choices, shelf: Shelf) -> Content:
    """The line above all: how many photos stand on each shelf."""
    parts: list[tuple[str, str] | str] = [("iq review", "bold"), "   "]
    for each in Shelf:
        style = "bold reverse" if each is shelf else "dim"
        parts += [(f" {each.value} {len(choices.on(each)):,} ", style), " "]
    return Content.assemble(*parts)


def list_line(decision: Decision) -> Content:
    """A photo in the list: what becomes of it, its score and its name."""
    judged = decision.judged
    score = judged.rating.score if judged.rating else None
    told = (f"{score:4.1f}", THEME[colour(score)]) if score is not None else ("   –", "dim")
    mark = (f"{MARKS[decision.verdict]} ", f"bold {STYLES[decision.verdict]}")
    return Content.assemble(mark, told, f"  {readable(judged.shot.path.name)}")


def caption(decision: Decision) -> Content:
    """Verdict and why, name, score and faults, then when and by what it was taken."""
    told = row(decision.judged)
    verdict = (WORDS[decision.verdict], f"bold {STYLES[decision.verdict]}")
    lines = [Content.assemble(verdict, ("  " + "; ".join(decision.reasons), "dim"))]
    lines.append(Content.styled(told["path"], "bold"))
    if (score := told["score"]) is not None:
        unsure = "" if told["uncertainty"] is None else f" ± {told['uncertainty']:.1f}"
        faults = f"   {in_words(told['issues'])}" if told["issues"] else ""
        graded = (f"{score:.1f} {bar(score)}", THEME[colour(score)])
        lines.append(Content.assemble(graded, (unsure, "dim"), (faults, THEME["yellow"])))
    elif told["error"]:
        lines.append(Content.styled(readable(told["error"]), THEME["red"]))
    size = told["width"] and f"{told['width']} x {told['height']}"
    facts = (told["taken"], told["camera"], size, told["group"], told["scene"])
    lines.append(Content.styled(", ".join(each for each in facts if each), "dim"))
    return Content("\n").join(lines)
