"""`iq models`: terms, what is here, what a model lacks, and which one is used."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path

import pytest
from support.cli_runner import Iq
from support.fake_heads import NOWHERE
from support.http_hub import Hub
from support.weight_rows import (
    DATA,
    MODEL,
    ON_HUB,
    ROW,
    STRICT,
    account,
    states,
    store,
    tabled,
)

from iqcli import settings
from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.models import registry, status
from iqcli.weights import install, manifest
from iqcli.weights.store import MANIFEST, WeightStore


def test_terms_that_forbid_to_sell_are_accepted_first(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB | STRICT)
    assert states(iq)["net"] == "needs licence"
    ran = iq("models", "pull", "net")
    assert (ran.code, len(ran.lines), hub.asked) == (2, 1, [])
    for part in ("CC BY-NC 4.0", "https://example.org/by-nc", "--accept-licence"):
        assert part in ran.err
    assert not place.exists()
    assert iq("models", "pull", "net", "--accept-licence").code == 0
    assert account(place)["accepted"] == "CC BY-NC 4.0"
    (place / "net.pth").write_bytes(b"spoilt")
    assert iq("models", "pull", "net").code == 0  # it was accepted before
    assert (place / "net.pth").read_bytes() == DATA
    tabled(iq, hub, net=ON_HUB | STRICT | {"licence": "stricter still"})
    (place / "net.pth").write_bytes(b"spoilt")
    assert iq("models", "pull", "net").code == 2


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_model_names_the_weights_that_pull_brings(tmp_path: Path, name: str) -> None:
    """Fault: `iq models pull musiq --from FILE` knew no weights of that name."""
    weights = WeightStore(tmp_path)
    needs = registry.ENTRIES[name].needs if name in registry.ENTRIES else ()
    if not needs:
        for ask in (status.rows_of, status.row_of_file):
            with pytest.raises(IqError, match=f"{name} needs no weights that are pulled"):
                ask([name], weights)
        return
    assert registry.ENTRIES[name].card  # where its figures are from, and its limits
    assert {*needs} <= {each.name for each in status.rows_of([name], weights)}
    one = status.row_of_file([name], weights).name
    assert one == (name if name in weights.rows else needs[0])
    assert len(needs) == 1 or one == name


def test_a_file_for_several_weights_is_refused(tmp_path: Path) -> None:
    weights = WeightStore(tmp_path)
    with pytest.raises(IqError, match="2 names are given; give one"):
        status.row_of_file(["musiq", "musiq-ava"], weights)
    with pytest.raises(IqError, match=r"several weights; name the one in the file: .*, fusion$"):
        status.row_of_file([registry.HUB_ID], weights)


def test_a_file_of_ones_own_needs_the_licence_too(iq: Iq, tmp_path: Path) -> None:
    place = tabled(iq, net=ROW | STRICT)
    (tmp_path / "mine").write_bytes(DATA)
    assert iq("models", "pull", "net", "--from", tmp_path / "mine").code == 2
    assert not place.exists()


def test_verify_reads_again(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB, other=ON_HUB)
    assert iq("models", "verify").code == 0
    assert iq("models", "verify", "net").code == 1
    assert iq("models", "pull", "net", "other").code == 0
    ran = iq("models", "verify")
    assert (ran.code, ran.err) == (0, "")
    stat = (place / "net.pth").stat()
    (place / "net.pth").write_bytes(bytes(len(DATA)))
    os.utime(place / "net.pth", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert states(iq)["net"] == "ready"  # looks as it did
    ran = iq("models", "verify")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert "run `iq models pull net` again" in ran.err
    assert "other" not in ran.err
    (place / "net.pth").unlink()
    assert "is gone" in iq("models", "verify", "net").err


def test_what_a_backup_brought_back_is_known_again(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    os.utime(place / "net.pth", (1, 1))
    assert states(iq)["net"] == "not pulled"
    assert iq("models", "verify").code == 0
    assert states(iq)["net"] == "ready"


def test_another_edition_of_the_table_wants_another_file(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    other = DATA[::-1]
    tabled(iq, hub, net=ON_HUB | {"sha256": hashlib.sha256(other).hexdigest()})
    assert states(iq)["net"] == "not pulled"
    assert iq("models", "verify").code == 1
    hub.put(MODEL, "net.pth", other)
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == other


@pytest.mark.parametrize("text", ["", "[]", '{"file": "net.pth"}'])
def test_a_damaged_account_is_none(iq: Iq, hub: Hub, text: str) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    (place / "installed.json").write_text(text)
    assert states(iq)["net"] == "not pulled"
    assert iq("models", "pull", "net").code == 0
    assert states(iq)["net"] == "ready"


def test_rm_takes_what_pull_placed_and_no_more(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB, other=ON_HUB)
    assert iq("models", "pull", "net", "other").code == 0
    ours = ("0123456789abcdef.safetensors", "texts-0123456789abcdef.safetensors", "net.pth.part")
    ours += (".iq-part-0123456789abcdef",)
    for name in ours:
        (place / name).write_bytes(b"x")
    (place / "notes.txt").write_text("mine")
    (place / "mine.safetensors").write_text("mine")
    ran = iq("models", "rm", "net")
    assert ran.code == 0
    assert "0.7 MB freed" in ran.lines[-1]
    assert sorted(each.name for each in place.iterdir()) == ["mine.safetensors", "notes.txt"]
    assert states(iq)["other"] == "ready"
    assert iq("models", "rm", "other").code == 0
    assert not (place.parent / "other").exists()


def test_rm_that_was_cut_off_is_gone_on_with(
    iq: Iq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a sum nothing but the account tells that the rest is ours."""
    place = tabled(iq, net=ROW)
    (tmp_path / "mine").write_bytes(DATA)
    assert iq("models", "pull", "net", "--from", tmp_path / "mine").code == 0

    def cut(path: Path) -> None:
        path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(files, "remove", cut)
        install.remove(store(iq), store(iq).row("net"))
    assert states(iq)["net"] == "not pulled"
    install.remove(store(iq), store(iq).row("net"))
    assert not place.exists()


def test_rm_of_a_link_removes_the_link(iq: Iq, hub: Hub, tmp_path: Path) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    (tmp_path / "precious").write_bytes(DATA)
    (place / "net.pth").unlink()
    (place / "net.pth").symlink_to(tmp_path / "precious")
    assert iq("models", "rm", "net").code == 0
    assert (tmp_path / "precious").read_bytes() == DATA


def test_rm_says_what_can_no_longer_do(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB | {"needs": ["base"]}, base=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    ran = iq("models", "rm", "base")
    assert "net cannot do without" in ran.err


def test_rm_of_a_model_keeps_what_another_needs(iq: Iq, hub: Hub) -> None:
    rows = {
        "laion-v1": ON_HUB | {"needs": ["clip-vit-b-32"]},
        "fusion": ON_HUB | {"needs": ["laion-v1"]},
        "clip-vit-b-32": ON_HUB,
        "brisque-live": ON_HUB,
        "brisque-live-range": ON_HUB,
    }
    tabled(iq, hub, **rows)
    assert iq("models", "pull", "fusion").code == 0
    ran = iq("models", "rm", "fusion")
    assert ran.code == 0
    assert "kept laion-v1" in ran.err
    assert "removed fusion, 0.7 MB" in ran.lines
    assert "kept clip-vit-b-32, which laion-v1 needs" in ran.lines
    found = states(iq)
    assert found["laion-v1"] == found["clip-vit-b-32"] == "ready"
    assert found["fusion"] == "not pulled"


def test_a_model_without_its_weights_says_what_to_pull(iq: Iq, roll: Path) -> None:
    for model in (each for each in registry.ENTRIES.values() if each.needs):
        ran = iq("score", "photos", "--model", model.name)
        assert (ran.code, ran.out, len(ran.lines)) == (2, b"", 1), model.name
        for row in map(manifest.read(MANIFEST).get, model.needs):
            assert row
            assert f"{row.name} ({row.megabytes}, {row.licence})" in ran.err
        strict = not status.model(model, WeightStore(NOWHERE)).commercial
        assert ran.err.strip().endswith(
            f"iq models pull {model.name}{' --accept-licence' if strict else ''}`"
        )


def test_the_default_model_needs_no_weights(iq: Iq) -> None:
    assert not registry.ENTRIES[settings.load({}, None, {}).model].needs
    assert iq("models", "list", "-f", "jsonl").rows[0]["state"] == "ready"


def test_use_changes_one_line_of_the_config(iq: Iq, roll: Path) -> None:
    config = iq.home / "iq" / "config.toml"
    ran = iq("models", "use", "brisque-refit")
    assert (ran.code, str(config) in ran.err) == (0, True)
    assert tomllib.loads(config.read_text()) == {"model": "brisque-refit"}
    config.write_text("# mine\njobs = 2  # cores\nmodel = 'dkl' # for now\n\n# the end\n")
    config.chmod(0o640)
    assert iq("models", "use", "brisque-refit").code == 0
    changed = '# mine\njobs = 2  # cores\nmodel = "brisque-refit" # for now\n\n# the end\n'
    assert config.read_text() == changed
    assert config.stat().st_mode & 0o777 == 0o640
    assert iq("score", "photos", "-f", "jsonl").rows[0]["model"].startswith("brisque-refit")


def test_use_refuses_and_warns(iq: Iq) -> None:
    config = iq.home / "iq" / "config.toml"
    for name in ("nope", "no.safetensors"):
        ran = iq("models", "use", name)
        assert (ran.code, len(ran.lines), config.exists()) == (2, 1, False)
    config.parent.mkdir()
    config.write_text("jobs = = 2")
    ran = iq("models", "use", "dkl")
    assert (ran.code, "config.toml" in ran.err) == (2, True)
    assert config.read_text() == "jobs = = 2"
    config.write_text("")
    absent = next(each.name for each in registry.ENTRIES.values() if each.needs)
    ran = iq("models", "use", absent, IQ_MODEL="dkl")
    assert ran.code == 0
    assert f"{absent} is " in ran.lines[1]
    assert "IQ_MODEL is 'dkl', which is stronger" in ran.lines[2]


def test_use_keeps_where_ones_own_lies(iq: Iq) -> None:
    """A network's folder too is found again from anywhere; a name that TOML cannot hold is told."""
    config = iq.home / "iq" / "config.toml"
    (iq.cwd / "net").mkdir()
    (iq.cwd / "net" / "config.json").write_text("{}")
    ran = iq("models", "use", "net")
    assert (ran.code, len(ran.lines)) == (0, 1)
    assert tomllib.loads(config.read_text()) == {"model": str(iq.cwd / "net")}
    before, odd = config.read_bytes(), os.fsdecode(b"a\xff.safetensors")
    (iq.cwd / odd).write_bytes(b"")
    ran = iq("models", "use", odd)
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert "a\\xff.safetensors cannot stand in" in ran.err
    assert config.read_bytes() == before


def test_the_list_in_json_and_info(iq: Iq) -> None:
    found = json.loads(iq("models", "list", "-f", "json").out)
    assert {row["name"] for row in found} >= {"fusion-mini", "taste"}
    ran = iq("models", "list", "-f", "csv")
    assert (ran.code, "give one of table, json, jsonl" in ran.err) == (2, True)
    rows = {row["name"]: row for row in found}
    for name in ("fusion-mini", "fusion", "qualiclip", "taste"):
        ran = iq("models", "info", name)
        assert ran.code == (2 if rows[name]["state"] == "not trained" else 0), name
        for need in rows[name]["needs"]:
            assert f"\n{need}: " in ran.out.decode()
    told = iq("models", "info", "clip-rn50").out.decode()
    assert "ec3d92cf63a5f9d591f0d611b736895966c73076" in told
    assert "408 MB" in told
