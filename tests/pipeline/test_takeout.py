from __future__ import annotations

import json
import time

import pytest

from iqcli.pipeline.sidecars import MAX_TAKEOUT_BYTES, favourite_of, takeout_of

SAID = {"title": "IMG_1.JPG", "photoTakenTime": {"timestamp": "1700000000"}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_favourite(encoding: str) -> None:
    assert favourite_of(takeout_of(json.dumps(SAID | {"favorited": True}).encode(encoding))) == 1


@pytest.mark.parametrize(
    "content",
    [
        SAID,
        SAID | {"favorited": False},
        SAID | {"favorited": "true"},
        SAID | {"favorited": 1},
        {"photo": {"favorited": True}},
        [{"favorited": True}],
        None,
        3,
    ],
)
def test_no_favourite(content: object) -> None:
    assert favourite_of(takeout_of(json.dumps(content).encode())) is None


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"favorited": true', b"\0" * 9, b"\xff\xfe\x00", b"x", b"[" * 200_000]
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        takeout_of(data)


def test_what_is_too_long_is_another_programs() -> None:
    begin = time.process_time()
    assert takeout_of(b"[" * (MAX_TAKEOUT_BYTES + 1)) is None
    assert time.process_time() - begin < 0.1
