"""Networks built from arrays: each operation against torch, stretches, and many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional

from iqcli.runtime import network
from iqcli.runtime.library import has_bfloat16
from iqcli.runtime.network import CompiledNetwork, Subgraph

RANDOM = np.random.default_rng(5)
MAPS = RANDOM.normal(0, 2, (2, 4, 10, 10)).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def run(graph: Subgraph, output, inputs: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(CompiledNetwork([(graph, output)], short=False)(inputs))


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "before", "after"),
    [(1, 1, 0, 0), (3, 1, 1, 1), (3, 2, 0, 1), (5, 2, 1, 2), (5, 1, 2, 2)],
)
def test_a_convolution_is_that_of_torch(kernel, stride, before, after, each) -> None:
    weight, bias = normal(4 if each else 6, 1 if each else 4, kernel, kernel), normal(6)
    bias = bias[: len(weight)]
    graph = Subgraph(MAPS.shape)
    padding = {"stride": stride, "before": before, "after": after}
    output = graph.convolution(graph.input, weight, bias, each=each, **padding)
    padded = functional.pad(torch.from_numpy(MAPS), (before, after, before, after))
    wanted = functional.conv2d(
        padded,
        torch.from_numpy(weight),
        torch.from_numpy(bias),
        stride=stride,
        groups=4 if each else 1,
    )
    torch.testing.assert_close(run(graph, output, MAPS), wanted, atol=1e-5, rtol=1e-5)


def test_what_is_read_from_maps_is_that_of_torch() -> None:
    graph, given = Subgraph(MAPS.shape), torch.from_numpy(MAPS)
    bent = graph.relu6(graph.sum(graph.input, graph.input))
    output = graph.joined([graph.means(bent), graph.deviations(bent, 0.25)])
    variance, mean = torch.var_mean((2 * given).clamp(0, 6), dim=(2, 3), correction=0)
    wanted = torch.cat([mean, (variance + 0.25).sqrt()], dim=1)
    torch.testing.assert_close(run(graph, output, MAPS), wanted, atol=1e-5, rtol=1e-5)


def test_a_part_of_a_batch_goes_on() -> None:
    graph, given = Subgraph(MAPS.shape), torch.from_numpy(MAPS)
    last, first = (graph.part(graph.input, k, k + 1) for k in (1, 0))
    output = graph.joined([graph.means(last), graph.relu6(graph.means(first))])
    wanted = torch.cat([given[1:].mean((2, 3)), given[:1].mean((2, 3)).clamp(0, 6)], dim=1)
    torch.testing.assert_close(run(graph, output, MAPS), wanted, atol=1e-6, rtol=1e-5)


def test_pictures_become_maps() -> None:
    pictures = RANDOM.integers(0, 256, (2, 6, 8, 3), np.uint8)
    graph = Subgraph(pictures.shape, of_bytes=True)
    output = graph.relu6(graph.maps_of(graph.input, 127, 64))
    wanted = ((torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 127) / 64).clamp(0, 6)
    torch.testing.assert_close(run(graph, output, pictures), wanted, atol=1e-6, rtol=1e-6)


def test_an_input_of_another_shape_or_type_is_refused() -> None:
    graph = Subgraph(MAPS.shape)
    compiled = CompiledNetwork([(graph, graph.relu6(graph.input))], short=False)
    for wrong in (MAPS[:1], MAPS[:, :, :, :1], MAPS.astype(np.float64)):
        with pytest.raises(ValueError, match="the input is"):
            compiled(wrong)


def two_stretches(short: bool) -> CompiledNetwork:
    """A convolution in float32, then one that may be short."""
    first, rest = Subgraph(MAPS.shape), Subgraph((2, 6, 10, 10), short=True)
    random = np.random.default_rng(7)
    one, two = (random.normal(0, 0.5, shape) for shape in ((6, 4, 1, 1), (3, 6, 1, 1)))
    zero = np.zeros(6, np.float32)
    output = first.convolution(first.input, one.astype(np.float32), zero)
    maps = rest.convolution(rest.input, two.astype(np.float32), zero[:3])
    return CompiledNetwork([(first, output), (rest, rest.means(rest.relu6(maps)))], short=short)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16")
def test_only_what_may_be_short_is() -> None:
    long, short = two_stretches(False)(MAPS), two_stretches(True)(MAPS)
    assert not np.array_equal(long, short)
    np.testing.assert_allclose(long, short, atol=0.02)
    one = Subgraph(MAPS.shape)
    kept = one.convolution(one.input, normal(6, 4, 1, 1), normal(6))
    both = [CompiledNetwork([(one, kept)], short=each)(MAPS) for each in (False, True)]
    np.testing.assert_array_equal(*both)


def test_threads_that_call_at_once_get_their_own_answers(monkeypatch) -> None:
    made = []
    chain = network._Chain
    monkeypatch.setattr(network, "_Chain", lambda models: made.append(1) or chain(models))
    compiled = two_stretches(False)
    several = [MAPS * k for k in range(20)]
    wanted = [compiled(each) for each in several]
    assert len(made) == 1
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(compiled, several), wanted, strict=True):
            np.testing.assert_array_equal(found, alone)
    assert len(made) <= 4
