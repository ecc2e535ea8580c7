"""How soon a contact sheet takes keys: `python tests/bench/sheet.py [PHOTOS]`.

Seconds from the start of the navigation to the first key press that the page handled, in Chromium,
beside those of the floor: a page of as many bytes that does nothing else.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from support import contact_sheets
from support.required_programs import found

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROUNDS = 5
LIMIT = 2.0
DAYS, A_DAY = 20, 86_400
# Told by every page: when a key press was first handled.
WATCH = """
addEventListener("keydown", (event) => setTimeout(() => {
  if (event.defaultPrevented) window.handled ??= performance.now();
}));
"""
FLOOR = """<!DOCTYPE html>
<title>floor</title>
<script>addEventListener("keydown", (event) => event.preventDefault());</script>
<script type="text/plain">{}</script>
"""


def seconds(browser: Browser, file: Path) -> float:
    """From the start of the navigation to the first key press that was handled."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH)
    page.goto(file.as_uri(), wait_until="commit")
    while not page.evaluate("window.handled"):
        page.keyboard.press("ArrowRight")
    taken: float = page.evaluate("window.handled / 1000")
    page.close()
    return taken


def picture(side: int, quality: int) -> bytes:
    """A WebP with as much detail as photos have."""
    random = np.random.default_rng(side)
    pixels = sum(
        np.kron(random.normal(0, 60 / k, (side // 2**k + 1,) * 2), np.ones((2**k,) * 2))[
            :side, :side
        ]
        for k in (1, 3, 5)
    )
    grey = np.clip(128 + np.asarray(pixels), 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def roll(folder: Path, count: int) -> list[contact_sheets.Photo]:
    """Photos of some days, every fifth with the next four in a burst."""
    made = []
    for n in range(count):
        day, second = divmod(n * 60, A_DAY)
        taken = f"2024-05-{day % DAYS + 1:02}T{second // 3600:02}:{second // 60 % 60:02}:00"
        group = f"b{n // 5}" if n // 5 % 2 else None
        made.append(
            contact_sheets.photo(folder / f"IMG_{n:05}.jpg", n % 90 / 10 + 1, taken, group=group)
        )
    return made


def main() -> int:
    """Measure in turns, print, and fail above the limit."""
    from playwright.sync_api import sync_playwright

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    contact_sheets.THUMB, contact_sheets.CROP = picture(300, 40), picture(360, 60)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (ours,) = contact_sheets.written(folder / "sheet.html", roll(folder, count), count)
        size, floor = ours.stat().st_size, folder / "floor.html"
        floor.write_text(FLOOR.format("A" * size))
        browser = playwright.chromium.launch(
            executable_path=found("browser"), args=["--no-sandbox", "--disable-gpu"]
        )
        pairs = [(seconds(browser, floor), seconds(browser, ours)) for _ in range(ROUNDS)]
        browser.close()
    low, taken = (median(column) for column in zip(*pairs, strict=True))
    print(f"{count:,} photos, {size / 1e6:.0f} MB; floor {low:.2f} s, sheet {taken:.2f} s")
    return int(taken > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
