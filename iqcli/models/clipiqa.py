"""CLIP-IQA: five questions asked of CLIP, nothing learnt (Wang, Chan and Loy, AAAI 2023).

    q = mean over pairs of softmax(100 [cos(f, good), cos(f, bad)])_0          0 .. 1

f is what ResNet-50 says of the whole head view without positional embedding, the block
`clip:RN50`. At the full size of phone photos the order is much worse; the head view has a short
side of 512 pixels. Uses the five pairs of the published code, not the one pair of the paper.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from iqcli.extractors.clip import PROMPTS, share_of_good
from iqcli.extractors.clip_model import text_features
from iqcli.models.base import Method

if TYPE_CHECKING:
    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array

BLOCK = "clip:RN50"
WEIGHTS = "clip-rn50"


def predictor(source: Source) -> Method:
    """The model. Raises IqError where CLIP's weights are missing or foreign."""
    texts = text_features(source.weights, WEIGHTS, PROMPTS)
    return Method(quality=partial(quality, texts), reads=(BLOCK,))


def quality(texts: Array, blocks: Blocks) -> Array:
    """(2 k, 1024) texts and (n, 1024) vectors of `clip:RN50` to (n,) in 0..1."""
    return share_of_good(blocks[BLOCK], texts)
