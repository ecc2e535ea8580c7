"""All that can be set about the training of a QualiCLIP; the standard depends on the start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QualiclipConfig:
    """All there is to set; this is the standard for a tower that has learnt already.

    `photos` a step, of which `chunk` are computed at once; `side` of a crop in pixels of the head
    view; up to `composed` distortions at once. `rate` and `weight_decay` are those of AdamW, the
    rate rises over `ramp` steps and falls along half a cosine. `slack` and `margin` are the paper's
    m_c and m_r, in units of a cosine. `average` is the part of the moving average that stays at
    each step. `watched` held-out photos are looked at when all is done.

    The paper's rate is told to be 1e-9, over 87,500 steps. The standard here goes as far in 2,000
    steps: a rate so small would also be lost in the rounding of float32.
    """

    seed: int = 2021
    steps: int = 2000
    photos: int = 16
    chunk: int = 2
    side: int = 224
    composed: int = 1
    rate: float = 9e-8
    ramp: int = 50
    weight_decay: float = 0.01
    slack: float = 2.5e-3
    margin: float = 6.75e-2
    consistency_weight: float = 1.0
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    average: float = 0.0
    save_every: int = 100
    watch_every: int = 100
    watched: int = 12
    loaders: int = 1


# A tower that begins with nothing: it learns at a rate that would ruin a CLIP.
TINY = QualiclipConfig(steps=1200, photos=6, chunk=6, side=96, rate=2e-3, average=0.98, composed=1)
QUALICLIP_LEAST = {
    "steps": 1,
    "photos": 1,
    "chunk": 1,
    "side": 32,
    "composed": 1,
    "save_every": 1,
    "watch_every": 1,
    "watched": 1,
}
