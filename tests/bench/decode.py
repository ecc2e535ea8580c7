"""What a cold photo costs: `python tests/bench/decode.py [PHOTO]`.

Prints the CPU time of a 12-megapixel JPEG through the whole pipeline, and of what the score is made
of (the blocks of `fusion-mini` and its head), as ratios to the floor that is measured in the same
run: its scaled decode alone. Without PHOTO one is drawn.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from iqcli.extractors.registry import BLOCKS
from iqcli.models.base import RatedModel
from iqcli.models.registry import Registry
from iqcli.photos.read import read_photo
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.devices import measure_views
from iqcli.pipeline.measure import measure
from iqcli.records import Shot, Views
from iqcli.settings import Settings, load

COPIES = 24
WHOLE_LIMIT = 3.0
MODEL_LIMIT = 1.0


def drawn() -> bytes:
    """A 4032x3024 JPEG of about 4 MB: texture at every scale, as foliage and walls have."""
    random = np.random.default_rng(12)
    picture = np.full((3024, 4032, 3), 128, np.float32)
    for step, strength in ((504, 60), (126, 30), (28, 18), (7, 12), (2, 8)):
        coarse = random.normal(0, strength, (3024 // step + 1, 4032 // step + 1, 3))
        layer = np.repeat(np.repeat(coarse, step, axis=0), step, axis=1)
        picture += layer[:3024, :4032]
    buffer = io.BytesIO()
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80, subsampling=2)
    return buffer.getvalue()


def cpu_ms(task: Callable[[], object]) -> float:
    """CPU milliseconds of all threads for one call."""
    start = time.process_time()
    task()
    return (time.process_time() - start) * 1000


def scaled_decode(data: bytes) -> None:
    """The floor: libjpeg's own half-size decode."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // 2, image.height // 2))
    image.load()


def judge(model: RatedModel, views: Views) -> None:
    """What the model costs once the views are there: its head's blocks, one core, then the head."""
    blocks = [BLOCKS[name] for name in model.predictor.reads]
    (found,) = measure_views([views], blocks, "cpu")
    model.predictor.predict({name: vector[None] for name, vector in found.items()})


def main() -> int:
    """Measure, print, and fail above the limits."""
    data = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else drawn()
    model = Registry.of(load({}, None)).load("fusion-mini")
    views = read_photo(data, max_megapixels=100)[1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = Settings(cache_dir=root / "cache", state_dir=root / "state", jobs=2)
        shots = []
        for number in range(COPIES):
            # A comment at the end makes another content of the same picture.
            (root / f"{number}.jpg").write_bytes(data + f"{number}".encode())
            shots.append(Shot(root, root / f"{number}.jpg"))
        cache = Cache(settings.cache_dir, print)
        list(measure(shots[:2], model.blocks, cache, settings))
        judge(model, views)
        floor = median(cpu_ms(lambda: scaled_decode(data)) for _ in range(COPIES))
        judged = median(cpu_ms(lambda: judge(model, views)) for _ in range(COPIES))
        whole = cpu_ms(lambda: list(measure(shots[2:], model.blocks, cache, settings)))
        whole /= COPIES - 2
        cache.close()
    print(
        f"{len(data) / 1e6:.1f} MB, CPU: scaled decode {floor:.1f} ms, fusion-mini {judged:.1f} ms"
    )
    print(f"whole photo {whole:.1f} ms")
    print(f"fusion-mini / decode {judged / floor:.2f}, limit {MODEL_LIMIT}")
    print(f"whole photo / decode {whole / floor:.2f}, limit {WHOLE_LIMIT}")
    return int(judged > MODEL_LIMIT * floor or whole > WHOLE_LIMIT * floor)


if __name__ == "__main__":
    sys.exit(main())
