"""Tables on narrow terminals: what gives way, and what is never broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from iqcli.output.fit import CUT, GAP, NARROW_GAP, Column, Leeway, broken, fitted, shortened

LONG = "./trips/2024 Norway/PXL_20240504_123456789.PORTRAIT-01.ORIGINAL.jpg"
FACES = "./猫の写真とても長い名前のファイルです東京タワー富士山京都大阪神戸.jpg"
WHY = "among the worst 30% (rank 17 of 20); score 3.1 ± 2.4, surely under 5.5"


def column(title: str, *cells: str, kind: Leeway = Leeway.FIXED) -> Column:
    return Column(title, tuple(Text(cell) for cell in cells), kind)


def cull(*names: str) -> list[Column]:
    """The table of `iq cull`, with one row a name."""
    count = len(names)
    return [
        column("score", *["3.1"] * count),
        column("", *["████████▏"] * count, kind=Leeway.EXTRA),
        column("issues", *["badly blurred, slightly low contrast"] * count, kind=Leeway.PROSE),
        column("why", *[WHY] * count, kind=Leeway.PROSE),
        column("photo", *names, kind=Leeway.NAME),
    ]


def shown(columns: list[Column], width: int) -> dict[str, list[str]]:
    """The cells by title, each in no more cells than the terminal has."""
    found, gap = fitted(columns, width)
    lines = [line for each in found for text in each.cells for line in text.plain.split("\n")]
    assert sum(each.width for each in found) >= max(map(cell_len, lines))
    widest = [
        max(cell_len(line) for text in (each.title, *each.cells) for line in str(text).split("\n"))
        for each in found
    ]
    assert sum(widest) + gap * (len(found) - 1) <= width
    return {each.title: [text.plain for text in each.cells] for each in found}


def test_where_there_is_room_nothing_changes() -> None:
    assert fitted(cull(LONG), 300) == (cull(LONG), GAP)


def test_the_bar_goes_before_a_name_is_shortened() -> None:
    assert "" in shown(cull("./a.jpg"), 80)
    assert "" not in shown(cull(LONG), 100)
    assert shown(cull(LONG), 100)["photo"] == [LONG]


@pytest.mark.parametrize("name", [LONG, FACES])
def test_a_long_name_keeps_its_ends(name: str) -> None:
    [cut] = shown(cull(name), 80)["photo"]
    head, tail = cut.split(CUT)
    assert name.startswith(head) and name.endswith(tail)
    assert head.startswith("./") and tail.endswith(".jpg")
    assert 31 <= cell_len(cut) <= 32


def test_a_short_name_beside_a_long_one_is_whole() -> None:
    assert shown(cull("./IMG_1.jpg", LONG), 80)["photo"][0] == "./IMG_1.jpg"


def test_texts_break_between_words_alone() -> None:
    found = shown(cull(LONG), 80)
    for title, text in (("why", WHY), ("issues", "badly blurred, slightly low contrast")):
        assert "\n" in found[title][0]
        assert found[title][0].split() == text.split()


def test_a_path_in_a_text_breaks_after_a_slash() -> None:
    assert broken("lies in /home/anna/.cache/iq", 12) == "lies in\n/home/anna/\n.cache/iq"
    assert broken("on / and //x", 4) == "on /\nand\n//x"
    assert broken("a-name-that-is-far-too-long", 12) == "a-na…oo-long"


def test_the_last_of_the_names_is_shortened_last() -> None:
    folder = column("folder", "./trips/2024 Norway/day 1", kind=Leeway.NAME)
    found = shown(
        [folder, column("photo", "./trips/2024 Norway/day 1/IMG_1.jpg", kind=Leeway.NAME)], 50
    )
    assert found == {"folder": ["./tr…ay/day 1"], "photo": ["./trips/2024 Norway/day 1/IMG_1.jpg"]}


def test_columns_move_together_before_they_go_over_the_edge() -> None:
    columns = [column(str(number), "x" * 9) for number in range(4)]
    assert fitted(columns, 40) == (columns, NARROW_GAP)


NAMES = st.text("ab /_猫é", min_size=1, max_size=90)


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3), st.integers(60, 140))
def test_any_names_fit_and_are_whole_or_cut_once(names: list[str], width: int) -> None:
    for name, cell in zip(names, shown(cull(*names), width)["photo"], strict=True):
        assert cell == name or (cell.count(CUT) == 1 and cell_len(cell) < cell_len(name))


@given(NAMES, st.integers(1, 90))
def test_shortened_is_never_too_wide(name: str, width: int) -> None:
    assert cell_len(shortened(name, width)) <= max(width, 1)
