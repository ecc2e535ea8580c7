"""The installed CLIP towers, ready to be asked: pixels and prompts in, embeddings out."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from iqcli.extractors.towerfile import config_of, filled
from iqcli.fs.files import write_atomic
from iqcli.weights.store import digest, folder, path_of, row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import open_clip
    import torch
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

VERSION = 1
_READING = Lock()
_WRITING = Lock()


def tower(weights: str, device: str) -> open_clip.CLIP:
    """The CLIP of a row of the table, float32, ready to be asked; read once for all workers.

    Raises IqError where the weights are not installed or are not what their row says.
    """
    return tower_of(weights, identity(weights), device)


def tower_of(weights: str, known: str, device: str) -> open_clip.CLIP:
    """Like `tower`, for those who keep the `identity`: asking again costs nothing."""
    with _READING:
        return _tower(weights, known, device)


def identity(weights: str) -> str:
    """Of the installed file and of the architecture that its row tells; a part of fingerprints.

    Raises IqError where it is not installed.
    """
    said = row(weights)
    shape = json.dumps(said.config, sort_keys=True) if said.config else str(said.arch)
    return f"{digest(weights)}|{shape}"


def embed_whole(clip: open_clip.CLIP, pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) normalised pixels of any size, sides of 32 and more, to (n, embed_dim).

    For towers that are a ResNet: their attention pooling without its positional embedding, which
    knows one size only (Wang et al., CLIP-IQA, AAAI 2023). The query is the mean of all places.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812

    eye = clip.visual
    x = eye.layer4(eye.layer3(eye.layer2(eye.layer1(eye.stem(pixels)))))
    pool = eye.attnpool
    places = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([places.mean(dim=0, keepdim=True), places])
    found, _ = F.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=tokens.shape[-1],
        num_heads=pool.num_heads,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
    )
    return found[0]


def tokens_of(clip: open_clip.CLIP, prompts: Sequence[str]) -> torch.Tensor:
    """(n, context) token numbers of OpenAI's own tokenizer."""
    from open_clip import SimpleTokenizer

    tokens: torch.Tensor = SimpleTokenizer(context_length=clip.context_length)(list(prompts))
    return tokens


def text_features(weights: str, prompts: Sequence[str]) -> Rows:
    """(n, embed_dim) float32 unit rows, one a prompt; read-only.

    Encoded once, on the CPU in float32, and kept beside the weights, so that later runs need no
    torch; in a folder that cannot be written, once a run. Raises IqError like `tower`.
    """
    with _WRITING:
        return _texts(weights, identity(weights), tuple(prompts))


@lru_cache(maxsize=32)
def _texts(weights: str, known: str, prompts: tuple[str, ...]) -> Rows:
    from safetensors.numpy import save

    told = json.dumps([VERSION, known, prompts])
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    kept = folder(weights) / f"texts-{key}.safetensors"
    rows = _kept(kept, len(prompts))
    if rows is None:
        rows = encode(tower_of(weights, known, "cpu"), prompts)
        with suppress(OSError):  # a read-only folder: encoded again at the next start
            write_atomic(kept, save({"rows": rows}))
    rows.flags.writeable = False
    return rows


def encode(clip: open_clip.CLIP, prompts: Sequence[str]) -> Rows:
    """(n, embed_dim) unit rows of a tower on the CPU."""
    import numpy as np
    import torch

    with torch.inference_mode():
        rows = clip.encode_text(tokens_of(clip, prompts), normalize=True)
    return np.ascontiguousarray(rows.float().numpy())


def _kept(file: Path, count: int) -> Rows | None:
    """The rows of an earlier run; None where there are none, or they are damaged."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        rows = load(file.read_bytes())["rows"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    sound = rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == count
    if sound and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
        return np.array(rows)
    return None


@lru_cache(maxsize=4)
def _tower(weights: str, known: str, device: str) -> open_clip.CLIP:
    return filled(config_of(weights), path_of(weights), row(weights).what, "pull it again", device)
