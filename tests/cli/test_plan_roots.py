"""A plan from a stranger: what it may change is named or confirmed by a person."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.photo_trees import grow_shots, plan_for, tree
from support.terminal import terminal

from iqcli.cli.commands.cull import run
from iqcli.culling import planner
from iqcli.errors import IqError

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq


def check(roots: list[Path], *given: str) -> None:
    session: Any = SimpleNamespace(given=given)
    request: Any = SimpleNamespace(source="my.plan")
    run._check_roots(roots, session, request)


@pytest.mark.parametrize("answer", [True, False])
def test_a_root_is_below_what_is_named_or_here_or_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(run, "confirmed", lambda question: asked.append(question) or answer)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "photos", there / "photos"):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(there)
    monkeypatch.chdir(here)
    check([here, here / "photos"])
    check([there / "photos"], "../there")
    check([there], str(there))
    check([there], "../link")
    check([here, there], ".", "../there")
    assert asked == []
    strange = [([here / "photos", there], ()), ([here], ("../there",)), ([here], ("photos",))]
    for roots, given in strange:
        if answer:
            check(roots, *given)
            continue
        with pytest.raises(IqError) as caught:
            check(roots, *given)
        where = "the folders named" if given else "the current folder"
        folder = there if there in roots else here
        assert str(caught.value) == (
            f"./my.plan changes {folder}, which is not in {where}; if you trust it, give the "
            f"folder, too: iq cull --from-plan ./my.plan {folder} --apply"
        )
    assert len(asked) == 3


@pytest.mark.slow
def test_a_plan_for_another_folder_is_applied_on_a_persons_word(iq: Iq, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    root.mkdir()
    grow_shots(root)
    planner.save(plan_for(root), iq.cwd / "my.plan")
    before = tree(root)
    words = ("cull", "--from-plan", "my.plan", "--max-reject", "100%")
    shown = iq(*words)
    assert shown.code == 0
    refused = iq(*words, "--apply")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert f"give the folder, too: iq cull --from-plan ./my.plan {root} --apply" in refused.err
    with terminal(iq, *words, "--apply") as screen:
        screen.until("Go on? [y/N] ")
        screen.type("n\n")
        assert screen.end() == 2
    assert tree(root) == before
    with terminal(iq, *words, "--apply") as screen:
        screen.until("Go on? [y/N] ")
        screen.type("y\n")
        assert screen.end() == 0
    assert tree(root) != before
    assert iq("undo").code == 0
    assert tree(root) == before
    assert iq(*words, root, "--apply").code == 0
