"""Tables for people: on a terminal, in a pipe, and in an encoding that lacks our signs."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from iqcli.output import table
from iqcli.output.stdout import encoded
from iqcli.output.table import describe_issues, plain_table, show

ROWS = [
    ("./copies/PXL_20240504_123456789.PORTRAIT-01.ORIGINAL.jpg", 75.11, "0.9823", "–"),
    ("./copies/b.jpg", 8.0, "0.5", "PSNR of 1 of 2, as the other pair is the same picture"),
]
TITLES = ("copy", "MSE", "MS-SSIM", "notes")


def on_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(table, "stdout_console", lambda: console)
    show(plain_table(TITLES, ROWS))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_at_80_columns_names_and_numbers_are_in_one_piece(monkeypatch) -> None:
    assert on_terminal(80, monkeypatch) == [
        "copy                                      MSE  MS-SSIM  notes",
        "./copies/PXL_…PORTRAIT-01.ORIGINAL.jpg  75.11  0.9823   –",
        "./copies/b.jpg                            8.0  0.5      PSNR of 1 of 2, as the",
        "                                                        other pair is the same",
        "                                                        picture",
    ]


def test_a_pipe_has_everything_in_one_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show(plain_table(TITLES, ROWS))
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [row[0] for row in ROWS]
    assert lines[2].endswith(ROWS[1][3])


def test_an_issue_has_its_name_of_the_other_formats() -> None:
    issues = [{"name": "over_suppressed", "level": 3}, {"name": "blurred", "level": 2}]
    assert describe_issues(issues) == "clearly over suppressed, slightly blurred"


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", "± … – 猫".encode()),
        ("ascii", rb"+- ... - \u732b"),
        ("latin-1", b"\xb1 ... - \\u732b"),
    ],
)
def test_signs_that_an_encoding_lacks_are_spelled_out(encoding: str, data: bytes) -> None:
    assert encoded("± … – 猫", encoding) == data
