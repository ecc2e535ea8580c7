"""Random trees with hostile names: apply then undo gives the same tree, run upon run."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import DISKS, disk, seeds
from support.photo_trees import (
    Tree,
    counts,
    grow,
    grow_copies,
    grow_known,
    plan_for,
    random_names,
    shots_in,
    tree,
)

from iqcli.culling import planner as plans
from iqcli.errors import IqError
from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from pathlib import Path

slow = pytest.mark.slow


def timeless(found: Tree) -> Tree:
    """Without the times of manifests, which are written anew."""
    name = b"MANIFEST.jsonl"
    return {path: (leaf[-1] if path.endswith(name) else leaf,) for path, leaf in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [seeds(0, 6), pytest.param(seeds(6, 24), marks=slow)])
def test_apply_then_undo_gives_the_same_tree(quick_path: Path, seeds: range) -> None:
    for seed in seeds:
        (quick_path / str(seed)).mkdir()
        apply_and_undo(quick_path / str(seed), random.Random(seed))


def apply_and_undo(quick_path: Path, chance: random.Random) -> None:
    """Some runs over a random tree on a random disk, taken back one by one."""
    root, state = quick_path / "photos", quick_path / "state"
    grow(root, random_names(chance))
    if chance.random() < 0.3:
        grow(root, ["_Rejected/theirs.jpg"])
    owned = grow_copies(root, chance)
    for name in owned:
        with pytest.raises(IqError, match=r"belongs to|lies in|is the recycle bin|holds"):
            plan_for(root, [[name]])
    original = tree(root)
    held, trees = counts(root), [original]
    left = shots_in(root)
    with disk(chance.choice(DISKS)):
        for _ in range(chance.randint(1, 4)):
            picked = chance.sample(left, chance.randint(0, len(left)))
            plan = plan_for(root, picked)
            plans.save(plan, quick_path / "plan")
            assert plans.load(quick_path / "plan") == plan
            if not picked:
                continue
            apply(plan, state)
            assert held <= counts(root)
            assert (
                tree(root).items()
                >= {os.fsencode(each): original[os.fsencode(each)] for each in owned}.items()
            )
            assert all(os.fsencode(name) not in tree(root) for shot in picked for name in shot)
            trees.append(tree(root))
            left = [shot for shot in left if shot not in picked]
        while len(trees) > 1:
            assert timeless(tree(root)) == timeless(trees.pop())
            undo(None, state)
        assert tree(root) == original
    shutil.rmtree(quick_path / "photos")


@pytest.mark.parametrize("seeds", [seeds(0, 4), pytest.param(seeds(4, 30), marks=slow)])
def test_nothing_of_a_shot_is_left_behind(quick_path: Path, seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        root, state = quick_path / str(seed) / "photos", quick_path / str(seed) / "state"
        root.mkdir(parents=True)
        known = grow_known(root, chance)
        assert sorted(map(sorted, shots_in(root))) == sorted(map(sorted, known.values()))
        original = tree(root)
        picked = chance.sample(shots_in(root), chance.randint(1, len(known)))
        apply(plan_for(root, picked), state)
        gone = {name for shot in picked for name in shot}
        assert all(owned <= gone or not owned & gone for owned in known.values())
        assert not any((root / name).exists() for name in gone)
        undo(None, state)
        assert tree(root) == original


def test_runs_undone_in_any_order_give_the_same_tree(quick_path: Path) -> None:
    """The same names rejected again and again: each goes back to where it was, or is refused."""
    for order in itertools.permutations(range(3)):
        root, state = quick_path / str(order) / "photos", quick_path / str(order) / "state"
        root.parent.mkdir()
        shots = [[f"{n}/IMG_{n}.JPG", f"{n}/IMG_{n}.JPG.xmp"] for n in range(6)]
        grow(root, [name for shot in shots for name in shot])
        original, runs = tree(root), []
        while shots:
            picked, shots = shots[:2], shots[2:]
            runs.append(apply(plan_for(root, picked), state).run)
        for each in order:
            undo(runs[each], state)
        assert tree(root) == original
