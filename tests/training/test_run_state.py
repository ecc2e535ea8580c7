"""A run on disk: what is damaged is reported and left, and what was saved comes back as it was."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from iqcli.errors import IqError
from iqcli.training.run_state import RunFolder, RunningMeans

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def trio() -> tuple[torch.nn.Linear, torch.nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(0)
    network, smooth = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return network, smooth, optimiser


def another() -> tuple[torch.nn.Linear, torch.nn.Linear, torch.optim.AdamW]:
    network = torch.nn.Linear(3, 2)
    return network, torch.nn.Linear(3, 2), torch.optim.AdamW(network.parameters(), lr=0.1)


def test_a_state_comes_back_as_it_was(tmp_path: Path, trio) -> None:
    folder = RunFolder(tmp_path)
    fresh_ones = another()
    means, empty = RunningMeans({"order": (0.1 + 0.2, 2), "short": (0.0, 0)}), RunningMeans()
    assert folder.load(*fresh_ones, empty) == 0 and not folder.has_state
    folder.save(40, *trio, means)
    assert folder.load(*fresh_ones, empty) == 40 and folder.has_state
    assert empty == means
    for kept, given in zip(fresh_ones[:2], trio[:2], strict=True):
        for one, other in zip(kept.parameters(), given.parameters(), strict=True):
            assert torch.equal(one, other)
    kept, given = (each[2].state_dict()["state"] for each in (fresh_ones, trio))
    assert kept.keys() == given.keys()
    for k, state in given.items():
        assert all(torch.equal(torch.as_tensor(kept[k][name]), state[name]) for name in state)


def broken(state: bytes) -> Iterator[bytes]:
    yield b""
    yield state[: len(state) // 2]
    yield state[:-3]
    yield b"\x00" * len(state)
    yield pickle.dumps({"step": 3})
    yield state.replace(b'"step":"40"', b'"step":"4x"')
    yield state.replace(b'"step":"40"', b'"stop":"40"')
    yield state.replace(b"[1.0, 2]", b"[1.0, 2")
    yield state.replace(b"[1.0, 2]", b"[null,2]")
    yield state.replace(b'{\\"order\\": [1.0, 2]}', b"[[[[[[[[[[[[[[]]]]]]]]]]]]]]")
    yield state.replace(b"network.bias", b"network.boas")
    yield state.replace(b"moment.0.exp_avg_sq", b"moment.0.exp_avg_xx")


def test_a_damaged_state_is_told_and_left(tmp_path: Path, trio) -> None:
    folder, file = RunFolder(tmp_path), tmp_path / "state.safetensors"
    folder.save(40, *trio, RunningMeans({"order": (1.0, 2)}))
    for data in [*broken(file.read_bytes())]:
        file.write_bytes(data)
        with pytest.raises(IqError, match=r"state.safetensors is damaged: .*; remove it") as caught:
            folder.load(*another(), RunningMeans())
        assert len(str(caught.value).splitlines()) == 1
        assert file.read_bytes() == data


def test_no_code_in_a_state_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "sprung", "x"))

    file = tmp_path / "state.safetensors"
    for save in (lambda: file.write_bytes(pickle.dumps(Trap())), lambda: torch.save(Trap(), file)):
        save()
        with pytest.raises(IqError, match="is damaged"):
            RunFolder(tmp_path).load(*another(), RunningMeans())
    assert not (tmp_path / "sprung").exists()


def test_a_folder_keeps_to_its_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a.run")
    folder.open({"steps": 3, "slack": 1.0})
    folder.open({"steps": 3, "slack": 1.0})
    with pytest.raises(IqError, match=r"holds a run with another slack; .* another --output"):
        folder.open({"steps": 3, "slack": 2.0})
    for data in (b"", b"{", b"[]", b"\xff\xfe", b"{}"):
        (tmp_path / "a.run" / "settings.json").write_bytes(data)
        with pytest.raises(IqError, match="holds a run with another"):
            folder.open({"steps": 3, "slack": 1.0})


def test_the_curve_has_one_line_a_watch(tmp_path: Path) -> None:
    folder, file = RunFolder(tmp_path), tmp_path / "curve.csv"
    for step in (400, 800, 1_200_000, 800, 1_200_000):
        folder.note({"step": step, "srcc": 0.81234567})
    assert file.read_text() == "step,srcc\n400,0.812346\n800,0.812346\n1200000,0.812346\n"
    for torn in ("", "\n\n", "step,srcc\nx,1\n\n"):
        file.write_text(torn)
        folder.note({"step": 400, "srcc": 0.5})
        assert file.read_text() == "step,srcc\n400,0.5\n"


def test_means_are_of_the_steps_that_have_a_part() -> None:
    means = RunningMeans()
    means.add({"order": 1.0, "short": math.nan})
    means.add({"order": 2.0, "short": math.nan})
    assert means.values()["order"] == 1.5 and math.isnan(means.values()["short"])
    means.add({"order": 3.0, "short": 0.25})
    assert means.values() == {"order": 2.0, "short": 0.25}
    means.clear()
    assert means.values() == {}


def test_a_state_of_an_earlier_version_has_no_means(tmp_path: Path, trio) -> None:
    from safetensors.torch import load_file, save_file

    RunFolder(tmp_path).save(40, *trio, RunningMeans({"order": (1.0, 1)}))
    file = tmp_path / "state.safetensors"
    save_file(load_file(file), file, metadata={"step": "40"})
    means = RunningMeans()
    assert RunFolder(tmp_path).load(*another(), means) == 40 and means.values() == {}
