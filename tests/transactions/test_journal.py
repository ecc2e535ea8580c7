from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iqcli.fs import files
from iqcli.transactions import journal

if TYPE_CHECKING:
    from pathlib import Path


def test_an_interrupt_while_a_journal_begins_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "rename_into_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.begin_undo(tmp_path, "run", 1, 1)
    assert list((tmp_path / "journal").iterdir()) == []
