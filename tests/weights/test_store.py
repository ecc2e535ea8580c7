"""The table of weights is data, checked; what it names is read and never run."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.cli_runner import Iq
from support.http_hub import Hub
from support.weight_rows import (
    DATA,
    ON_HUB,
    ROW,
    SUM,
    account,
    states,
    tabled,
)
from support.weight_rows import store as weights_of

from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.weights import download, install, manifest, store

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_every_row_can_be_used() -> None:
    rows = manifest.read(store.MANIFEST)
    names = {"clip-vit-b-32", "clip-vit-l-14", "clip-rn50", "laion-v1", "laion-v2", "fusion"}
    names |= {"brisque-live", "brisque-live-range", "qualiclip"}
    assert set(rows) == names | {f"musiq-{each}" for each in ("koniq", "spaq", "paq2piq", "ava")}
    for row in rows.values():
        assert row.terms
        assert set(row.needs) <= set(rows)
        assert row.hub is None or row.sha256 is None or len(row.revision or "") == 40
        assert row.url is None or row.url.startswith("https://")
    sums = [row.sha256 for row in rows.values() if row.sha256]
    assert len(set(sums)) == len(sums) == 7


def test_no_licence_is_blurred(iq: Iq) -> None:
    """What may not be sold, or whose terms nobody states, says so wherever it is shown."""
    free = ("MIT", "Apache-2.0", "Apache-2.0, LIVE notice")
    listed = {row["name"]: row for row in iq("models", "list", "--weights", "-f", "jsonl").rows}
    for name, row in manifest.read(store.MANIFEST).items():
        assert row.commercial == (row.licence in free), name
        assert (listed[name]["commercial"], listed[name]["licence"]) == (
            row.commercial,
            row.licence,
        )
    for model in iq("models", "list", "--format", "jsonl").rows:
        strict = [need for need in model["needs"] if not listed[need]["commercial"]]
        assert model["commercial"] == (not strict), model["name"]
        for need in strict:
            assert listed[need]["licence"] in model["licence"]
    told = iq("models", "info", "qualiclip").out.decode()
    assert "commercial  no" in told
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in told


@pytest.mark.parametrize(
    ("name", "columns", "says"),
    [
        ('"../x"', {}, "is no name"),
        ('"a/b"', {}, "is no name"),
        ('"a..b"', {}, "is no name"),
        ("x", {"file": "../x.pth"}, "file is '../x.pth'; give a plain file name"),
        ("x", {"file": "/etc/x"}, "give a plain file name"),
        ("x", {"file": "a\\b"}, "give a plain file name"),
        ("x", {"file": ".."}, "give a plain file name"),
        ("x", {"file": "installed.json"}, "give a plain file name"),
        ("x", {"file": "Installed.JSON"}, "give a plain file name"),
        ("x", {"file": "net.pth.part"}, "give a plain file name"),
        ("x", {"file": "net.pth.part.json"}, "give a plain file name"),
        ("x", {"file": 3}, "give a plain file name"),
        ("x", {"size": -1}, "size is -1; give a number of bytes"),
        ("x", {"size": 0}, "give a number of bytes"),
        ("x", {"size": True}, "give a number of bytes"),
        ("x", {"size": "big"}, "give a number of bytes"),
        ("x", {"size": 10**15}, "give a number of bytes"),
        ("x", {"colour": "red"}, "'colour' is no column"),
        ("x", {"kind": "virus"}, "kind is 'virus'; give one of clip"),
        ("x", {"commercial": "yes"}, "give true or false"),
        ("x", {"licence": ""}, "give a line of text"),
        ("x", {"what": "a\nb"}, "give a line of text"),
        ("x", {"url": "file:///etc/passwd"}, "begins with http"),
        ("x", {"url": "ftp://a/b"}, "begins with http"),
        ("x", {"url": "https://a:b/c"}, "begins with http"),
        ("x", {"url": "https://a/b c"}, "begins with http"),
        ("x", {"url": "https://\u00e4/c"}, "begins with http"),
        ("x", {"url": "https://a/b", "hub": "a/b"}, "has a url and a hub"),
        ("x", {"hub": "../b"}, "a name like owner/model"),
        ("x", {"hub": "a/b/../c"}, "a name like owner/model"),
        ("x", {"revision": "v1"}, "a commit of 40 hex digits"),
        ("x", {"sha256": "12"}, "give 64 hex digits"),
        ("x", {"needs": "y"}, "give a list of names"),
        ("x", {"needs": ["../y"]}, "give a list of names"),
        ("x", {"config": "y"}, "give a table"),
    ],
)
def test_a_hostile_table_is_refused(
    tmp_path: Path, name: str, columns: dict[str, Any], says: str
) -> None:
    iq = Iq(tmp_path, tmp_path)
    tabled(iq, **{name: ROW | columns})
    with pytest.raises(IqError) as told:
        manifest.read(tmp_path / "weights.toml")
    assert says in str(told.value)
    assert str(told.value).startswith(f"{tmp_path}/weights.toml: ")
    assert str(told.value).isprintable()


def test_a_row_that_lacks_a_column_or_is_none(tmp_path: Path) -> None:
    lacking = "\n".join(f"{k} = {json.dumps(v)}" for k, v in ROW.items() if k != "size")
    faults = (
        (f"[net]\n{lacking}", "net lacks a column; give size"),
        ("net = 3", "is no column"),
        ("net = ", "cannot read the table"),
        (f"net = {'[' * 5000}", "cannot read the table"),
    )
    for text, says in faults:
        (tmp_path / "weights.toml").write_text(text)
        with pytest.raises(IqError) as refused:
            manifest.read(tmp_path / "weights.toml")
        assert says in str(refused.value) and "\n" not in str(refused.value)


def test_needs_in_a_circle_end(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB | {"needs": ["other"]}, other=ON_HUB | {"needs": ["net"]})
    assert iq("models", "pull", "net").code == 0
    assert set(states(iq).values()) == {"ready"}


def test_needs_that_meet_again_and_again_take_no_time(iq: Iq) -> None:
    """By every way through them there would be a million."""
    needs = {side + str(i): [f"a{i + 1}", f"b{i + 1}"] for i in range(20) for side in "ab"}
    rows = {name: ROW | {"needs": found} for name, found in needs.items()}
    tabled(iq, **rows, a20=ROW, b20=ROW)
    calls = 0

    class Counted(dict[str, manifest.Weight]):
        def __getitem__(self, name: str) -> manifest.Weight:
            nonlocal calls
            calls += 1
            return super().__getitem__(name)

    table = Counted(manifest.read(iq.home / "weights.toml"))
    weights = store.WeightStore(iq.home, rows=table)
    found = [each.name for each in weights.with_needs(["a0"])]
    assert (len(found), found[-1]) == (41, "a0")
    assert calls < 1000


def test_an_account_is_not_believed(iq: Iq, hub: Hub) -> None:
    """Nothing in it steers a terminal or names another folder."""
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    told = account(place)
    steering = {"source": "\x1b[2J", "placed": "\x07"}
    (place / "installed.json").write_text(json.dumps(told | steering))
    ran = iq("models", "info", "net")
    assert ran.code == 0
    assert (b"\x1b" in ran.out, b"\x07" in ran.out) == (False, False)
    tabled(iq, hub, net={k: v for k, v in ON_HUB.items() if k != "sha256"})
    assert states(iq)["net"] == "ready"
    for text in (json.dumps(told | {"sha256": "../../../../mine"}), "[" * 5000):
        (place / "installed.json").write_text(text)
        assert states(iq)["net"] == "not pulled"


def test_what_is_converted_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    iq = Iq(tmp_path, tmp_path)
    place = tabled(iq, net=ROW)
    given = tmp_path / "given"
    given.write_bytes(DATA)
    weights = weights_of(iq)
    install.pull(weights, weights.row("net"), lambda done: None, given)
    (place / f"{SUM[:16]}.safetensors").symlink_to(tmp_path / "precious")
    weights.converted("net", lambda path: {"a": np.zeros(2)})
    assert (tmp_path / "precious").read_text() == "mine"
    again = weights.converted("net", lambda path: {})
    assert again["a"].tolist() == [0, 0]


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def evil_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that would create `mark`, in each way that torch stores things."""
    mark = folder / "mark"
    plain = folder / "pickle.pth"
    plain.write_bytes(pickle.dumps({"weight": torch.zeros(2), "x": Evil(mark)}))
    yield "a pickle", plain
    for new, name in ((True, "a zip"), (False, "the legacy form")):
        path = folder / f"{new}.pth"
        torch.save(
            {"weight": torch.zeros(2), "x": Evil(mark)}, path, _use_new_zipfile_serialization=new
        )
        yield name, path
    script = folder / "script.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its makers would rather have it forgotten
        traced = torch.jit.trace(torch.nn.Linear(2, 1), torch.zeros(1, 2))
        torch.jit.save(traced, str(script))
    yield "TorchScript", script


def test_nothing_in_a_torch_file_is_run(tmp_path: Path) -> None:
    for name, path in evil_files(tmp_path):
        with pytest.raises(
            IqError, match="holds more than tensors or is damaged, and was not read"
        ):
            store.read_torch(path)
        assert not (tmp_path / "mark").exists(), name
    # It would have been, by a reader that trusts.
    torch.load(tmp_path / "True.pth", weights_only=False)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04.", b"\x00" * 1000])
def test_a_damaged_torch_file_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(IqError, match="pull it again"):
        store.read_torch(tmp_path / "x.pth")


def test_plain_tensors_are_read(tmp_path: Path) -> None:
    for new in (True, False):
        torch.save(
            {"weight": torch.arange(3)}, tmp_path / "x.pth", _use_new_zipfile_serialization=new
        )
        assert store.read_torch(tmp_path / "x.pth")["weight"].tolist() == [0, 1, 2]


def test_objects_in_an_npz_are_not_read(tmp_path: Path) -> None:
    from iqcli.extractors import musiq_weights

    mark, given = tmp_path / "mark", tmp_path / "x.npz"
    np.savez(given, **{"opt/target/head/kernel": np.array([Evil(mark)], object)})
    iq = Iq(tmp_path, tmp_path)
    tabled(iq, net=ROW | {"file": "net.npz", "size": given.stat().st_size})
    weights = weights_of(iq)
    install.pull(weights, weights.row("net"), lambda done: None, given)
    with pytest.raises(IqError, match="is no MUSIQ"):
        musiq_weights.read_tensors(weights, "net", head=True)
    assert not mark.exists()
    # It would have been, by a reader that trusts.
    with np.load(given, allow_pickle=True) as file:
        file["opt/target/head/kernel"]
    assert mark.exists()


@pytest.mark.slow
def test_scoring_never_reaches_out(iq: Iq, roll: Path) -> None:
    """Not one connection is tried, with or without weights."""
    spy = "import sys\nsys.addaudithook(lambda e, a: e.startswith('socket.') and sys.exit(77))\n"
    run = "from iqcli.__main__ import main\nmain()\n"
    for model in ("fusion-mini", "qualiclip"):
        command = (sys.executable, "-c", spy + run, "score", "photos", "--model", model)
        done = subprocess.run(command, cwd=iq.cwd, env=iq.environ, capture_output=True)
        assert done.returncode == (0 if model == "fusion-mini" else 2)


def test_the_tests_themselves_reach_nobody(iq: Iq) -> None:
    for name in ("HF_ENDPOINT", "IQ_WEIGHTS_MIRROR"):
        assert iq.environ[name] == "http://127.0.0.1:9"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 9), 1)


def test_sizes_are_told_as_people_read_them() -> None:
    sizes = (0, 1, 3_047, 567_815, 3_714_759, 605_143_284, 1_710_517_724)
    told = ["0 MB", "0.1 MB", "0.1 MB", "0.6 MB", "3.7 MB", "605 MB", "1,711 MB"]
    assert [manifest.megabytes(size) for size in sizes] == told


def test_a_placed_file_replaces_what_lay_there(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"new")
    (tmp_path / "file").write_bytes(b"old")
    files.rename_into_place(tmp_path / "part", tmp_path / "file")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert download.length(tmp_path / "part") == 0
