"""The chunks of a PNG. Reads headers, never pixels.

Source: ISO/IEC 15948, 5 (chunks) and 11.2 (critical chunks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Channels, by the type of colours in the header.
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
SIGNATURE_BYTES, AROUND_BYTES = 8, 12


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name of each chunk, and where its content begins and ends: behind the file, if it is cut off.

    Its checksum is that of name and content, and stands behind them.
    """
    at = SIGNATURE_BYTES
    while at + AROUND_BYTES <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, at + 8 + size
        at += AROUND_BYTES + size
