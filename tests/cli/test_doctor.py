"""`iq doctor`: what is here, what is not, and where each setting comes from."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from iqcli.cli.commands import doctor
from iqcli.fs import anchors, syscalls
from iqcli.runtime import library
from iqcli.settings import NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq


def report(iq: Iq, *words: str | Path, **environ: str) -> dict[str, Any]:
    """What `iq doctor` finds, and (value, origin) by setting."""
    ran = iq("doctor", *words, "--format", "json", **environ)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    rows = {each["setting"]: (each["value"], each["from"]) for each in found["settings"]}
    return {"found": found["found"], "settings": rows}


def test_each_setting_has_a_value_and_an_origin(iq: Iq, roll: Path) -> None:
    config = iq.home / "config.toml"
    config.write_text('format = "csv"\njobs = 2\nbelow = 3')
    beside = roll / ".iq.toml"
    beside.write_text('keep = 3\nper = "burst"')
    environ = {"IQ_CONFIG": str(config), "IQ_DEVICE": "cpu"}
    environ |= {"IQ_WEIGHTS_MIRROR": "https://me:secret@mirror.example/weights"}
    chosen = report(iq, "photos/day/IMG_4.jpg", "--cache-dir", "elsewhere", **environ)["settings"]
    assert list(chosen) == list(NAMES)
    assert chosen["format"] == ("csv", str(config))
    assert chosen["keep"] == ("3", str(beside))
    assert chosen["per"] == ("burst", str(beside))
    assert chosen["below"] == (None, "default")
    assert chosen["device"] == ("cpu", "IQ_DEVICE in the environment")
    assert chosen["cache_dir"] == (str(iq.cwd / "elsewhere"), "--cache-dir")
    assert chosen["weights_mirror"][0] == "mirror.example"
    assert chosen["margin"] == (0.0, "default")
    assert report(iq, **environ)["settings"]["keep"] == (None, "default")


def test_the_table_shows_them_too(iq: Iq, roll: Path) -> None:
    (roll / ".iq.toml").write_text('worst = "20%"')
    ran = iq("doctor", "photos")
    lines = [line.split() for line in ran.out.decode().splitlines()]
    assert ran.code == 0
    assert ["setting", "value", "from"] in lines
    assert ["worst", "20%", str(roll / ".iq.toml")] in lines
    assert ["promise", "–", "default"] in lines
    assert ["settings", "beside", "photos", str(roll / ".iq.toml")] in lines
    assert ["max_reject", "50%", "default"] in lines


def test_what_may_be_installed_is_named(iq: Iq, tmp_path: Path) -> None:
    found = report(iq, PATH=str(tmp_path))["found"]
    assert found["trash"].startswith("yes, send2trash ")
    assert found["exiftool"] == "no: see https://exiftool.org"
    tool = tmp_path / "exiftool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert report(iq, PATH=str(tmp_path))["found"]["exiftool"] == str(tool)


def test_what_is_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from iqcli.cli.commands import doctor

    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", nothing)
    assert dict(doctor._extras())["review"] == "no: pip install 'iqcli[review]'"


def test_what_runs_networks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    release = metadata.version("openvino")
    for there, kind in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(library, "has_bfloat16", lambda there=there: there)
        assert doctor._runtime() == f"OpenVINO {release}, {kind}"
    monkeypatch.setattr(library, "missing", lambda: "OpenVINO is not installed")
    assert doctor._runtime() == "torch: OpenVINO is not installed"


def test_a_place_that_is_not_there(iq: Iq) -> None:
    ran = iq("doctor", "nowhere")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == ["iq: there is no file or folder ./nowhere; check the name"]


def test_a_setting_that_cannot_be_used_is_the_answer(iq: Iq, roll: Path) -> None:
    (roll / ".iq.toml").write_text('per = "hour"')
    ran = iq("doctor", "photos")
    assert ran.code == 2
    assert ran.lines[0].startswith(f"iq: {roll / '.iq.toml'}: per is 'hour'; give one of burst")


def test_a_system_where_moves_are_weaker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._moves() == "in folders held open, onto free names alone"
    monkeypatch.setattr(anchors, "DESCRIPTORS", False)
    monkeypatch.setattr(syscalls, "can_rename_new", lambda: False)
    assert doctor._moves() == (
        "weaker on this system: no folder can be held open, so a link swapped in for one is "
        "noticed, not prevented; no rename refuses a name that is taken, so names are claimed "
        "before a move; let nobody else change folders meanwhile"
    )
