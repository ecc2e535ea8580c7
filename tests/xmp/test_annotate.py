"""What is written beside photos while another process swaps their folder for a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.photo_trees import judged, tree

from iqcli.fs import durable, files
from iqcli.xmp import annotate
from iqcli.xmp.annotate import XmpWriter
from iqcli.xmp.profiles import PROFILES
from iqcli.xmp.write import PendingEdit, XmpUpdate


class Embedder:
    """Writes a part beside a photo, as the real one does."""

    def accepts(self, photo: Path) -> bool:
        return True

    def edit(self, path: Path, update: XmpUpdate, when: str) -> PendingEdit:
        part = path.with_name(files.PART + "0")
        durable.write_part(part, [b"new"], None)
        return PendingEdit("0" * 64, part, False)


@pytest.mark.parametrize("embeds", [True, False])
def test_no_link_leads_a_part_or_a_look_out_of_the_root(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embeds: bool
) -> None:
    """The folder becomes a link just after it was seen that the photo is in its root."""
    name = Path("2024/IMG_1235.HEIC")
    photo = judged(root, [str(name)])
    (root / "2024").rename(tmp_path / "elsewhere")
    real = annotate.below

    def late(top: Path, path: Path) -> Path:
        (tmp_path / "elsewhere").rename(root / "2024")
        found = real(top, path)
        (root / "2024").rename(tmp_path / "elsewhere")
        (root / "2024").symlink_to(tmp_path / "elsewhere")
        return found

    before = tree(tmp_path / "elsewhere")
    monkeypatch.setattr(annotate, "below", late)
    embedder: Any = Embedder() if embeds else None
    writer = XmpWriter(PROFILES["generic"], "2024-01-01T00:00:00+00:00", embedder)
    writer.annotate(photo, XmpUpdate(stars=3))
    assert writer.edits == []
    [(path, why)] = writer.problems
    assert path.parent == root / "2024"
    assert f"{root / '2024'} leads elsewhere through a link" in why
    assert tree(tmp_path / "elsewhere") == before
