"""A full screen on which a person looks at photos and decides: the list, the picture, the why.

Names and tags reach the screen as `Content`, which is text and never markup.

What the review says of photos, as `Content`: text and never markup, whatever names hold.
"""

from __future__ import annotations

import asyncio
import signal
from bisect import bisect_left
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding
from textual.containers import Center, Horizontal, Middle, Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from iqcli.output.review_state import Choices, Shelf
from iqcli.output.rows import row
from iqcli.output.table import bar, colour, in_words
from iqcli.output.terminal_images import opened
from iqcli.records import Verdict
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual_image.widget import AutoImage, HalfcellImage, SixelImage

    from iqcli.output.terminal_images import Drawn
    from iqcli.records import Decision

    Picture = type[AutoImage | HalfcellImage | SixelImage]
    Looking = Callable[[str | None, str], bytes | None]
    from iqcli.output.review_state import Choices

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
    judged = decision.photo
    score = judged.rating.score if judged.rating else None
    told = (f"{score:4.1f}", THEME[colour(score)]) if score is not None else ("   –", "dim")
    mark = (f"{MARKS[decision.verdict]} ", f"bold {STYLES[decision.verdict]}")
    return Content.assemble(mark, told, f"  {escape(judged.shot.path.name)}")


def caption(decision: Decision) -> Content:
    """Verdict and why, name, score and faults, then when and by what it was taken."""
    told = row(decision.photo)
    verdict = (WORDS[decision.verdict], f"bold {STYLES[decision.verdict]}")
    lines = [Content.assemble(verdict, ("  " + "; ".join(decision.reasons), "dim"))]
    lines.append(Content.styled(told["path"], "bold"))
    if (score := told["score"]) is not None:
        unsure = "" if told["uncertainty"] is None else f" ± {told['uncertainty']:.1f}"
        faults = f"   {in_words(told['issues'])}" if told["issues"] else ""
        graded = (f"{score:.1f} {bar(score)}", THEME[colour(score)])
        lines.append(Content.assemble(graded, (unsure, "dim"), (faults, THEME["yellow"])))
    elif told["error"]:
        lines.append(Content.styled(escape(told["error"]), THEME["red"]))
    size = told["width"] and f"{told['width']} x {told['height']}"
    facts = (told["taken"], told["camera"], size, told["group"], told["scene"])
    lines.append(Content.styled(", ".join(each for each in facts if each), "dim"))
    return Content("\n").join(lines)


def picture_for(drawn: Drawn) -> Picture:
    """The widget that draws as `preview.brush` found."""
    from textual_image import widget

    return widget.HalfcellImage if drawn.__module__.endswith("halfcell") else widget.Image


class Names(OptionList, inherit_bindings=False):
    """The list. The keys that end the review, or go to the next photo, are not its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        each
        for each in OptionList.BINDINGS
        if isinstance(each, Binding) and each.key not in ("enter", "up", "down")
    ]


class Note(ModalScreen[bool]):
    """Some lines over the screen; the key that ends them is told to whoever asked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(Content(self._text), id="note")

    def on_key(self, event: Key) -> None:
        """Any key ends it, and does nothing else."""
        event.stop()
        event.prevent_default()
        self.dismiss(event.key in ("y", "Y"))


class Table(Screen[None]):
    """The light table itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,P", "choose('keep')", "keep", key_display="P"),
        Binding("x,X", "choose('reject')", "reject", key_display="X"),
        Binding("u,U", "choose('review')", "undecided", key_display="U"),
        Binding("z,Z,space", "zoom", "closer", key_display="Z"),
        Binding("backspace,ctrl+z", "undo", "take back", key_display="⌫"),
        Binding("tab", "shelf(1)", "list", key_display="Tab"),
        Binding("shift+tab", "shelf(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter,q,Q", "done", "done", key_display="Enter"),
        Binding("escape", "leave", "leave", key_display="Esc"),
        Binding("question_mark,f1", "help", "help", key_display="?"),
    ]

    def __init__(self, choices: Choices, looking: Looking, picture: Picture) -> None:
        super().__init__()
        self._choices = choices
        self._looking = looking
        self._picture = picture
        self._shelf = Shelf.UNDECIDED if choices.on(Shelf.UNDECIDED) else Shelf.ALL
        self._listed: list[int] = []
        self._seen = 0
        self._close = False

    def compose(self) -> ComposeResult:
        """The counts above, the list at the left, the photo and what is said of it at the right."""
        yield Static(id="counts")
        with Horizontal():
            yield Names(id="list", markup=False, compact=True)
            with Vertical(id="photo"):
                with Middle(), Center():
                    yield self._picture(id="picture")
                yield Static(id="about")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Fill the list for the first time."""
        self._fill()

    @property
    def _list(self) -> OptionList:
        return self.query_one("#list", OptionList)

    @property
    def _at(self) -> int | None:
        """The photo that is looked at, by index."""
        place = self._list.highlighted
        return None if place is None or not self._listed else self._listed[place]

    def _fill(self, index: int = 0) -> None:
        """List the photos of the shelf, and look at this one, or at what follows it."""
        self._listed = self._choices.on(self._shelf)
        self._list.set_options(Option(list_line(self._choices[i])) for i in self._listed)
        if self._listed:
            place = bisect_left(self._listed, index)
            self._list.highlighted = min(place, len(self._listed) - 1)
        self._list.focus()
        self._tell()

    def _tell(self) -> None:
        self.query_one("#counts", Static).update(counts_line(self._choices, self._shelf))
        self._show()

    @on(OptionList.OptionHighlighted)
    def _show(self) -> None:
        picture, about = self.query_one("#picture"), self.query_one("#about", Static)
        at = self._at
        if at is None:
            picture.image = None  # type: ignore[attr-defined]
            about.update(Content("There is no photo here."))
            return
        self._seen, decision = at, self._choices[at]
        name = "crop" if self._close else "thumb"
        image = opened(self._looking(decision.photo.sha256, name))
        picture.image = image and image.convert("RGB")  # type: ignore[attr-defined]
        about.update(caption(decision))

    def action_choose(self, verdict: str) -> None:
        """Decide on this photo and go on to the next."""
        if (at := self._at) is None:
            return
        if not self._choices.choose(at, Verdict(verdict)):
            self.app.push_screen(Note(UNREAD))
            return
        self._relined(at)
        self.action_move(1)
        self._tell()

    def _relined(self, index: int) -> None:
        place = self._listed.index(index)
        self._list.replace_option_prompt_at_index(place, list_line(self._choices[index]))

    def action_move(self, step: int) -> None:
        """To another photo, as far as the list goes."""
        if (place := self._list.highlighted) is not None:
            self._list.highlighted = min(max(place + step, 0), len(self._listed) - 1)

    def action_undo(self) -> None:
        """Take the last choice back, and look at that photo again."""
        if (index := self._choices.undo()) is None:
            return
        if index not in self._listed:
            self._shelf = Shelf.ALL
            return self._fill(index)
        self._relined(index)
        self._list.highlighted = self._listed.index(index)
        self._tell()

    def action_shelf(self, step: int) -> None:
        """The next list that holds photos, at the one that is looked at if it is there."""
        shelves = list(Shelf)[::step]
        at = shelves.index(self._shelf) + 1
        after = [each for each in (*shelves[at:], *shelves[:at]) if self._choices.on(each)]
        self._shelf = after[0] if after else self._shelf
        self._fill(self._seen)

    def action_zoom(self) -> None:
        """Between the whole photo and its sharpest spot."""
        self._close = not self._close
        self._show()

    def action_help(self) -> None:
        """What the keys do."""
        self.app.push_screen(Note(HELP))

    def action_done(self) -> None:
        """On to the plan."""
        self.app.exit(self._choices.decisions)

    def action_leave(self) -> None:
        """Ask first, where there is something to lose."""
        if self._choices.changed:
            self.app.push_screen(Note(LEAVE), lambda sure: self.app.exit(None) if sure else None)
        else:
            self.app.exit(None)


class Review(App["list[Decision] | None"]):
    """The program on the screen; what it returns are the decisions, None if a person left."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", show=False, priority=True)
    ]
    CSS = """
    #counts { height: 1; padding: 0 1; background: $panel; }
    #list { width: 34%; min-width: 26; max-width: 60; height: 1fr; text-wrap: nowrap;
            text-overflow: ellipsis; }
    #list > .option-list--option-highlighted { background: $primary-muted; color: $foreground; }
    #photo { width: 1fr; padding: 0 1; }
    #photo Middle { height: 1fr; }
    #picture { width: auto; height: auto; }
    #about { height: auto; min-height: 4; max-height: 8; }
    Note { align: center middle; }
    #note { width: auto; max-width: 80%; height: auto; padding: 1 3; border: round $accent;
            background: $panel; }
    """

    def __init__(self, decisions: Sequence[Decision], looking: Looking, picture: Picture) -> None:
        super().__init__()
        self._opening = Table(Choices(decisions), looking, picture)

    def on_mount(self) -> None:
        """Show the table. What ends other programs leaves it, and the terminal as it was."""
        for name in ("SIGTERM", "SIGHUP"):
            with suppress(AttributeError, NotImplementedError):  # not on Windows
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), self.exit)
        self.push_screen(self._opening)

    def action_leave(self) -> None:
        """As Esc does; a second time, whatever is asked, leave."""
        if self.screen is self._opening:
            self._opening.action_leave()
        else:
            self.exit(None)
