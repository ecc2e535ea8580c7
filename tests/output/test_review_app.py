"""The review: what keys do, what is on the screen, and that leaving it changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.images import encoded, scene
from textual_image.widget import HalfcellImage

from iqcli import interrupts
from iqcli.output.review_app import Message, Review
from iqcli.output.review_state import Choices, ReviewList
from iqcli.records import Decision, Facts, Issue, Photo, Rating, Shot, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.cli_runner import Iq
    from textual.pilot import Pilot

pytestmark = pytest.mark.slow

if sys.platform != "win32":
    from support.terminal import terminal

posix = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
KEEP, REVIEW, REJECT = Verdict.KEEP, Verdict.REVIEW, Verdict.REJECT
PICTURE = encoded(scene(96, 64), "WEBP")
MARKUP = "[bold red]x[reverse].jpg"
ESCAPE = "a\x1b]0;owned\x07b.jpg"


def decision(name: str, verdict: Verdict, score: float | None = 5.0) -> Decision:
    root = Path("/roll")
    rating = None if score is None else Rating(score, 0.8, "m", issues=(Issue("blurred", 3),))
    facts = Facts(96, 64, "jpeg", "2024-05-01T12:00:00", "[red]Camera")
    error = None if rating else "ends early"
    judged = Photo(Shot(root, root / name), f"{name}-sha", facts, rating=rating, error=error)
    return Decision(judged, verdict, ("because [b]so",), ("below",))


ROLL = [
    decision("keep.jpg", KEEP, 8.0),
    decision(MARKUP, REVIEW, 5.0),
    decision("bad.jpg", REJECT, 2.0),
    decision(ESCAPE, REVIEW, None),
    decision("last.jpg", REVIEW, 6.0),
]


def look(sha256: str | None, name: str) -> bytes | None:
    return None if sha256 == "last.jpg-sha" else PICTURE


def sit(do: Callable[[Pilot], Awaitable[None]], roll: list[Decision] = ROLL) -> Review:
    """Run the review, without a terminal, and do something in it."""
    app = Review(roll, look, HalfcellImage)

    async def main() -> None:
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.pause()
            await do(pilot)

    asyncio.run(main())
    return app


def keyed(*keys: str, roll: list[Decision] = ROLL) -> list[Decision] | None:
    """What the review returns after these keys."""

    async def do(pilot: Pilot) -> None:
        await pilot.press(*keys)
        await pilot.pause()

    return sit(do, roll).return_value


def verdicts(decisions: list[Decision] | None) -> list[Verdict]:
    assert decisions is not None
    return [each.verdict for each in decisions]


def screen(pilot: Pilot) -> str:
    """The letters that are on the screen."""
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


def test_looking_changes_nothing() -> None:
    for way in (["enter"], ["a"], ["A"], ["down", "up", "j", "k", "z", "tab", "tab", "enter"]):
        assert keyed(*way) == ROLL


def test_keys_decide_and_go_on() -> None:
    found = keyed("p", "x", "enter")  # the undecided are listed first
    assert verdicts(found) == [KEEP, KEEP, REJECT, REJECT, REVIEW]
    assert found is not None
    assert found[1].codes == ("by_hand",) and found[1].reasons == ("chosen by hand",)
    assert [found[n] for n in (0, 2, 4)] == [ROLL[n] for n in (0, 2, 4)]


def test_what_could_not_be_read_is_not_rejected() -> None:
    judged = replace(ROLL[3].photo, sha256=None)

    async def do(pilot: Pilot) -> None:
        await pilot.press("x")
        await pilot.pause()
        assert "cannot be rejected" in screen(pilot)
        await pilot.press("x", "enter")

    assert sit(do, [replace(ROLL[3], photo=judged)]).return_value[0].verdict is REVIEW


def test_the_last_photo_stays_under_the_cursor() -> None:
    assert verdicts(keyed("end", "p", "x", "enter"))[4] is REJECT
    assert verdicts(keyed("up", "k", "p", "enter"))[1] is KEEP


def test_other_lists_are_a_tab_away() -> None:
    assert verdicts(keyed("tab", "p", "enter"))[2] is KEEP  # rejects
    assert verdicts(keyed("tab", "tab", "x", "enter"))[0] is REJECT  # kept
    assert verdicts(keyed("shift+tab", "home", "u", "enter"))[0] is REVIEW  # all
    # Those that are empty are passed over: from all to the rejects.
    assert verdicts(keyed("p", "p", "p", "shift+tab", "tab", "p", "enter"))[2] is KEEP


def test_choices_are_taken_back_one_by_one() -> None:
    assert keyed("p", "x", "backspace", "ctrl+z", "backspace", "enter") == ROLL
    assert verdicts(keyed("p", "x", "backspace", "u", "enter"))[3] is REVIEW
    # Also from another list.
    assert keyed("p", "tab", "backspace", "enter") == ROLL


@pytest.mark.parametrize("key", ["q", "Q", "escape", "ctrl+c", "ctrl+q"])
def test_leaving_asks_where_something_was_chosen(key: str) -> None:
    assert keyed(key) is None
    # The key that stays does nothing else.
    assert verdicts(keyed("p", key, "x", "enter")) == [KEEP, KEEP, REJECT, REVIEW, REVIEW]


def test_leaving_forgets_what_was_chosen() -> None:
    assert keyed("p", "escape", "y") is None
    assert keyed("p", "q", "q") is None
    assert keyed("p", "escape", "ctrl+c") is None


@posix
@pytest.mark.parametrize("name", interrupts.NAMES)
def test_a_signal_leaves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a question open; the terminal is given back on the way."""
    monkeypatch.setattr(interrupts, "_received", 0)

    async def do(pilot: Pilot) -> None:
        await pilot.press("p", "escape")
        os.kill(os.getpid(), getattr(signal, name))
        await pilot.pause()
        assert not pilot.app.is_running

    assert sit(do).return_value is None
    assert interrupts.received() == getattr(signal, name)


def test_help_is_shown_and_goes() -> None:
    async def do(pilot: Pilot) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Message)
        shown = screen(pilot)
        assert "take the last choice back" in shown
        assert "A, Enter   accept" in shown and "Q, Esc     quit, and apply nothing" in shown
        await pilot.press("x")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, Message)
        await pilot.press("enter")

    assert sit(do).return_value == ROLL


def test_names_are_plain_text() -> None:
    async def do(pilot: Pilot) -> None:
        shown = screen(pilot)
        assert shown.count(MARKUP) == 2  # in the list and below the picture
        assert "because [b]so" in shown and "[red]Camera" in shown
        assert "\\x1b]0;owned\\x07b.jpg" in shown and "\x1b" not in shown
        await pilot.press("down")
        await pilot.pause()
        assert "ends early" in screen(pilot)

    sit(do)


def test_the_picture_is_that_of_the_photo() -> None:
    async def do(pilot: Pilot) -> None:
        assert "A accept" in screen(pilot) and "Q quit" in screen(pilot)
        assert screen(pilot).count("▀") > 400
        await pilot.press("end")  # this one has none
        await pilot.pause()
        assert screen(pilot).count("▀") == 0
        await pilot.press("up", "z")
        await pilot.pause()
        assert screen(pilot).count("▀") > 400

    sit(do)


def test_the_counts_follow() -> None:
    async def do(pilot: Pilot) -> None:
        assert "undecided 3   rejects 1   kept 1   all 5" in screen(pilot)
        await pilot.press("p")
        await pilot.pause()
        assert "undecided 2   rejects 1   kept 2   all 5" in screen(pilot)

    sit(do)


def test_nothing_undecided_begins_with_all() -> None:
    assert verdicts(keyed("x", "enter", roll=ROLL[:1])) == [REJECT]
    assert keyed("p", "x", "z", "tab", "backspace", "enter", roll=[]) == []


def test_many_photos_are_listed() -> None:
    many = [decision(f"{number:05}.jpg", REVIEW) for number in range(3000)]
    found = keyed("end", "x", "enter", roll=many)
    assert found is not None and found[-1].verdict is REJECT and found[:-1] == many[:-1]


def test_choices_know_their_way_back() -> None:
    choices = Choices(ROLL)
    choices.choose(0, REJECT)
    choices.choose(0, REJECT)  # decided so already
    choices.choose(2, REJECT)  # by hand now
    assert choices.changed == 2 and choices[2].codes == ("by_hand",)
    assert choices.listed(ReviewList.REJECTS) == [0, 2]
    assert [choices.undo(), choices.undo(), choices.undo()] == [2, 0, None]
    assert choices.decisions == ROLL


@posix
def test_a_person_reviews_a_cull(seen: Iq, roll: Path) -> None:
    """Also against a guard of half the photos: that is for rules. Nothing has moved yet."""
    words = ("cull", "photos", "--below", "1", "--review", "-f", "jsonl")
    with terminal(seen, *words) as desk:
        desk.until("iq review")
        desk.until("IMG_6.jpg")
        for _ in range(5):
            desk.type("x")
        desk.until("rejects 5")
        desk.type("\r")
        assert desk.end() == 0
    assert desk.seen.count('"decision": "reject"') == desk.seen.count('"by_hand"') == 5
    assert "5 photos (5 files) would move" in desk.seen
    assert "what you chose is not kept; give --review with --apply or --plan FILE" in desk.seen
    assert len(list(roll.rglob("*.jpg"))) == 6


@posix
def test_what_was_chosen_waits_in_a_plan(seen: Iq, roll: Path) -> None:
    words = ("cull", "photos", "--below", "1", "--review", "--plan", "my.plan")
    with terminal(seen, *words) as desk:
        desk.until("IMG_6.jpg")
        desk.type("x")
        desk.until("rejects 1")
        desk.type("\r")
        assert desk.end() == 0
    assert "not kept" not in desk.seen
    assert seen("cull", "--from-plan", "my.plan", "--apply").code == 0
    assert len(list((roll / "_Rejected").rglob("*.jpg"))) == 1


@posix
@pytest.mark.parametrize("key", ["q", "\x03"])
def test_leaving_a_review_ends_the_run(seen: Iq, roll: Path, key: str) -> None:
    words = ("--below", "10", "--max-reject", "100%", "--review", "--apply")
    with terminal(seen, "cull", "photos", *words) as desk:
        desk.until("iq review")
        desk.until("IMG_6.jpg")
        desk.type(key)
        assert desk.end() == 130
    assert "nothing was applied; you quit --review and nothing has moved" in desk.seen
    assert "press A to accept" in desk.seen
    assert len(list(roll.rglob("*.jpg"))) == 6 and not (roll / "_Rejected").exists()
    assert seen("history").lines == ["nothing has been changed yet"]


@posix
def test_accepting_a_review_applies_it(seen: Iq, roll: Path) -> None:
    words = ("--below", "10", "--max-reject", "100%", "--review", "--apply")
    with terminal(seen, "cull", "photos", *words) as desk:
        desk.until("iq review")
        desk.until("IMG_6.jpg")
        desk.type("a")
        assert desk.end() == 0
    assert len(list((roll / "_Rejected").rglob("*.jpg"))) == 6


def test_a_review_is_for_terminals(iq: Iq, roll: Path) -> None:
    ran = iq("cull", "photos", "--below", "3", "--review")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == ["iq: --review needs a terminal as stdin and stdout; leave it out here"]
