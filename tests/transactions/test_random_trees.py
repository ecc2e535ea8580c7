"""Random trees with hostile names: apply then undo gives the same tree, run upon run."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import DISKS, disk
from support.photo_trees import Tree, contents, grow, plan_for, random_names, shots_in, tree

from iqcli.culling import planner as plans
from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from pathlib import Path


def timeless(found: Tree) -> Tree:
    """Without the times of manifests, which are written anew."""
    name = b"MANIFEST.jsonl"
    return {path: (leaf[-1] if path.endswith(name) else leaf,) for path, leaf in found.items()}


@pytest.mark.parametrize("seed", range(60))
def test_apply_then_undo_gives_the_same_tree(quick_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    root, state = quick_path / "photos", quick_path / "state"
    grow(root, random_names(chance))
    if chance.random() < 0.3:
        grow(root, ["_Rejected/theirs.jpg"])
    original = tree(root)
    held, trees = contents(root), [original]
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
            assert held <= contents(root)
            assert all(os.fsencode(name) not in tree(root) for shot in picked for name in shot)
            trees.append(tree(root))
            left = [shot for shot in left if shot not in picked]
        while len(trees) > 1:
            assert timeless(tree(root)) == timeless(trees.pop())
            undo(None, state)
        assert tree(root) == original
    shutil.rmtree(quick_path / "photos")


@pytest.mark.parametrize("seed", range(20))
def test_runs_undone_in_any_order_give_the_same_tree(quick_path: Path, seed: int) -> None:
    """The same names rejected again and again: each goes back to where it was, or is refused."""
    chance = random.Random(seed)
    root, state = quick_path / "photos", quick_path / "state"
    shots = [[f"{n}/IMG_{n}.JPG", f"{n}/IMG_{n}.JPG.xmp"] for n in range(6)]
    grow(root, [name for shot in shots for name in shot])
    original, runs = tree(root), []
    while shots:
        picked, shots = shots[:2], shots[2:]
        runs.append(apply(plan_for(root, picked), state).run)
    chance.shuffle(runs)
    for run in runs:
        undo(run, state)
    assert tree(root) == original
