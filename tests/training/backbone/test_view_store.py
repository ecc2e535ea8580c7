"""Arrays on disk: decoded once, and what is damaged is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.drawn_scenes import texture
from support.images import encoded

from iqcli.errors import IqError
from iqcli.photos.read import read_photo
from iqcli.training.backbone import view_store
from iqcli.training.backbone.view_store import (
    ViewStore,
    read_array,
    read_facts,
    read_row,
    write_arrays,
)

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, name: str, height: int, width: int) -> Path:
    path = folder / name
    path.write_bytes(encoded(texture(height, height, width), "PNG"))
    return path


def test_views_are_those_of_every_other_command_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [written(tmp_path, "a.png", 96, 120), written(tmp_path, "b.png", 130, 90)]
    views = ViewStore(tmp_path / "views", photos)
    views.fill(print)
    for k, path in enumerate(photos):
        wanted = read_photo(path.read_bytes(), max_megapixels=100)[1].scoring
        np.testing.assert_array_equal(views[k], wanted)
    monkeypatch.setattr(view_store, "read_photo", pytest.fail)
    again = ViewStore(tmp_path / "views", photos[::-1])
    again.fill(print)
    np.testing.assert_array_equal(again[0], views[1])


def test_a_small_picture_may_keep_its_size(tmp_path: Path) -> None:
    photos = [written(tmp_path, "small.png", 96, 120), written(tmp_path, "large.png", 600, 700)]
    views = ViewStore(tmp_path / "views", photos, small=True)
    views.fill(print)
    np.testing.assert_array_equal(views[0], texture(96, 96, 120))
    assert views[1].shape == (512, 597, 3)
    plain = ViewStore(tmp_path / "views", photos)
    plain.fill(print)
    assert min(plain[0].shape[:2]) == 512


def test_a_photo_that_changed_is_decoded_anew(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png", 96, 120)
    ViewStore(tmp_path / "views", [path], small=True).fill(print)
    path.write_bytes(encoded(texture(5, 100, 130), "PNG"))
    views = ViewStore(tmp_path / "views", [path], small=True)
    views.fill(print)
    assert views[0].shape == (100, 130, 3)


def test_photos_that_cannot_be_read_are_named_when_the_others_are_done(tmp_path: Path) -> None:
    torn = [tmp_path / f"torn {k}.jpg" for k in range(5)]
    for path in torn:
        path.write_bytes(b"\xff\xd8\xff")
    good = written(tmp_path, "good.png", 70, 80)
    with pytest.raises(IqError, match=r"torn 0.jpg: .*torn 2.jpg: .* and 2 more; leave") as caught:
        ViewStore(tmp_path / "views", [*torn, good]).fill(print)
    assert "\n" not in str(caught.value)
    assert len(list((tmp_path / "views").iterdir())) == 1


def test_arrays_come_back_row_by_row(tmp_path: Path) -> None:
    file, values = tmp_path / "new" / "x.safetensors", np.arange(24, dtype=np.float32)
    values = values.reshape(4, 3, 2)
    values[1, 1] = np.nan
    write_arrays(file, {"values": values}, ["a", {"b": 1}])
    np.testing.assert_array_equal(read_array(file, "values"), values)
    np.testing.assert_array_equal(read_row(file, "values", 1), values[1])
    assert read_facts(file) == ["a", {"b": 1}]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    write_arrays(file, {"values": np.zeros((2, 3), np.float32)}, [])
    whole = file.read_bytes()
    for data in (b"", whole[:20], whole[:-3], whole.replace(b"facts", b"fakts")):
        file.write_bytes(data)
        with pytest.raises(IqError, match=r"x.safetensors is damaged: .*; remove it") as caught:
            read_facts(file)
        assert "\n" not in str(caught.value)
    file.write_bytes(whole)
    for read in (lambda: read_array(file, "other"), lambda: read_row(file, "other", 0)):
        with pytest.raises(IqError, match="is damaged"):
            read()
