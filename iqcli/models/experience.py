"""What a weight file tells of photos that nothing was learnt from: the model's experience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqcli.records import Experience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# Optional, (n,) each: scores, uncertainties and opinions; one photo a scene.
HELD = ("held.scores", "held.sigmas", "held.opinions")


def experience_of(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> Experience | None:
    """The held-out experience that a checked file carries, if any."""
    if HELD[0] not in tensors:
        return None
    scores, sigmas, opinions = (tensors[name] for name in HELD)
    return Experience(scores, sigmas, opinions, info.get("held", ""))


def is_sound(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    """Nothing of it, or all of it: of one length, on the scale, with some doubt, well named.

    So must be what the file says of the blocks it knows (`known_by`).
    """
    held = [tensors[name] for name in HELD if name in tensors]
    named, known_by = info.get("held", ""), info.get("known_by", {})
    if not (isinstance(named, str) and named.isprintable() and isinstance(known_by, dict)):
        return False
    return not held or (len(held) == len(HELD) and _is_told(held))


def _is_told(held: Sequence[Array]) -> bool:
    scores, sigmas, opinions = held
    if not scores.shape == sigmas.shape == opinions.shape or scores.ndim != 1 or not len(scores):
        return False
    on_scale = all(((each >= 1) & (each <= 10)).all() for each in (scores, opinions))
    return on_scale and bool((sigmas > 0).all())
