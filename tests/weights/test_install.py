"""A pull: fetched, taken up again, checked, and only then in place."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest
from support.cli_runner import Iq
from support.http_hub import REVISION, Hub
from support.weight_rows import (
    DATA,
    MODEL,
    ON_HUB,
    ROW,
    SUM,
    account,
    ended,
    nothing_is_placed,
    states,
    store,
    tabled,
)

from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.weights import install
from iqcli.weights.download import TIMEOUT

pytestmark = pytest.mark.slow


def test_a_pull_places_the_file_and_its_account(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    assert states(iq)["net"] == "not pulled"
    ran = iq("models", "pull", "net")
    assert (ran.code, ran.out) == (0, b"")
    assert "its sum is the one that the table knows" in ran.lines[-1]
    assert (place / "net.pth").read_bytes() == DATA
    told = account(place)
    assert (told["sha256"], told["size"], told["revision"]) == (SUM, len(DATA), REVISION)
    assert sorted(each.name for each in place.iterdir()) == ["installed.json", "net.pth"]
    assert states(iq)["net"] == "ready"
    assert [path for path, _ in hub.asked] == [
        f"/{MODEL}/resolve/{REVISION}/net.pth",
        f"/cdn/{MODEL}/resolve/{REVISION}/net.pth",
    ]
    again = iq("models", "pull", "net")
    assert again.lines == ["net is here already"]
    assert len(hub.asked) == 2


def test_the_hubs_sum_stands_in_where_the_table_has_none(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ROW | {"hub": MODEL, "size": 600_000})
    ran = iq("models", "pull", "net")
    assert ran.code == 0
    assert "the one that the hub knows" in ran.lines[-1]
    assert (account(place)["revision"], account(place)["vouched"]) == (REVISION, "the hub")


def test_a_sum_that_nobody_knows_is_said(iq: Iq, hub: Hub) -> None:
    hub.told["X-Linked-Etag"] = '"not-a-sum"'
    place = tabled(iq, hub, net=ROW | {"hub": MODEL})
    ran = iq("models", "pull", "net", "--quiet")
    assert ran.code == 0
    assert "its sum was not known before" in ran.err
    assert SUM in ran.err
    assert account(place)["vouched"] is None


def test_a_mirror_stands_in_for_an_address(iq: Iq, hub: Hub) -> None:
    hub.files["/mirror/example.org/some%2Bwhere/net.pth"] = DATA
    place = tabled(iq, hub, net=ROW | {"url": "https://example.org/some%2Bwhere/net.pth"})
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA
    bad = iq("models", "pull", "net", IQ_WEIGHTS_MIRROR="/srv/weights")
    assert (bad.code, "give an address" in bad.err) == (2, True)


def test_a_file_beside_photos_names_no_mirror(iq: Iq, roll: Path) -> None:
    (roll / ".iq.toml").write_text('weights_mirror = "https://example.org"')
    ran = iq("score", "photos")
    assert ran.code == 2
    assert "may only stand in your own config" in ran.err


def test_a_model_brings_all_that_it_needs(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB | {"needs": ["base"]}, base=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    assert states(iq) == {"net": "ready", "base": "ready"}


def test_a_link_along_the_way_does_not_get_the_token(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB)
    hub.needs_token = "secret-token"
    ran = iq("models", "pull", "net")
    assert ran.code == 2
    assert f"accept its terms at {hub.endpoint}/{MODEL} and set HF_TOKEN" in ran.err
    wrong = iq("models", "pull", "net", HF_TOKEN="another-secret")
    assert (wrong.code, "refuses your HF_TOKEN" in wrong.err) == (2, True)
    assert "another-secret" not in wrong.err
    assert iq("models", "pull", "net", HF_TOKEN="secret-token").code == 0
    assert [headers.get("authorization") for headers in hub.got("/cdn/")] == [None]


def test_a_token_is_not_shown_to_other_servers(iq: Iq, hub: Hub) -> None:
    hub.files["/mirror/example.org/net.pth"] = DATA
    tabled(iq, hub, net=ROW | {"url": "https://example.org/net.pth", "sha256": SUM})
    assert iq("models", "pull", "net", HF_TOKEN="secret-token").code == 0
    assert "authorization" not in hub.asked[0][1]
    broken = iq("models", "rm", "net") and iq("models", "pull", "net", HF_TOKEN="a\nb")
    assert broken.code == 0  # not looked at where no hub is asked


@pytest.mark.parametrize("code", [404, 401, 403, 500, 503])
def test_a_refusal_is_one_sentence(iq: Iq, hub: Hub, code: int) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    hub.codes = [code] * 9
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert str(code) in ran.err
    assert "--from FILE" in ran.err
    assert nothing_is_placed(place)


def test_a_busy_server_is_asked_again(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB)
    hub.codes = [503, 429]
    assert iq("models", "pull", "net").code == 0


def test_no_network(iq: Iq) -> None:
    place = tabled(iq, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert "cannot reach 127.0.0.1:9" in ran.err
    ran = iq("models", "pull", "net", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE keeps net" in ran.err
    assert nothing_is_placed(place)


def test_a_cut_connection_is_taken_up_where_it_ended(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    hub.cuts = [300_000, 200_000]
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA
    ranges = [headers.get("range") for headers in hub.got("/cdn/")]
    assert ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_what_came_earlier_is_told_at_once(
    iq: Iq, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabled(iq, hub, net=ON_HUB)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.cuts = [300_000]
    told: list[int] = []
    install.pull(store(iq), store(iq).row("net"), told.append)
    assert (told[0], told.count(300_000), told[-1]) == (0, 2, len(DATA))


def test_a_server_without_ranges_starts_anew(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    hub.ranges, hub.cuts = False, [300_000]
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_changed_meanwhile_starts_anew(iq: Iq, hub: Hub, known: bool) -> None:
    other = DATA[::-1]
    row = ROW | {"url": "https://example.org/net.pth"}
    place = tabled(
        iq, hub, net=row | ({"sha256": hashlib.sha256(other).hexdigest()} if known else {})
    )
    hub.files["/mirror/example.org/net.pth"] = DATA
    hub.cuts, hub.codes = [300_000], []
    hub.pause_at = 300_000
    process = iq.start("models", "pull", "net")
    assert hub.paused.wait(60)
    hub.files["/mirror/example.org/net.pth"] = other
    hub.cuts = [0]
    hub.go.set()
    assert ended(process) == 0
    assert (place / "net.pth").read_bytes() == other


def test_a_piece_that_lies_elsewhere_is_not_believed(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    place.mkdir(parents=True)
    (place / "net.pth.part").write_bytes(DATA[:1000])
    url = f"{hub.endpoint}/{MODEL}/resolve/{REVISION}/net.pth"
    (place / "net.pth.part.json").write_text(json.dumps({"url": url, "etag": ""}))
    hub.sent["Content-Range"] = f"bytes 5-{len(DATA) - 1}/{len(DATA)}"
    ran = iq("models", "pull", "net")
    assert ran.code == 0  # the second time it is asked from the start
    assert (place / "net.pth").read_bytes() == DATA


def test_a_part_of_another_file_is_no_beginning(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    for note in ('{"url": "http://elsewhere/", "etag": "x"}', "[1]"):
        place.mkdir(parents=True)
        (place / "net.pth.part").write_bytes(b"x" * 1000)
        (place / "net.pth.part.json").write_text(note)
        assert iq("models", "pull", "net").code == 0
        assert (place / "net.pth").read_bytes() == DATA
        assert iq("models", "rm", "net").code == 0
    assert {headers.get("range") for headers in hub.got("/cdn/")} == {None}


@pytest.mark.parametrize("told", [True, False])
def test_a_wrong_file_gets_no_name(iq: Iq, hub: Hub, told: bool) -> None:
    """Also where the hub itself tells the wrong sum: the table knows it."""
    wrong = bytes(len(DATA))
    hub.put(MODEL, "net.pth", wrong)
    if not told:
        hub.told["X-Linked-Etag"] = None
    place = tabled(iq, hub, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert hashlib.sha256(wrong).hexdigest() in ran.err
    assert not place.exists()
    assert states(iq)["net"] == "not pulled"


def test_a_file_that_is_not_the_one_the_hub_told_of(iq: Iq, hub: Hub) -> None:
    hub.told["X-Linked-Etag"] = f'"{"0" * 64}"'
    place = tabled(iq, hub, net=ROW | {"hub": MODEL})
    ran = iq("models", "pull", "net")
    assert (ran.code, "0" * 64 in ran.err) == (2, True)
    assert nothing_is_placed(place)


def test_another_revision_than_was_asked_for(iq: Iq, hub: Hub) -> None:
    hub.told["X-Repo-Commit"] = "f" * 40
    place = tabled(iq, hub, net=ON_HUB)
    ran = iq("models", "pull", "net")
    assert (ran.code, "it is of revision ffff" in ran.err) == (2, True)
    assert nothing_is_placed(place)


@pytest.mark.parametrize("known", [True, False])
def test_an_absurd_length_is_not_even_begun(iq: Iq, hub: Hub, known: bool) -> None:
    hub.sent["Content-Length"] = str(10**12)
    place = tabled(iq, hub, net=ON_HUB if known else ROW | {"hub": MODEL})
    ran = iq("models", "pull", "net")
    assert ran.code == 2
    assert "it has 1,000,000,000,000 bytes, not 700,000" in ran.err
    assert nothing_is_placed(place)


def test_a_stream_without_end_is_ended(iq: Iq, hub: Hub) -> None:
    hub.put(MODEL, "net.pth", DATA * 40)
    hub.sent["Content-Length"] = None
    hub.told["X-Linked-Etag"] = None
    hub.pause_at = 2_000_000  # and who waits for more waits for long
    place = tabled(iq, hub, net=ON_HUB)
    began = time.monotonic()
    ran = iq("models", "pull", "net")
    assert time.monotonic() - began < TIMEOUT
    assert (ran.code, "it has more than 700,000 bytes" in ran.err) == (2, True)
    assert not place.exists()


def test_a_page_instead_of_the_file(iq: Iq, hub: Hub) -> None:
    """What an airport sends: 200, and a page that asks for a room number."""
    hub.files["/mirror/example.org/net.pth"] = b"<html>welcome</html>"
    place = tabled(iq, hub, net=ROW | {"url": "https://example.org/net.pth"})
    ran = iq("models", "pull", "net")
    assert (ran.code, "it has 20 bytes" in ran.err) == (2, True)
    assert nothing_is_placed(place)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_a_redirect_to_no_web_address_is_not_followed(iq: Iq, hub: Hub, to: str) -> None:
    hub.points_to = to
    place = tabled(iq, hub, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert "not safe to follow" in ran.err
    assert nothing_is_placed(place)


def test_https_is_not_left_for_http() -> None:
    from urllib import request

    from iqcli.weights.download import _Redirects

    asked = request.Request("https://example.org/a")
    with pytest.raises(IqError, match="not safe to follow"):
        _Redirects(None, None).redirect_request(asked, None, 302, "", {}, "http://example.org/b")  # type: ignore[arg-type]


def test_a_signed_address_is_long(iq: Iq, hub: Hub) -> None:
    """What hubs and stores point to carries a policy and a signature, more than 1,000 letters."""
    path = f"/{MODEL}/resolve/{REVISION}/net.pth?Policy={'a' * 1500}"
    hub.files[path] = DATA
    hub.points_to = f"http://localhost:{hub.port}/cdn{path}"
    place = tabled(iq, hub, net=ON_HUB)
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA


def test_what_stands_beside_a_redirect_is_not_read(iq: Iq, hub: Hub) -> None:
    hub.told["Content-Length"] = str(10**12)  # and who waits for it waits for long
    tabled(iq, hub, net=ON_HUB)
    began = time.monotonic()
    assert iq("models", "pull", "net").code == 0
    assert time.monotonic() - began < TIMEOUT


@pytest.mark.parametrize("name", ["Content-Length", "Content-Range"])
def test_a_number_without_end_is_none(iq: Iq, hub: Hub, name: str) -> None:
    """Python itself refuses to read more than 4,300 digits."""
    digits = "9" * 5000
    hub.sent[name] = digits if name == "Content-Length" else f"bytes {digits}-{digits}/{digits}"
    hub.cuts = [300_000]
    tabled(iq, hub, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet")
    if name == "Content-Range":
        assert ran.code == 0  # asked anew from the start
    else:
        assert (ran.code, "it has 300,000 bytes, not 700,000" in ran.err) == (2, True)


def test_a_piece_that_ends_too_early_is_not_the_whole(iq: Iq, hub: Hub) -> None:
    """The range says how long the file is; without a sum nothing else tells."""
    hub.files["/mirror/example.org/net.pth"] = DATA
    place = tabled(iq, hub, net=ROW | {"url": "https://example.org/net.pth"})
    hub.cuts, hub.piece = [300_000], 150_000
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA


def test_what_no_pull_placed_is_not_overwritten(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    place.mkdir(parents=True)
    (place / "net.pth").write_text("mine")
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines), hub.asked) == (2, 1, [])
    assert f"{place}/net.pth is in the way, and no pull placed it; move it away" in ran.err
    assert "no weights of net are here" in iq("models", "rm", "net").err
    assert (place / "net.pth").read_text() == "mine"


def test_cut_off_between_the_name_and_the_account(iq: Iq, hub: Hub) -> None:
    """Without a sum nothing but the note tells that the file is ours."""
    place = tabled(iq, hub, net=ROW | {"hub": MODEL})
    place.mkdir(parents=True)
    (place / "net.pth").write_bytes(DATA)
    (place / "net.pth.part.json").write_text("{}")
    assert iq("models", "pull", "net").code == 0
    assert sorted(each.name for each in place.iterdir()) == ["installed.json", "net.pth"]


@pytest.mark.parametrize("name", ["installed.json", "net.pth.part", "net.pth.part.json"])
def test_nothing_is_written_through_a_link(iq: Iq, hub: Hub, name: str) -> None:
    place, precious = tabled(iq, hub, net=ON_HUB), iq.home / "precious"
    url = f"{hub.endpoint}/{MODEL}/resolve/{REVISION}/net.pth"
    precious.write_text(told := json.dumps({"url": url, "etag": ""}))
    place.mkdir(parents=True)
    (place / "net.pth.part.json").write_text(told)
    (place / name).unlink(missing_ok=True)
    (place / name).symlink_to(precious)
    assert iq("models", "pull", "net").code == 0
    assert precious.read_text() == told
    assert (place / "net.pth").read_bytes() == DATA
    assert not (place / "installed.json").is_symlink()


def test_a_server_that_sends_less_each_time_is_given_up(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB)
    hub.ranges, hub.cuts = False, [9000, 1000] * 20
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, "does not send the rest of net.pth" in ran.err) == (2, True)
    assert len(hub.got("/cdn/")) < 10


def test_nothing_came_and_nothing_is_said_to_be_kept(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB)
    hub.codes = [503] * 9
    ran = iq("models", "pull", "net", "--quiet")
    assert "does not send net.pth: it answers 503; pull again later" in ran.err


def test_an_address_with_a_port_that_is_no_number(iq: Iq) -> None:
    tabled(iq, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet", HF_ENDPOINT="http://127.0.0.1:abc")
    assert (ran.code, "HF_ENDPOINT is" in ran.err) == (2, True)


def test_a_folder_that_must_stay_is_no_fault(
    iq: Iq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one on which a disk is mounted: it cannot be removed even while it holds files."""
    place = tabled(iq, net=ON_HUB)
    (tmp_path / "mine").write_bytes(DATA)

    def busy(folder: Path) -> None:
        raise OSError(errno.EBUSY, "busy", str(folder))

    monkeypatch.setattr(files, "remove_folder", busy)
    install.pull(store(iq), store(iq).row("net"), lambda done: None, tmp_path / "mine")
    assert store(iq).is_installed("net")
    assert (place / "net.pth").read_bytes() == DATA


def test_a_redirect_in_a_circle_ends(iq: Iq, hub: Hub) -> None:
    hub.points_to = f"{hub.endpoint}/{MODEL}/resolve/{REVISION}/net.pth"
    tabled(iq, hub, net=ON_HUB)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)


def test_killed_in_the_middle_it_goes_on(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    hub.pause_at = 400_000
    process = iq.start("models", "pull", "net")
    part = place / "net.pth.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 262_144) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    ended(process)
    hub.go.set()
    kept = part.stat().st_size
    assert 0 < kept < len(DATA)
    assert nothing_is_placed(place)
    assert states(iq)["net"] == "partly pulled"
    assert iq("models", "pull", "net").code == 0
    assert (place / "net.pth").read_bytes() == DATA
    assert hub.got("/cdn/")[-1]["range"] == f"bytes={kept}-"
    assert "if-range" in hub.got("/cdn/")[-1]


def test_killed_before_the_account_it_is_not_fetched_twice(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    place.mkdir(parents=True)
    (place / "net.pth").write_bytes(DATA)
    assert states(iq)["net"] == "not pulled"
    assert iq("models", "pull", "net").code == 0
    assert states(iq)["net"] == "ready"
    assert hub.asked == []


def test_two_pulls_at_once(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    hub.pause_at = 1000
    first = iq.start("models", "pull", "net")
    assert hub.paused.wait(60)
    second = iq("models", "pull", "net", "--quiet")
    assert (second.code, "another iq is pulling net" in second.err) == (2, True)
    assert iq("models", "rm", "net").code == 2
    hub.go.set()
    assert ended(first) == 0
    assert (place / "net.pth").read_bytes() == DATA


def test_a_full_disk_is_told_and_gone_on_with(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = iq.start("models", "pull", "net", "--quiet", preexec_fn=small)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"net.pth.part: File too large; make room there and pull again" in err
    assert nothing_is_placed(place)
    assert iq("models", "pull", "net").code == 0


def test_what_has_no_room_is_not_begun(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB | {"size": 10**13})
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert "net needs 10,000,000 MB and 17 MB to spare, and " in ran.err
    assert "make room there, or set IQ_DATA_DIR" in ran.err
    assert (hub.asked, nothing_is_placed(place)) == ([], True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ON_HUB)
    (iq.home / "data").mkdir()
    (iq.home / "data").chmod(0o500)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, "set IQ_DATA_DIR" in ran.err) == (2, True)
    assert not place.exists()


def test_a_file_where_the_folder_should_be(iq: Iq, hub: Hub) -> None:
    tabled(iq, hub, net=ON_HUB)
    (iq.home / "data").write_text("in the way")
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, len(ran.lines)) == (2, 1)


def test_unknown_names(iq: Iq) -> None:
    tabled(iq, net=ON_HUB)
    for verb in ("pull", "rm", "verify"):
        ran = iq("models", verb, "nope")
        assert (ran.code, len(ran.lines)) == (2, 1)
        assert "give one of" in ran.err
    assert "needs no weights" in iq("models", "pull", "fusion-mini").err
    assert "are here; see" in iq("models", "rm", "net").err


def test_from_a_file(iq: Iq, tmp_path: Path) -> None:
    """Offline, checked in the same way, and the file stays where it is."""
    place = tabled(iq, net=ON_HUB)
    mine = tmp_path / "downloaded (1)"
    mine.write_bytes(DATA[::-1])
    ran = iq("models", "pull", "net", "--from", mine)
    assert (ran.code, "its sha256 is" in ran.err) == (2, True)
    assert nothing_is_placed(place)
    mine.write_bytes(DATA[:-1])
    assert "it has 699,999 bytes, not 700,000" in iq("models", "pull", "net", "--from", mine).err
    mine.write_bytes(DATA)
    assert iq("models", "pull", "net", "--from", mine).code == 0
    assert (place / "net.pth").read_bytes() == mine.read_bytes() == DATA
    assert account(place)["source"] == str(mine)


def test_another_file_than_the_one_here_replaces_it_on_force_alone(iq: Iq, tmp_path: Path) -> None:
    """Fault: `--from FILE` said that the weights are here already, and kept the old ones."""
    place = tabled(iq, net=ROW)
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    old.write_bytes(DATA)
    new.write_bytes(DATA[::-1])
    assert iq("models", "pull", "net", "--from", old).code == 0
    again = iq("models", "pull", "net", "--from", old)
    assert (again.code, again.lines) == (0, ["net is here already"])
    ran = iq("models", "pull", "net", "--from", new)
    assert (ran.code, len(ran.lines)) == (2, 1)
    for part in (str(new), str(place / "net.pth"), SUM, "nothing was changed", "--force"):
        assert part in ran.err
    assert (place / "net.pth").read_bytes() == DATA
    assert iq("models", "pull", "net", "--from", new, "--force").code == 0
    assert (place / "net.pth").read_bytes() == DATA[::-1]
    assert account(place)["source"] == str(new)
    assert states(iq) == {"net": "ready"}


def test_no_force_replaces_what_the_table_knows(iq: Iq, tmp_path: Path) -> None:
    place = tabled(iq, net=ON_HUB)
    mine = tmp_path / "mine.pth"
    mine.write_bytes(DATA)
    assert iq("models", "pull", "net", "--from", mine).code == 0
    mine.write_bytes(DATA[::-1])
    for words in ((), ("--force",)):
        ran = iq("models", "pull", "net", "--from", mine, *words)
        assert (ran.code, f"not {SUM}; nothing was placed" in ran.err) == (2, True)
    # Also where the record is gone and the right file lies there.
    (place / "installed.json").unlink()
    assert "nothing was placed" in iq("models", "pull", "net", "--from", mine).err
    assert (place / "net.pth").read_bytes() == DATA


def test_force_fetches_anew(iq: Iq, hub: Hub) -> None:
    place = tabled(iq, hub, net=ROW | {"hub": MODEL})
    assert iq("models", "pull", "net").code == 0
    asked = len(hub.asked)
    assert iq("models", "pull", "net", "--force").code == 0
    assert len(hub.asked) > asked
    assert (place / "net.pth").read_bytes() == DATA


def test_from_what_is_no_file(iq: Iq, tmp_path: Path) -> None:
    tabled(iq, net=ON_HUB, other=ON_HUB)
    os.mkfifo(tmp_path / "pipe")
    for given in (tmp_path, tmp_path / "gone", tmp_path / "pipe"):
        ran = iq("models", "pull", "net", "--from", given)
        assert (ran.code, len(ran.lines)) == (2, 1)
    ran = iq("models", "pull", "net", "other", "--from", tmp_path / "gone")
    assert "2 names are given; give one" in ran.err


def test_a_row_without_an_address_asks_for_a_file(iq: Iq) -> None:
    tabled(iq, net=ROW)
    ran = iq("models", "pull", "net", "--quiet")
    assert (ran.code, "names no address of net; give it with `--from FILE`" in ran.err) == (2, True)
