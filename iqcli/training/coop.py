"""Learn the words before a text: CoOp (Zhou et al., IJCV 2022) under a HEX graph.

A node is described by its label's title and a word for its level, in several templates. Each
template k has context vectors of its own that are learnt, shared by all nodes:

    tokens = [start] [context_k1 .. context_km] [words of the node in template k ..] [end]
    t_i    = unit mean over k of the unit text features at [end]
    f_i    = exp(a) cos(e, t_i) + c_i

Only the contexts, a and c learn: both towers stay as they are, the image embeddings e are cached,
and the learnt texts go into the file, so scoring needs neither tower nor torch for them. Since the
image tower is frozen, a begins at the tower's own temperature, and c where faults are as rare as
they are.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from iqcli.errors import IqError
from iqcli.extractors.clip_model import tokenize
from iqcli.models.hex.graph import switches
from iqcli.models.hex.head import PROMPTS
from iqcli.training.dataset import SEED
from iqcli.training.hex_fit import HexFit, RandomField
from iqcli.training.loop import train_until_plateau

if TYPE_CHECKING:
    from collections.abc import Callable

    import open_clip

    from iqcli.models.hex.config import Graph
    from iqcli.training.hex_fit import HexLoss, HexTrainingSet

CONTEXT = 4
TEMPLATES = (
    "{title}, {word}",
    "{word} fault: {title}",
    "a photo with {title}, {word}",
    "this picture shows {title}, {word}",
    "a phone photo, {title}, {word}",
)
WORDS = {2: "slight", 3: "strong", 4: "extreme"}
DEVIATION = 0.02
EPOCHS, PATIENCE = 100, 15
# Of the contexts, of the temperature and of the biases.
RATES = {"context": 2e-3, "temperature": 1e-3, "bias": 5e-2}
DECAY = 1e-3
# exp of it is the largest scale there may be.
HOTTEST = 6.9


class Prompts(torch.nn.Module):
    """Texts of the nodes with learnt contexts; `forward` gives (nodes, d) unit rows."""

    def __init__(self, clip: open_clip.CLIP, graph: Graph, count: int = CONTEXT) -> None:
        super().__init__()
        phrases = [
            template.format(title=graph.labels[label].title, word=WORDS[level])
            for label, level in graph.nodes
            for template in TEMPLATES
        ]
        tokens = tokenize(clip, phrases).to(clip.positional_embedding.device)
        ends = tokens.argmax(dim=1)  # the last word of the vocabulary ends a text
        self.length = int(ends.max()) + count + 1
        if self.length > clip.context_length:
            longest = phrases[int(ends.argmax())]
            raise IqError(
                f"{count} words and {longest!r} are longer than the {clip.context_length} tokens "
                "of the tower; give shorter titles or fewer --contexts"
            )
        width = clip.token_embedding.embedding_dim
        drawn = torch.randn(
            len(TEMPLATES), count, width, generator=torch.Generator().manual_seed(SEED)
        )
        self.context = torch.nn.Parameter(DEVIATION * drawn)
        self.temperature = torch.nn.Parameter(clip.logit_scale.detach().clone())
        self.bias = torch.nn.Parameter(torch.zeros(len(graph.nodes)))
        words = clip.token_embedding(tokens).detach().clone()
        self.register_buffer("words", words, persistent=False)
        # The contexts move everything after the start, the end of the text with it.
        self.register_buffer("ends", ends + count, persistent=False)
        # In a list, so that they are no part of this module. A copy: the shared tower may have been
        # read where nothing can be learnt through it (inference mode).
        self._parts = [_text_parts(clip)]

    def forward(self) -> torch.Tensor:
        text, words = self._parts[0], self.words
        assert isinstance(words, torch.Tensor)
        context = self.context.repeat(len(words) // len(self.context), 1, 1)
        x = torch.cat([words[:, :1], context, words[:, 1:]], dim=1)[:, : self.length]
        x = x + text.places[: self.length]
        x = text.transformer(x, attn_mask=text.mask[: self.length, : self.length])
        x = text.norm(x)[torch.arange(len(x)), self.ends] @ text.projection
        units = functional.normalize(x, dim=1).unflatten(0, (-1, len(TEMPLATES)))
        return functional.normalize(units.mean(dim=1), dim=1)

    def logits(self, units: torch.Tensor) -> torch.Tensor:
        """(n, d) unit embeddings to (n, nodes)."""
        scale = self.temperature.clamp(max=HOTTEST).exp()
        logits: torch.Tensor = scale * units @ self().T + self.bias
        return logits

    @torch.no_grad()
    def begin(self, units: torch.Tensor, on: torch.Tensor, known: torch.Tensor) -> None:
        """Set the biases so that the average photo has every node as often as it is on.

        Cosines of photos and texts are much alike and far from 0; times the temperature they would
        call every photo faulty, beyond what gradients can undo.
        """
        share = ((on * known).sum(dim=0) + 0.5) / (known.sum(dim=0) + 1)
        self.bias.zero_()
        self.bias.copy_(torch.logit(share) - self.logits(units).mean(dim=0))


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text tower after its embedding of words."""

    places: torch.Tensor
    mask: torch.Tensor
    transformer: torch.nn.Module
    norm: torch.nn.Module
    projection: torch.Tensor


def _text_parts(clip: open_clip.CLIP) -> _Text:
    return _Text(
        clip.positional_embedding.detach().clone(),
        clip.attn_mask.clone(),
        deepcopy(clip.transformer),
        deepcopy(clip.ln_final),
        clip.text_projection.detach().clone(),
    )


def fit(
    graph: Graph,
    data: HexTrainingSet,
    clip: open_clip.CLIP,
    count: int,
    loss: HexLoss,
    device: str,
    say: Callable[[str], None],
) -> HexFit:
    """Learn contexts over the text tower of `clip`, on `device`, from its one image block.

    An epoch is one step over all photos, because the texts cost far more than they do.
    """
    torch.manual_seed(SEED)
    (vectors,) = data.blocks.values()
    there = np.isfinite(vectors).all(axis=1)
    train, stop = (torch.from_numpy(each & there).to(device) for each in data.split())
    units = functional.normalize(torch.from_numpy(vectors).to(device), dim=1)
    on, known = (torch.from_numpy(each).to(device) for each in switches(graph, data.levels))
    field, prompts = RandomField(graph, device), Prompts(clip, graph, count).to(device)
    optimiser = torch.optim.AdamW(
        [
            {"params": [value], "lr": RATES[name], "weight_decay": DECAY * (name == "context")}
            for name, value in prompts.named_parameters()
        ]
    )
    prompts.begin(units[train], on[train], known[train])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    done = 0

    def epoch() -> float:
        nonlocal done
        value = loss(field, prompts.logits(units[train]), on[train], known[train])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        done += 1
        if done % 10 == 0:
            say(f"epoch {done} of at most {EPOCHS}: loss {value.item():.4f}")
        return value.item()

    def error() -> float:
        return loss(field, prompts.logits(units[stop]), on[stop], known[stop]).item()

    train_losses, stop_losses = train_until_plateau(prompts, epoch, error, EPOCHS, PATIENCE)
    with torch.inference_mode():
        tensors = {
            "text": prompts(),
            "scale": prompts.temperature.clamp(max=HOTTEST).exp()[None],
            "bias": prompts.bias,
        }
    kept = {n: np.ascontiguousarray(t.detach().cpu().numpy()) for n, t in tensors.items()}
    return HexFit(
        kept, {"kind": PROMPTS, "hidden": [], "contexts": count}, train_losses, stop_losses
    )
