"""Opinions from CSV files as the world publishes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iqcli.errors import IqError
from iqcli.evaluation import mos_csv

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.evaluation.mos_csv import Opinions


class Published:
    """A folder with two photos and a CSV file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "mos.csv"
        (folder / "Photos").mkdir()
        for name in ("A1.JPG", "b2.jpg"):
            (folder / "Photos" / name).touch()

    def read(
        self, text: str | bytes, scale: str | None = None, where: str | None = None
    ) -> Opinions:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return mos_csv.read(self.file, self.folder / "Photos", scale, where)

    def refused(self, text: str | bytes, scale: str | None = None, where: str | None = None) -> str:
        with pytest.raises(IqError) as caught:
            self.read(text, scale, where)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "image,mos\nA1.JPG,0\nb2.jpg,1\n",
        b"\xef\xbb\xbfimage,mos\r\nA1.JPG,0\r\nb2.jpg,1\r\n",
        "Image Name,x,MOS\na1.jpg,7,0.0\nB2.JPG,7,1.0\n",
        '"filename"," Score "\n"A1.jpg","0"\n"B2.jpg","1"\n',
        "id,image,mos\n1,A1.JPG,0,too,long\n2,b2.jpg,1\n",
    ],
)
def test_spellings(published: Published, text: str | bytes) -> None:
    opinions = published.read(text)
    assert [row.shot.path.name for row in opinions.rows] == ["A1.JPG", "b2.jpg"]
    assert [row.value for row in opinions.rows] == [1, 10]
    assert (opinions.scale, opinions.blank) == ((0, 1), 0)


def test_photos_lie_beside_the_file_unless_another_folder_is_given(published: Published) -> None:
    published.file.write_text("image,mos\nphotos/a1.jpg,0.5\nPhotos/a1.jpg,0.5\n")
    opinions = mos_csv.read(published.file, None, None, None)
    assert opinions.rows[1].shot.path == published.folder / "Photos" / "A1.JPG"


def test_what_is_not_on_the_disk_keeps_its_name(published: Published) -> None:
    opinions = published.read("image,mos\nlost.jpg,0.5\nno/such/folder.jpg,0.5\n")
    assert [row.shot.path.name for row in opinions.rows] == ["lost.jpg", "folder.jpg"]


def test_rows_without_an_opinion_are_counted(published: Published) -> None:
    opinions = published.read("image,mos\nA1.JPG,\nb2.jpg, \nb2.jpg,0.5\nA1.JPG\n")
    assert (len(opinions.rows), opinions.blank) == (1, 3)
    assert "holds no opinion" in published.refused("image,mos\nA1.JPG,\n")


@pytest.mark.parametrize(
    ("scale", "values"),
    [("1:5", [1, 10]), ("5:1", [10, 1]), ("0:10", [1.9, 5.5])],
)
def test_the_ends_of_the_scale(published: Published, scale: str, values: list[float]) -> None:
    opinions = published.read("image,mos\nA1.JPG,1\nb2.jpg,5\n", scale)
    assert [row.value for row in opinions.rows] == pytest.approx(values)


@pytest.mark.parametrize("scale", ["", "1", "1:1", "1:2:3", "a:b", "nan:1", "0:inf"])
def test_no_ends_of_a_scale(published: Published, scale: str) -> None:
    assert "--mos-range is " in published.refused("image,mos\nA1.JPG,0.5\n", scale)


def test_opinions_beyond_the_scale_are_a_mistake(published: Published) -> None:
    text = "image,mos\nA1.JPG,1\nb2.jpg,7\n"
    assert "go from 1 to 7; give the ends of their scale, worst first" in published.refused(text)
    assert "go from 1 to 7; give the ends of their scale" in published.refused(text, "1:5")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no rows"),
        ("image,mos\n", "has no rows"),
        ("picture,mos\nA1.JPG,1\n", "has no column 'image', only 'picture', 'mos'; name one so"),
        ("image;mos\nA1.JPG;1\n", "has no column 'image', only 'image;mos'"),
        ("image,votes\nA1.JPG,1\n", "has no column 'mos', only 'image', 'votes'"),
        ('image,mos\nA1.JPG,"0,5"\n', "has the opinion '0,5'; give numbers"),
        ("image,mos\nA1.JPG,nan\n", "has the opinion 'nan'; give numbers"),
        ("image,mos\nA1.JPG,inf\n", "has the opinion 'inf'; give numbers"),
        ("image,mos\nA1.JPG,1\n".encode("utf-16"), "give a CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_understood(published: Published, text: str | bytes, says: str) -> None:
    assert says in published.refused(text)


def test_a_file_that_is_not_there(published: Published) -> None:
    with pytest.raises(IqError, match=r"cannot read .*: No such file"):
        mos_csv.read(published.folder / "lost.csv", None, None, None)


def test_where_keeps_some_rows(published: Published) -> None:
    text = "image,mos,split\nA1.JPG,0.5,test\nb2.jpg,0.6,train\n"
    opinions = published.read(text, where="split=test")
    assert [row.shot.path.name for row in opinions.rows] == ["A1.JPG"]
    for where in ("split", "part=test", "=test"):
        assert "give COLUMN=VALUE" in published.refused(text, where=where)
    assert "holds no opinion for these rows" in published.refused(text, where="split=none")


def test_columns(published: Published) -> None:
    opinions = published.read("image,mos,scene\nA1.JPG,0.5,x\nb2.jpg,0.6\n")
    assert opinions.column("scene") == ["x", ""]
    assert opinions.column("prefix") == ["A1", "b2"]
    with pytest.raises(IqError, match="no column 'burst'; give one of 'image', 'mos', 'scene'"):
        opinions.column("burst")
