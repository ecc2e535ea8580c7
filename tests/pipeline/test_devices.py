"""The device: which one, and batches that shrink when it is full."""

from __future__ import annotations

import subprocess
import sys
from functools import cached_property

import numpy as np
import pytest
from support import fake_pipeline

from iqcli.errors import IqError
from iqcli.pipeline import devices
from iqcli.pipeline.devices import Batches, choose_device

INPUTS = [np.full((8, 8, 3), number, np.uint8) for number in range(10)]
WANTED = [float(number) for number in range(10)]


class Net(fake_pipeline.OnDevice):
    """A seeded convolution and a linear layer in torch."""

    @cached_property
    def layers(self):
        import torch

        torch.manual_seed(7)
        conv, head = torch.nn.Conv2d(3, 5, 3), torch.nn.Linear(5 * 36, fake_pipeline.SIZE)
        return torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), head).eval()

    def forward(self, batch, device):
        import torch

        super().forward(batch, device)
        with torch.inference_mode():
            picture = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2).float() / 255
            return self.layers.to(device)(picture).cpu().numpy()


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_batches_keep_the_order(size: int) -> None:
    block = fake_pipeline.OnDevice()
    found = list(Batches("cpu", size).run(block, INPUTS))
    assert [vector[0] for vector in found] == WANTED
    assert max(block.batches) == min(size, 10)
    assert sum(block.batches) == 10


def test_the_size_suits_the_device() -> None:
    assert Batches("cpu").size == 32
    assert Batches("cuda").size == 64
    assert Batches("cpu", 5).size == 5


def test_a_full_device_halves_the_batch_for_the_rest() -> None:
    block = fake_pipeline.OnDevice(room=3)
    batches = Batches("cpu", 8)
    found = [*batches.run(block, INPUTS), *batches.run(block, INPUTS[:4])]
    assert [vector[0] for vector in found] == WANTED + WANTED[:4]
    assert block.batches == [8, 4, 2, 2, 2, 2, 2, 2, 2]


def test_torch_says_it_is_full_and_the_result_is_that_of_single_pictures() -> None:
    import torch

    block = Net(room=3, full=torch.OutOfMemoryError)
    found = list(Batches("cpu", 8).run(block, INPUTS))
    single = list(Batches("cpu", 1).run(Net(), INPUTS))
    np.testing.assert_allclose(found, single, atol=1e-5)
    assert block.batches[:3] == [8, 4, 2]


@pytest.mark.parametrize(
    "text",
    [
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_every_wording_of_full_is_known(text: str) -> None:
    assert devices._is_full(RuntimeError(text))
    assert not devices._is_full(ValueError(text))
    assert not devices._is_full(RuntimeError("device-side assert triggered"))


def test_the_memory_of_the_device_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(sys.exc_info()[0]))
    assert len(list(Batches("cuda", 8).run(fake_pipeline.OnDevice(room=2), INPUTS))) == 10
    assert emptied == [None, None]


def test_one_picture_that_is_too_much_is_a_value() -> None:
    found = list(Batches("cpu", 4).run(fake_pipeline.OnDevice(room=0), INPUTS[:2]))
    assert len(found) == 2
    assert all(isinstance(each, str) and "more memory than cpu" in each for each in found)


def test_a_broken_network_is_a_value() -> None:
    class Broken(fake_pipeline.OnDevice):
        def forward(self, batch, device):
            raise ValueError("no\nway")

    assert list(Batches("cpu").run(Broken(), INPUTS[:1])) == ["net failed: ValueError: no"]


def test_a_result_of_another_shape_is_a_value() -> None:
    (found,) = Batches("cpu").run(fake_pipeline.OnDevice(size=5), INPUTS[:1])
    assert "(1, 4)" in found


def test_missing_weights_end_the_run() -> None:
    class Bare(fake_pipeline.OnDevice):
        def forward(self, batch, device):
            raise IqError("no weights; run iq models pull net")

    with pytest.raises(IqError, match="models pull"):
        list(Batches("cpu").run(Bare(), INPUTS))


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(devices, "_may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(IqError, match="no cuda device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"
    assert not torch.backends.cudnn.allow_tf32  # float32 is float32 there, too


def test_the_cpu_is_chosen_without_torch() -> None:
    code = (
        "import sys; from iqcli.pipeline import devices;"
        "devices._may_have_accelerator = lambda: False;"
        "found = [devices.choose_device(name) for name in ('cpu', 'auto')];"
        "print(*found, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "cpu cpu False\n", done.stderr


@pytest.mark.parametrize(
    ("system", "machine", "files", "wanted"),
    [
        ("linux", "x86_64", [], False),
        ("linux", "x86_64", ["nvidiactl", "nvidia-modeset", "null", "nvme0"], False),
        ("linux", "x86_64", ["nvidia0"], True),
        ("linux", "x86_64", ["kfd"], True),
        ("linux", "x86_64", ["dxg"], True),
        ("linux", "aarch64", ["nvhost-ctrl-gpu"], True),
        ("win32", "AMD64", ["kernel32.dll"], False),
        ("win32", "AMD64", ["nvcuda.dll"], True),
        ("win32", "AMD64", ["amdhip64_6.dll"], True),
        ("darwin", "arm64", [], True),
        ("darwin", "x86_64", [], False),
        ("freebsd14", "amd64", [], True),
    ],
)
def test_torch_is_asked_only_where_a_driver_is(
    system: str, machine: str, files: list[str], wanted: bool, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(devices.sys, "platform", system)
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    monkeypatch.setattr(devices, "LINUX_DEVICES", tmp_path)
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    (tmp_path / "System32").mkdir()
    for name in files:
        (tmp_path / ("System32" if system == "win32" else "") / name).touch()
    assert devices._may_have_accelerator() == wanted


@pytest.mark.slow
def test_a_worker_computes_alone_beside_a_thread_that_has_two() -> None:
    code = (
        "import threading, torch\n"
        "from iqcli.pipeline.devices import keep_to_one_core\n"
        "torch.set_num_threads(2); torch.get_num_threads()\n"
        "found = []\n"
        "def work():\n"
        "    keep_to_one_core()\n"
        "    found.append(torch.get_num_threads())\n"
        "worker = threading.Thread(target=work)\n"
        "worker.start(); worker.join()\n"
        "print(found, torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[1] 2\n", done.stderr


@pytest.mark.slow
def test_a_worker_waits_for_another_that_is_still_loading_torch() -> None:
    """It found half a torch, without the function it asked for: that photo failed."""
    code = (
        "import sys, threading, time\n"
        "from iqcli.pipeline.devices import keep_to_one_core\n"
        "loading = threading.Thread(target=lambda: __import__('torch'))\n"
        "loading.start()\n"
        "while 'torch' not in sys.modules: time.sleep(0.0005)\n"
        "keep_to_one_core()\n"
        "print(sys.modules['torch'].get_num_threads())\n"
        "loading.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr
