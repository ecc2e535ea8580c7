"""Random trees under random rules and actions: planned, done and undone, no shot is ever parted."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import re
import signal
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.fault_injection import Fault, here, in_child, seeds
from support.photo_trees import (
    contents,
    counts,
    grow,
    grow_copies,
    judged,
    random_names,
    shots_in,
    tree,
)

from iqcli.culling import planner as plans
from iqcli.culling.decide import decide
from iqcli.culling.grouping.copies import with_copies
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.records import Facts, FileStamp, FrameSet, Likeness, Marks, Verdict
from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

    from iqcli.records import Decision, Photo

ACTIONS = ("move", "copy", "link")
UNITS = ("burst", "scene", "day", "folder", "all")


def random_rule(chance: random.Random) -> Rule:
    """One to three parts, or none for copies and bands; most reject something."""
    parts = {
        "below": {"below": chance.uniform(3, 9)},
        "worst": {"worst": Quota(share=chance.random())},
        "keep": {"keep": Quota(chance.randint(1, 3)), "margin": chance.choice([0.0, 0.5])},
        "promise": {"promise": 0.01, "limit": chance.uniform(3, 9)},
        "duplicates": {"duplicates": True},
    }
    chosen: dict[str, object] = {}
    for name in chance.sample(sorted(parts), chance.randint(0, 3)):
        chosen |= parts[name]
    if {"worst", "keep"} & set(chosen):
        chosen["per"] = chance.choice([None, *UNITS])
    return Rule(**chosen)  # type: ignore[arg-type]


def random_judged(chance: random.Random, root: Path, names: list[str]) -> Photo:
    """A shot with a score, marks, a day, a burst, a scene and a look, or without."""
    score = None if chance.random() < 0.1 else round(chance.uniform(1, 10), 1)
    taken = chance.choice([None, "2024-01-01T10:00:00", "2024-01-02T10:00:00"])
    burst = chance.choice([None, "b0001", "b0002", "b0003"])
    path = root / names[0]
    status = path.stat()
    return dataclasses.replace(
        judged(root, names, score),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        file=FileStamp(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino),
        likeness=chance.choice([None, None, look(chance.randrange(8))]),
        marks=Marks(chance.choice([0] * 9 + [3]), chance.choice([0] * 9 + [1])),
        facts=Facts(10, 10, "JPEG", taken),
        group=burst,
        scene=chance.choice([None, "s0001"]),
        frame_set=FrameSet.BRACKET if burst == "b0003" else None,
    )


def random_decisions(chance: random.Random, root: Path) -> list[Decision]:
    protect = Protection(marked=chance.random() < 0.8, sets=chance.random() < 0.8)
    found = with_copies([random_judged(chance, root, names) for names in shots_in(root)], protect)
    decisions = decide(found, random_rule(chance), protect)
    alone = decide(found, Rule(duplicates=True), protect)
    assert_originals_stay(alone)
    return decisions


@cache
def look(thing: int) -> Likeness:
    """What a picture of its own for each thing is known by."""
    waves = np.random.default_rng(thing).normal(size=(32, 32)) / (1 + np.hypot(*np.mgrid[:32, :32]))
    plane = cv2.idct(waves)
    grey = np.clip(128 + 50 * (plane - plane.mean()) / plane.std(), 0, 255).astype(np.uint8)
    light = cv2.resize(grey, (12, 12), interpolation=cv2.INTER_AREA)
    return Likeness(light.reshape(-1), grey.reshape(-1), np.zeros(5, np.float32))


def assert_originals_stay(decisions: list[Decision]) -> None:
    """`--duplicates` leaves one of each picture, and takes nothing that is none twice."""
    verdicts = {each.photo.shot.path: each.verdict for each in decisions}
    for each in decisions:
        if each.photo.copy is None:
            assert each.verdict is not Verdict.REJECT
        elif each.photo.rating is not None:
            original = each.photo.copy.of
            assert original != each.photo.shot.path
            assert verdicts[original] is not Verdict.REJECT


def assert_none_is_parted(root: Path, decisions: list[Decision], action: str) -> None:
    """Every file of a reject is where the action takes it; every other file is at home."""
    for each in decisions:
        files = each.photo.shot.files
        away = each.verdict is Verdict.REJECT
        assert {os.path.lexists(path) for path in files} == {not away or action != "move"}
    found = [path for path in root.rglob("*") if path.name != "MANIFEST.jsonl"]
    among = [path for path in found if re.fullmatch("_Rejected(-[0-9]+)?", folder_of(root, path))]
    rejects = [each.photo.shot for each in decisions if each.verdict is Verdict.REJECT]
    there = {path for path in among if path.is_symlink() or path.is_file()}
    assert len(there) == sum(len(shot.files) for shot in rejects)
    assert all(path.is_symlink() is (action == "link") for path in there)


def folder_of(root: Path, path: Path) -> str:
    return path.relative_to(root).parts[0]


@pytest.mark.parametrize(
    "seeds", [seeds(0, 10), pytest.param(seeds(10, 50), marks=pytest.mark.slow)]
)
def test_any_rule_and_action_leave_no_trace_after_undo(quick_path: Path, seeds: range) -> None:
    for seed in seeds:
        (quick_path / str(seed)).mkdir()
        apply_and_undo(quick_path / str(seed), seed)


def apply_and_undo(quick_path: Path, seed: int) -> None:
    """A random rule and action on a random tree; every fourth apply is killed."""
    chance = random.Random(seed)
    root, state, file = quick_path / "photos", quick_path / "state", quick_path / "plan"
    grow(root, random_names(chance)[:40])
    grow_copies(root, chance)
    before, held = tree(root), counts(root)
    decisions, action = random_decisions(chance, root), chance.choice(ACTIONS)
    made = plans.make(decisions, "a rule", "fusion-mini", action)
    plans.save(made, file)
    assert plans.load(file) == made
    if seed % 4 == 0:
        fault = Fault(chance.randint(1, 30 + 6 * made.files), chance.choice(["before", "torn"]))
        killed = in_child(lambda: apply(plans.load(file), state), fault=fault)
        assert killed.code in (0, -signal.SIGKILL)
    else:
        apply(plans.load(file), state)
        assert_none_is_parted(root, decisions, action)
    assert held <= counts(root)
    ended = here(lambda: undo(None, state))
    nothing = not made.shots or seed % 4 == 0
    assert ended.code == 0 or (nothing and "no run is left to undo" in ended.says), ended
    assert tree(root) == before


@pytest.mark.slow
@pytest.mark.parametrize("folders", [("photos", "photos"), ("photos", "photos/day")])
def test_two_culls_at_once_are_undone_to_the_last_bit(
    iq: Iq, roll: Path, folders: tuple[str, str]
) -> None:
    before = tree(iq.cwd)
    assert iq("score", "photos").code == 0  # warm, so that the two meet
    words = ("--worst", "50%", "--max-reject", "100%", "--apply")
    both = [iq.start("cull", folder, *words) for folder in folders]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode in (0, 1, 2, 4), said  # 1: a photo went before it was read
        if process.returncode > 1:
            assert len(re.findall(rb"^iq: ", said, re.MULTILINE)) == 1, said
        assert b"Traceback" not in said
    assert {process.returncode for process in both} & {0, 1}
    assert contents(roll) >= {leaf[-1] for leaf in before.values() if leaf[0] == "file"}
    while (undone := iq("undo")).code == 0:
        pass
    assert "no run is left to undo" in undone.err
    assert tree(iq.cwd) == before
