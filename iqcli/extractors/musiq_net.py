"""The network of MUSIQ: patches of several scales of one picture, read by one transformer.

Ke, Wang, Wang, Milanfar, Yang, "MUSIQ: Multi-scale Image Quality Transformer", ICCV 2021,
https://arxiv.org/abs/2108.05997. The tensors are named as in its torch conversions, which it
follows in the activation (exact GELU) and in the deviation of standardised filters (unbiased).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

SIZE = 384
HEADS = 6
PATCH = 32
GRID = 10
SCALES = 3
GROUPS = 32


class StdConv(nn.Conv2d):
    """A convolution of standardised filters, zero-padded as TensorFlow pads for SAME."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(same(input, self.kernel_size[0], self.stride[0]), weight, None, self.stride)


def same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Zeros around (..., h, w) so that ceil(side / stride) places fit; the odd one comes last."""
    height, width = (max(-side % stride + kernel - stride, 0) for side in x.shape[-2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


class Bottleneck(nn.Module):
    """A residual unit that widens `width` channels to four times as many."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = StdConv(width, width, 1, bias=False)
        self.gn1 = nn.GroupNorm(GROUPS, width, eps=1e-4)
        self.conv2 = StdConv(width, width, 3, bias=False)
        self.gn2 = nn.GroupNorm(GROUPS, width, eps=1e-4)
        self.conv3 = StdConv(width, 4 * width, 1, bias=False)
        self.gn3 = nn.GroupNorm(GROUPS, 4 * width, eps=1e-4)
        self.conv_proj = StdConv(width, 4 * width, 1, bias=False)
        self.gn_proj = nn.GroupNorm(GROUPS, 4 * width, eps=1e-4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.gn1(self.conv1(x)))
        y = F.relu(self.gn2(self.conv2(y)))
        return F.relu(self.gn3(self.conv3(y)) + self.gn_proj(self.conv_proj(x)))


class Attention(nn.Module):
    """Self-attention of `HEADS` heads that looks at no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(SIZE, SIZE) for _ in range(4))

    def forward(self, x: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
        query, key, value = (
            each(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        # Published code gives padding the logit -1000, which is a weight of 0 in float32 too.
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=real)
        found: torch.Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return found


class Mlp(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(SIZE, hidden)
        self.fc2 = nn.Linear(hidden, SIZE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc2(F.gelu(self.fc1(x)))
        return found


class Layer(nn.Module):
    """One layer of the encoder, normalised before each half."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(SIZE, eps=1e-6)
        self.attention = Attention()
        self.norm2 = nn.LayerNorm(SIZE, eps=1e-6)
        self.mlp = Mlp(hidden)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
        x = x + self.attention(self.norm1(x), real)
        found: torch.Tensor = x + self.mlp(self.norm2(x))
        return found


class Positions(nn.Module):
    """What is added for the place of a patch: all sizes are hashed to one grid."""

    def __init__(self) -> None:
        super().__init__()
        self.position_emb = nn.Parameter(torch.zeros(1, GRID * GRID, SIZE))


class Scales(nn.Module):
    """What is added for the scale that a patch was cut from."""

    def __init__(self) -> None:
        super().__init__()
        self.scale_emb = nn.Parameter(torch.zeros(SCALES, SIZE))


class Encoder(nn.Module):
    def __init__(self, layers: int, hidden: int) -> None:
        super().__init__()
        self.posembed_input = Positions()
        self.scaleembed_input = Scales()
        self.cls = nn.Parameter(torch.zeros(1, 1, SIZE))
        self.encoder_norm = nn.LayerNorm(SIZE, eps=1e-6)
        names = (f"encoderblock_{number}" for number in range(layers))
        self.transformer = nn.ModuleDict({name: Layer(hidden) for name in names})


class Musiq(nn.Module):
    """MUSIQ up to its class token; the head is apart. As published: width 64, 14 layers, 1152."""

    def __init__(self, width: int = 64, layers: int = 14, hidden: int = 1152) -> None:
        super().__init__()
        self.conv_root = StdConv(3, width, 7, 2, bias=False)
        self.gn_root = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.block1 = Bottleneck(width)
        self.embedding = nn.Linear(4 * width * (PATCH // 4) ** 2, SIZE)
        self.transformer_encoder = Encoder(layers, hidden)

    def tokens(
        self, patches: torch.Tensor, places: torch.Tensor, scales: torch.Tensor
    ) -> torch.Tensor:
        """(k, 3, PATCH, PATCH) patches of -1..1, their places and scales (k,), to (k, SIZE)."""
        x = F.relu(self.gn_root(self.conv_root(patches)))
        x = self.block1(F.max_pool2d(same(x, 3, 2), 3, 2))
        x = self.embedding(x.permute(0, 2, 3, 1).flatten(1))  # TensorFlow has the channels last
        encoder = self.transformer_encoder
        x = x + encoder.posembed_input.position_emb[0, places]
        found: torch.Tensor = x + encoder.scaleembed_input.scale_emb[scales]
        return found

    def forward(self, tokens: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """(n, k, SIZE) tokens, those that are `real` (n, k) and no padding, to (n, SIZE)."""
        encoder = self.transformer_encoder
        x = torch.cat([encoder.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        mask = None if bool(real.all()) else F.pad(real, (1, 0), value=True)[:, None, None]
        for layer in encoder.transformer.values():
            x = layer(x, mask)
        found: torch.Tensor = encoder.encoder_norm(x[:, 0])
        return found
