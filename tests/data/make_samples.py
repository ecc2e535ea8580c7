"""Make the samples of a version of iq: what it leaves on a disk, for later versions to read.

    python tests/data/make_samples.py tests/data/v0.1 "PYTHONPATH=CHECKOUT python -m iqcli"

The command is that of the version whose samples are wanted (a checkout of it, or an installed one).
The photos are drawn here, small, and the same every time; they lie in `photos/`. Each scene is a
folder with two parts:

    after/     the photos as the command left them
    state/     the journals (and what was replaced) of IQ_STATE_DIR

Symbolic links stand in `links.json` of a scene, as {link: target}; the trash of the scene `trash`
is the folder `after/trash`. Wherever a file names the folder that all of it lay in, it says `/ROOT`
instead. Beside the scenes lie a cache, a plan, decisions and models, and `expected.json`: what the
version said of the photos.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PLACE = b"/ROOT"
CULL = ("cull", "photos", "--below", "3", "--max-reject", "100%", "--apply")
# By name: the command that is run on the photos.
SCENES = {
    "move": CULL,
    "copy": (*CULL, "--action", "copy"),
    "link": (*CULL, "--action", "link"),
    "trash": (*CULL, "--action", "trash"),
    "xmp": ("export", "photos", "--xmp"),
    "cull-xmp": (*CULL, "--xmp"),
    "undone": CULL,
}
FAULTS = "too_bright,too_dark,low_contrast,high_contrast,overexposed,over_suppressed"
SCALE = ("--mos-range", "1:10")
SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="kept"/></rdf:RDF></x:xmpmeta>
"""


def picture(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """Discs of many colours on a slope of light; the higher the seed, the more blurred or dark."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    for _ in range(40):
        cx, cy, r = random.integers(0, width), random.integers(0, height), random.integers(4, 25)
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = random.integers(0, 256, 3)
    image = Image.fromarray(pixels.astype(np.uint8))
    if seed % 2:
        image = image.filter(ImageFilter.GaussianBlur(seed % 7 + 1))
    return image.point(lambda value: value // 3) if seed % 3 == 2 else image


def draw(folder: Path, count: int) -> None:
    """Photos in two folders over several days; one has a sidecar, one a second file."""
    for number in range(count):
        path = folder / ("a day" if number % 2 else "") / f"IMG_{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif.get_ifd(0x8769)[36867] = f"2024:05:{number % 6 + 1:02} 10:{number:02}:00"
        picture(number).save(path, quality=60, exif=exif)
        os.utime(path, ns=(10**18, 10**18 + number))
    (folder / "a day" / "IMG_03.jpg.xmp").write_text(SIDECAR)
    (folder / "IMG_02.MOV").write_bytes(b"a film")


class Maker:
    """Runs the old command in one folder and takes down what it leaves."""

    def __init__(self, command: str, top: Path) -> None:
        self.command = command
        self.here = top / "here"
        self.home = top / "home"

    def run(self, *args: str, code: int = 0) -> bytes:
        """What it writes to stdout."""
        places = {"cache": "IQ_CACHE_DIR", "state": "IQ_STATE_DIR", "data": "IQ_DATA_DIR"}
        env = os.environ | {value: str(self.home / key) for key, value in places.items()}
        env |= {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "share")}
        words = f'env {self.command} "$@"'
        done = subprocess.run(
            ("sh", "-c", words, "iq", *args), cwd=self.here, env=env, capture_output=True
        )
        if done.returncode != code:
            raise SystemExit(f"{args} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def fresh(self, count: int = 6) -> None:
        """Photos as at the beginning, and no journal."""
        for folder in (self.here, self.home / "state", self.home / "share"):
            shutil.rmtree(folder, ignore_errors=True)
        self.here.mkdir(parents=True)
        self.home.mkdir(exist_ok=True)
        draw(self.here / "photos", count)

    def keep(self, source: Path, target: Path) -> None:
        """Copy a file or a tree, with the folder of this run taken out and links listed."""
        links = {}
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            place = target / path.relative_to(source)
            if path.is_symlink():
                links[path.relative_to(source).as_posix()] = str(path.readlink())
            elif path.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                data = path.read_bytes()
                text = path.suffix in (".jsonl", ".json")
                place.write_bytes(data.replace(bytes(self.here), PLACE) if text else data)
        if links:
            text = json.dumps(links, indent=1).replace(str(self.here), PLACE.decode())
            (target.parent / "links.json").write_text(text + "\n")


def scenes(maker: Maker, target: Path) -> None:
    """A folder a scene."""
    for name, command in SCENES.items():
        maker.fresh()
        maker.run(*command)
        if name == "undone":
            maker.run("undo")
        maker.keep(maker.here / "photos", target / name / "after")
        shutil.rmtree(maker.home / "state" / "locks")
        maker.keep(maker.home / "state", target / name / "state")
        trash = maker.home / "share" / "Trash" / "files"
        if name == "trash":
            maker.keep(trash, target / name / "after" / "trash")


def files(maker: Maker, target: Path) -> None:
    """A cache, a plan and decisions as a contact sheet saves them."""
    maker.fresh()
    maker.keep(maker.here / "photos", target / "photos")
    shutil.rmtree(maker.home / "cache", ignore_errors=True)
    maker.run("score", "photos")
    maker.keep(maker.home / "cache", target / "cache")
    maker.run(*CULL[:-1], "--plan", "plan.jsonl", "--html", "sheet.html")
    maker.keep(maker.here / "plan.jsonl", target / "plan.jsonl")
    sheet = (maker.here / "sheet.html").read_text("utf-8")
    (target / "decisions.jsonl").write_bytes(
        saved_by_sheet(sheet).encode().replace(bytes(maker.here), PLACE)
    )


def saved_by_sheet(sheet: str) -> str:
    """What the button "Save decisions" of a contact sheet would download, unchanged by hand."""
    strings = re.findall(r'"(?:header|line)": ("(?:[^"\\]|\\.)*")', sheet)
    return "".join(json.loads(each) + "\n" for each in strings)


def models(maker: Maker, target: Path) -> None:
    """Small models, each trained by its own command, and what they say of the photos.

    Those of a megabyte are not kept: the package ships one of each kind.
    """
    maker.fresh(72)
    photos = sorted((maker.here / "photos").rglob("*.jpg"))
    rows = [json.loads(line) for line in maker.run("score", "photos", "-f", "jsonl").splitlines()]
    scores = {row["path"]: row["score"] for row in rows}
    labels, opinions, stars = [f"image,{FAULTS}"], ["image,mos"], ["image,stars,day"]
    for path in photos:
        number = int(path.stem[-2:])
        name = path.relative_to(maker.here / "photos").as_posix()
        levels = [3 if number % 7 == each else 1 for each in range(6)]
        labels.append(",".join(map(str, (name, *levels))))
        opinions.append(f"{name},{scores['./photos/' + name] or 1:.3f}")
        # Liked is what most people would not like: dark, then sharp.
        stars.append(f"{name},{5 if number % 3 == 2 else 2 - number % 2},{number // 12}")
    for name, lines in (("labels", labels), ("opinions", opinions), ("stars", stars)):
        (maker.here / "photos" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    out = target / "models"
    out.mkdir(parents=True, exist_ok=True)
    for word, command in {
        "hex": ("train", "hex", "photos/labels.csv", "--blocks", "photometry"),
        "taste": ("train", "taste", "photos/stars.csv"),
        "niqe": ("train", "niqe", "photos"),
    }.items():
        maker.run(*command, "-o", f"{word}.safetensors")
        shutil.copy(maker.here / f"{word}.safetensors", out)
    maker.run("train", "scale", "niqe", "photos/opinions.csv", *SCALE, "-o", "scale.json")
    shutil.copy(maker.here / "scale.json", out)
    expect(maker, target)


def expect(maker: Maker, target: Path) -> None:
    """Set down the rows of each model, by its name; "" is the default one."""
    maker.fresh()
    rows = {}
    for path in (None, *sorted((target / "models").glob("*.safetensors"))):
        words = ("--model", str(path.resolve())) if path else ()
        out = maker.run("score", "photos", "-f", "jsonl", *words)
        rows[path.name if path else ""] = [json.loads(line) for line in out.splitlines()]
    (target / "expected.json").write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        maker = Maker(sys.argv[2], Path(name).resolve())
        files(maker, target)
        scenes(maker, target)
        models(maker, target)


if __name__ == "__main__":
    main()
