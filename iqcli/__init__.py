"""`iq` judges, ranks and culls photos; `ImageQualityFusion` is its Python door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iqcli.api import ImageQualityFusion as ImageQualityFusion

__version__ = "0.5.0"
__all__ = ["ImageQualityFusion", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the Python door only when it is asked for: `iq --help` must stay light."""
    if name == "ImageQualityFusion":
        from iqcli.api import ImageQualityFusion

        return ImageQualityFusion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
