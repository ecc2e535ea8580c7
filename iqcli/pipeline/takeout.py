"""Google Takeout's companions, `IMG_1.JPG.json`: whether the photo was a favourite."""

from __future__ import annotations

import json

MAX_BYTES = 4 * 2**20


def favourite_of(data: bytes) -> int | None:
    """1 for a favourite, None where the file says nothing of that: Takeout writes no "false".

    What is above `MAX_BYTES` is another program's. Raises ValueError for what is no JSON: half a
    file may have lost the word.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        said = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return 1 if isinstance(said, dict) and said.get("favorited") is True else None
