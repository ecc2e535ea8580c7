"""The review: a full screen with the list of photos, the picture and the reasons to decide.

Names and tags reach the screen as `Content`, which is text and never markup.
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

from iqcli import interrupts
from iqcli.output.review_state import Choices, ReviewList
from iqcli.output.rows import row
from iqcli.output.table import bar, colour, describe_issues
from iqcli.output.terminal_images import decode_thumbnail
from iqcli.records import Verdict
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual_image.widget import AutoImage, HalfcellImage, SixelImage

    from iqcli.output.terminal_images import Renderer
    from iqcli.records import Decision

    ImageWidget = type[AutoImage | HalfcellImage | SixelImage]
    GetThumbnail = Callable[[str | None, str], bytes | None]

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

A, Enter   accept: on to the plan, and to --apply
Q, Esc     quit, and apply nothing

Nothing moves while you look."""
UNREAD = """\
It could not be read, so it cannot be rejected.

Any key  go on"""
LEAVE = """\
Quit, apply nothing and forget what you chose here?

Y, Q  quit      any other key  stay"""


def counts_line(choices: Choices, current: ReviewList) -> Content:
    """The line at the top: how many photos each list has."""
    parts: list[tuple[str, str] | str] = [("iq review", "bold"), "   "]
    for each in ReviewList:
        style = "bold reverse" if each is current else "dim"
        parts += [(f" {each.value} {len(choices.listed(each)):,} ", style), " "]
    return Content.assemble(*parts)


def list_line(decision: Decision) -> Content:
    """A photo in the list: what becomes of it, its score and its name."""
    photo = decision.photo
    score = photo.rating.score if photo.rating else None
    scored = (f"{score:4.1f}", THEME[colour(score)]) if score is not None else ("   –", "dim")
    mark = (f"{MARKS[decision.verdict]} ", f"bold {STYLES[decision.verdict]}")
    return Content.assemble(mark, scored, f"  {escape(photo.shot.path.name)}")


def caption(decision: Decision) -> Content:
    """Verdict and reasons, path, score and issues, then time, camera, size, group and scene."""
    known = row(decision.photo)
    verdict = (WORDS[decision.verdict], f"bold {STYLES[decision.verdict]}")
    lines = [Content.assemble(verdict, ("  " + "; ".join(decision.reasons), "dim"))]
    lines.append(Content.styled(known["path"], "bold"))
    if (score := known["score"]) is not None:
        unsure = "" if known["uncertainty"] is None else f" ± {known['uncertainty']:.1f}"
        faults = f"   {describe_issues(known['issues'])}" if known["issues"] else ""
        graded = (f"{score:.1f} {bar(score)}", THEME[colour(score)])
        lines.append(Content.assemble(graded, (unsure, "dim"), (faults, THEME["yellow"])))
    elif known["error"]:
        lines.append(Content.styled(escape(known["error"]), THEME["red"]))
    size = known["width"] and f"{known['width']} x {known['height']}"
    facts = (known["taken"], known["camera"], size, known["group"], known["scene"])
    lines.append(Content.styled(", ".join(each for each in facts if each), "dim"))
    return Content("\n").join(lines)


def image_widget(renderer: Renderer) -> ImageWidget:
    """The widget that draws as `renderer` does."""
    from textual_image import widget

    return widget.HalfcellImage if renderer.__module__.endswith("halfcell") else widget.Image


class PhotoList(OptionList, inherit_bindings=False):
    """The list. The keys that end the review, or go to the next photo, are not its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        each
        for each in OptionList.BINDINGS
        if isinstance(each, Binding) and each.key not in ("enter", "up", "down")
    ]


class Message(ModalScreen[bool]):
    """Some lines over the screen; the result is whether the key that closes them is Y or Q."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(Content(self._text), id="note")

    def on_key(self, event: Key) -> None:
        """Any key ends it, and does nothing else."""
        event.stop()
        event.prevent_default()
        self.dismiss(event.key in ("y", "Y", "q", "Q"))


class LightTable(Screen[None]):
    """The screen on which a person decides."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,P", "choose('keep')", "keep", key_display="P"),
        Binding("x,X", "choose('reject')", "reject", key_display="X"),
        Binding("u,U", "choose('review')", "undecided", key_display="U"),
        Binding("z,Z,space", "zoom", "closer", key_display="Z"),
        Binding("backspace,ctrl+z", "undo", "take back", key_display="⌫"),
        Binding("tab", "list(1)", "list", key_display="Tab"),
        Binding("shift+tab", "list(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("a,A,enter", "accept", "accept", key_display="A"),
        Binding("q,Q,escape", "leave", "quit", key_display="Q"),
        Binding("question_mark,f1", "help", "help", key_display="?"),
    ]

    def __init__(self, choices: Choices, thumbnail: GetThumbnail, picture: ImageWidget) -> None:
        super().__init__()
        self._choices = choices
        self._thumbnail = thumbnail
        self._picture = picture
        self._current = (
            ReviewList.UNDECIDED if choices.listed(ReviewList.UNDECIDED) else ReviewList.ALL
        )
        self._listed: list[int] = []
        self._seen = 0
        self._close = False

    def compose(self) -> ComposeResult:
        """The counts above, the list at the left, the photo and its caption at the right."""
        yield Static(id="counts")
        with Horizontal():
            yield PhotoList(id="list", markup=False, compact=True)
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
        """The photo that is shown, by index."""
        place = self._list.highlighted
        return None if place is None or not self._listed else self._listed[place]

    def _fill(self, index: int = 0) -> None:
        """List the photos of the current list, at this one or at the one that follows it."""
        self._listed = self._choices.listed(self._current)
        self._list.set_options(Option(list_line(self._choices[i])) for i in self._listed)
        if self._listed:
            place = bisect_left(self._listed, index)
            self._list.highlighted = min(place, len(self._listed) - 1)
        self._list.focus()
        self._update()

    def _update(self) -> None:
        self.query_one("#counts", Static).update(counts_line(self._choices, self._current))
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
        image = decode_thumbnail(self._thumbnail(decision.photo.sha256, name))
        picture.image = image and image.convert("RGB")  # type: ignore[attr-defined]
        about.update(caption(decision))

    def action_choose(self, verdict: str) -> None:
        """Decide on this photo and go on to the next."""
        if (at := self._at) is None:
            return
        if not self._choices.choose(at, Verdict(verdict)):
            self.app.push_screen(Message(UNREAD))
            return
        self._update_line(at)
        self.action_move(1)
        self._update()

    def _update_line(self, index: int) -> None:
        place = self._listed.index(index)
        self._list.replace_option_prompt_at_index(place, list_line(self._choices[index]))

    def action_move(self, step: int) -> None:
        """To another photo, as far as the list goes."""
        if (place := self._list.highlighted) is not None:
            self._list.highlighted = min(max(place + step, 0), len(self._listed) - 1)

    def action_undo(self) -> None:
        """Undo the last choice, and show that photo again."""
        if (index := self._choices.undo()) is None:
            return
        if index not in self._listed:
            self._current = ReviewList.ALL
            return self._fill(index)
        self._update_line(index)
        self._list.highlighted = self._listed.index(index)
        self._update()

    def action_list(self, step: int) -> None:
        """The next list that holds photos, at the photo shown if it is there."""
        lists = list(ReviewList)[::step]
        at = lists.index(self._current) + 1
        after = [each for each in (*lists[at:], *lists[:at]) if self._choices.listed(each)]
        self._current = after[0] if after else self._current
        self._fill(self._seen)

    def action_zoom(self) -> None:
        """Between the whole photo and its sharpest spot."""
        self._close = not self._close
        self._show()

    def action_help(self) -> None:
        """What the keys do."""
        self.app.push_screen(Message(HELP))

    def action_accept(self) -> None:
        """End the review, with the decisions."""
        self.app.exit(self._choices.decisions)

    def action_leave(self) -> None:
        """Ask first, where there is something to lose."""
        if self._choices.changed:
            self.app.push_screen(Message(LEAVE), lambda sure: self.app.exit(None) if sure else None)
        else:
            self.app.exit(None)


class Review(App["list[Decision] | None"]):
    """The program on the screen; it returns the decisions, None if a person left."""

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
    Message { align: center middle; }
    #note { width: auto; max-width: 80%; height: auto; padding: 1 3; border: round $accent;
            background: $panel; }
    """

    def __init__(
        self, decisions: Sequence[Decision], thumbnail: GetThumbnail, picture: ImageWidget
    ) -> None:
        super().__init__()
        self._opening = LightTable(Choices(decisions), thumbnail, picture)

    def on_mount(self) -> None:
        """Show the table. Signals that end programs leave it, with the terminal as it was."""
        loop = asyncio.get_running_loop()
        for name in interrupts.NAMES:
            with suppress(NotImplementedError):  # not on Windows
                number = getattr(signal, name)
                loop.add_signal_handler(number, self._end, number)
        self.push_screen(self._opening)

    def _end(self, number: int) -> None:
        interrupts.note(number)
        self.exit()

    def action_leave(self) -> None:
        """As Esc does; the second time leave without a question."""
        if self.screen is self._opening:
            self._opening.action_leave()
        else:
            self.exit(None)
