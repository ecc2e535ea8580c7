"""What a cold photo costs: `python tests/bench/decode.py [PHOTO ...]`.

Prints the CPU time of a JPEG of 12 megapixels, drawn, and of those that are given, through a long
run: decoded, measured, rated and written as a row of `iq score`, its faults included; and that of
the score alone, once the views are there. Both as ratios to the floor that is measured in the same
run, the half-size decode of Pillow. The network's share and the other steps are listed beside them.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from PIL import Image

from iqcli.extractors.base import PhotoBlock
from iqcli.fs.syscalls import keep_freed_memory
from iqcli.models.registry import Registry
from iqcli.models.scoring import judge
from iqcli.output.rows import row, to_jsonl
from iqcli.photos.read import read_photo
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.devices import measure_views
from iqcli.pipeline.measure import measure
from iqcli.records import Shot
from iqcli.runtime.library import has_bfloat16
from iqcli.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import RatedModel
    from iqcli.records import Views

COPIES = 24
WHOLE_LIMIT, WHOLE_LIMIT_FLOAT32 = 2.2, 2.5
SCORE_LIMIT = 0.6
Task = Callable[[], object]


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


def cpu_ms(task: Task) -> float:
    """CPU milliseconds of all threads for one call."""
    start = time.process_time()
    task()
    return (time.process_time() - start) * 1000


def medians(tasks: dict[str, Task]) -> dict[str, float]:
    """The median cost of each task, run in turn, so that a busy machine slows them alike."""
    for task in tasks.values():
        task()
    rounds = [{name: cpu_ms(task) for name, task in tasks.items()} for _ in range(COPIES)]
    return {name: median(each[name] for each in rounds) for name in tasks}


def scaled_decode(data: bytes) -> None:
    """The floor: the half-size decode of libjpeg, by Pillow."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // 2, image.height // 2))
    image.load()


def score(model: RatedModel, views: Views) -> None:
    """What the score is made of once the views are there: its head's blocks, then the head."""
    blocks = [each for each in model.blocks if each.name in model.predictor.reads]
    (found,) = measure_views([views], blocks, "cpu")
    model.predictor.predict({name: vector[None] for name, vector in found.items()})


def steps(data: bytes, model: RatedModel) -> dict[str, Task]:
    """Parts of a photo by name; a block of the network as its input and its forward pass."""
    width, height = Image.open(io.BytesIO(data)).size
    half = {"min_width": width // 2, "min_height": height // 2}
    _, views = read_photo(data, max_megapixels=100)
    (blocks,) = measure_views([views], model.blocks, "cpu")
    found: dict[str, Task] = {
        "decode": lambda: scaled_decode(data),
        "score": lambda: score(model, views),
        "simplejpeg": lambda: simplejpeg.decode_jpeg(data, "RGB", **half),
        "bytes to views": lambda: read_photo(data, max_megapixels=100),
        "rating": lambda: model.rate([blocks]),
    }
    return found | {
        name: task for block in model.blocks for name, task in block_steps(block, views).items()
    }


def block_steps(block: AnyBlock, views: Views) -> dict[str, Task]:
    """What a block costs, in one part or two."""
    if isinstance(block, PhotoBlock):
        return {block.name: lambda: block.extract(views)}
    prepared = [block.prepare(views)]
    return {
        f"{block.name}, input": lambda: block.prepare(views),
        f"{block.name}, network": lambda: block.forward(prepared, "cpu"),
    }


def whole_photo(data: bytes, model: RatedModel) -> float:
    """CPU milliseconds of a photo from its file to its row, in a run over many."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = Settings(cache_dir=root / "cache", state_dir=root / "state", jobs=2)
        shots = [Shot(root, root / f"{number}.jpg") for number in range(COPIES + 2)]
        for number, shot in enumerate(shots):
            # A comment at the end makes another content of the same picture.
            shot.path.write_bytes(data + f"{number}".encode())
        cache = Cache(settings.cache_dir, print)

        def run(some: Sequence[Shot]) -> None:
            photos = judge(measure(some, model.blocks, cache, settings), model)
            for _ in to_jsonl(map(row, photos)):
                pass
            cache.flush()

        run(shots[:2])
        cost = cpu_ms(lambda: run(shots[2:]))
        cache.close()
    return cost / COPIES


def main() -> int:
    """Measure, print, and fail above the limits."""
    keep_freed_memory()
    photos = {"drawn": drawn()} | {name: Path(name).read_bytes() for name in sys.argv[1:]}
    model = Registry.of(load({}, None)).load("fusion-mini")
    limit = WHOLE_LIMIT if has_bfloat16() else WHOLE_LIMIT_FLOAT32
    failed = False
    for name, data in photos.items():
        cost = medians(steps(data, model))
        whole = whole_photo(data, model)
        floor, alone = cost.pop("decode"), cost.pop("score")
        network = sum(each for part, each in cost.items() if part.endswith(", network"))
        print(f"{name}: {len(data) / 1e6:.1f} MB, scaled decode {floor:.1f} ms of CPU")
        print("  " + ", ".join(f"{part} {each:.1f}" for part, each in cost.items()))
        for what, value, most in (("whole photo", whole, limit), ("score", alone, SCORE_LIMIT)):
            without = (value - network) / floor
            print(
                f"  {what} {value:.1f} ms: {value / floor:.2f} x decode, limit {most}; "
                f"without the network {without:.2f}"
            )
            failed |= value > most * floor
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
