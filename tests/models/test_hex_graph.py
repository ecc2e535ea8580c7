"""HEX graphs: legal states, exact probabilities, and what is no graph."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import hex_reference

from iqcli.errors import IqError
from iqcli.models.hex import graph as hexgraph
from iqcli.models.hex.config import named, parsed, read_graph

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.models.hex.config import Graph
    from iqcli.records import Doubles

PAIR = {"a_levels": [2, 3, 4], "b_levels": [2, 3, 4]}


def graph(
    labels: dict[str, int],
    apart: tuple[tuple[str, str], ...] = (),
    needs: tuple[tuple[str, int, str, int], ...] = (),
) -> Graph:
    """Labels with so many levels; `apart` are never seen together at all."""
    told = {
        "labels": [{"name": name, "levels": levels} for name, levels in labels.items()],
        "exclusions": [{"a": a, "a_levels": [2], "b": b, "b_levels": [2]} for a, b in apart],
        "implications": [
            {"label": a, "level": x, "needs": b, "needs_level": y} for a, x, b, y in needs
        ],
    }
    return parsed(told, "here")


def legal_rows(of: Graph) -> Doubles:
    """Every legal state of all nodes, from all 2^n by the rules themselves, in blocks."""
    count, found = len(of.nodes), []
    for start in range(0, 2**count, 2**14):
        numbers = np.arange(start, min(start + 2**14, 2**count))
        rows = (numbers[:, None] >> np.arange(count)) & 1
        fine = np.ones(len(rows), bool)
        for lower, upper in of.edges.needs:
            fine &= rows[:, lower] <= rows[:, upper]
        for one, two in of.edges.excluded:
            fine &= rows[:, one] + rows[:, two] < 2
        found.append(rows[fine])
    return np.concatenate(found).astype(float)


def count(of: Graph) -> int:
    return int(np.prod([len(part.states) for part in of.components]))


def drawn(of: Graph, rows: int = 40, wide: float = 3) -> Doubles:
    return np.random.default_rng(6).normal(0, wide, (rows, len(of.nodes)))


def softmax(scores: Doubles) -> Doubles:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_six_labels_have_343_legal_states() -> None:
    six = named("hex6")
    assert [label.name for label in six.labels[:2]] == ["too_bright", "too_dark"]
    assert len(six.nodes) == 18
    assert [len(part.states) for part in six.components] == [7, 7, 7]
    assert len(legal_rows(six)) == count(six) == 343


def test_the_parts_the_joint_states_and_all_2_to_the_18_agree() -> None:
    six = named("hex6")
    logits = drawn(six)
    joint = np.array(
        [np.concatenate(each) for each in itertools.product(*[c.states for c in six.components])]
    )
    of_all = legal_rows(six)
    exact = softmax(logits @ of_all.T) @ of_all
    assert np.abs(softmax(logits @ joint.T) @ joint - exact).max() < 1e-9
    assert np.abs(hexgraph.marginals(six, logits) - exact).max() < 1e-9
    whole = np.log(np.exp(logits @ of_all.T).sum(axis=1))
    assert np.abs(hexgraph.log_partition(six, logits) - whole).max() < 1e-9
    none = np.exp(-whole)
    assert np.abs(hexgraph.none_probability(six, logits) - none).max() < 1e-9


def test_a_pair_is_a_softmax_of_seven() -> None:
    """None, and three levels of each: the score of a level is the sum of the logits up to it."""
    six = named("hex6")
    logits = drawn(six)
    for pair in range(3):
        one, two = logits[:, 6 * pair : 6 * pair + 3], logits[:, 6 * pair + 3 : 6 * pair + 6]
        scores = np.hstack([np.zeros((40, 1)), one.cumsum(axis=1), two.cumsum(axis=1)])
        chances = softmax(scores)
        found = hexgraph.marginals(six, logits)[:, 6 * pair : 6 * pair + 6]
        for level in range(3):
            assert np.allclose(found[:, level], chances[:, 1 + level : 4].sum(axis=1), atol=1e-12)
            assert np.allclose(found[:, 3 + level], chances[:, 4 + level :].sum(axis=1), atol=1e-12)


def test_other_readings_of_the_six_labels() -> None:
    """What the graph would be without exclusions, or with nodes for level 1."""
    names = [*"abcdef"]
    pairs = (("a", "b"), ("c", "d"), ("e", "f"))
    free = graph(dict.fromkeys(names, 4))
    assert count(free) == 16**3 == 4096
    ones = dict.fromkeys(names, 4) | dict.fromkeys([f"{name}1" for name in names], 2)
    assert count(graph(ones, pairs)) == 28**3 == 21_952
    apart = (*pairs, *((name, f"{name}1") for name in names))
    assert count(graph(ones, apart)) == 16**3


def test_seven_labels_with_three_casts_have_490_states() -> None:
    labels = dict.fromkeys(["bright", "dark", "low", "high", "red", "blue", "yellow"], 4)
    casts = tuple(itertools.combinations(["red", "blue", "yellow"], 2))
    seven = graph(labels, (("bright", "dark"), ("low", "high"), *casts))
    assert [len(part.states) for part in seven.components] == [7, 7, 10]
    assert count(seven) == 490


def test_twelve_labels_are_never_multiplied_out() -> None:
    twelve = named("hex12")
    assert len(twelve.nodes) == 36
    assert [len(part.states) for part in twelve.components] == [7, 7, 7, 13, 7]
    began = time.monotonic()
    chances = hexgraph.marginals(twelve, drawn(twelve, 1000))
    assert time.monotonic() - began < 2
    assert hexgraph.is_legal(twelve, hexgraph.levels_of(twelve, chances)).all()


def test_the_names_that_files_use() -> None:
    six = named("hex6")
    for names in (
        ("bright", "dark", "low_contrast", "high_contrast", "overexposed", "over_suppressed"),
        ("整体偏亮", "整体偏暗", "整体对比度低", "整体对比度高", "高光过曝", "高光压制过度"),
    ):
        assert [six.index(name) for name in names] == [0, 1, 2, 3, 4, 5]
    assert six.index(" Too_Dark ") == 1
    assert six.index("sharpness") is None
    assert named("hex12").index("暗部死黑") == 10


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Small graphs of any shape that is legal."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=1, max_size=4))
    names = [*"abcd"[: len(sizes)]]
    some = st.tuples(st.sampled_from(names), st.integers(2, 4))
    pairs = st.lists(st.tuples(some, some), max_size=3)
    told: dict[str, Any] = {
        "labels": [{"name": n, "levels": s} for n, s in zip(names, sizes, strict=True)],
        "exclusions": [
            {"a": a, "a_levels": [x], "b": b, "b_levels": [y]} for (a, x), (b, y) in draw(pairs)
        ],
        "implications": [
            {"label": a, "level": x, "needs": b, "needs_level": y} for (a, x), (b, y) in draw(pairs)
        ],
    }
    try:
        return parsed(told, "here")
    except IqError:
        assume(False)
        raise


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 30.0, 3000.0]))
def test_any_graph_is_summed_exactly_and_read_legally(of: Graph, seed: int, wide: float) -> None:
    logits = np.random.default_rng(seed).normal(0, wide, (5, len(of.nodes)))
    rows = legal_rows(of)
    assert count(of) == len(rows)
    chances = hexgraph.marginals(of, logits)
    assert np.allclose(chances, softmax(logits @ rows.T) @ rows, atol=1e-9)
    for levels in (hexgraph.levels_of(of, chances), hex_reference.most_likely(of, logits)):
        assert hexgraph.is_legal(of, levels).all()
    best, _ = hexgraph.switches(of, hex_reference.most_likely(of, logits))
    assert np.allclose((best * logits).sum(axis=1), (logits @ rows.T).max(axis=1))


@given(st.lists(st.floats(-1e4, 1e4), min_size=18, max_size=18))
@settings(deadline=None)
def test_levels_are_legal_whatever_the_logits(values: list[float]) -> None:
    six = named("hex6")
    chances = hexgraph.marginals(six, np.array([values]))
    assert np.isfinite(chances).all()
    assert hexgraph.is_legal(six, hexgraph.levels_of(six, chances)).all()


def test_two_that_exclude_each_other_at_a_half_each_are_both_off() -> None:
    """Rounding must not lift both above the half."""
    pair = graph({"a": 2, "b": 2}, (("a", "b"),))
    chances = hexgraph.marginals(pair, np.array([[50.0, 50.0]]))
    assert np.allclose(chances, 0.5)
    assert hexgraph.levels_of(pair, np.nextafter(chances, 1)).tolist() == [[1, 1]]


def test_likelihoods_of_all_legal_levels_sum_to_one() -> None:
    six = named("hex6")
    logits = drawn(six, 3)
    levels = np.array(list(itertools.product(range(1, 5), repeat=6)))
    legal = hexgraph.is_legal(six, levels)
    assert legal.sum() == 343
    for row in logits:
        logs = hex_reference.log_likelihood(six, np.tile(row, (len(levels), 1)), levels)
        assert np.isclose(np.exp(logs).sum(), 1)
        assert np.isneginf(logs[~legal]).all()


def test_an_unknown_label_is_summed_over() -> None:
    six = named("hex6")
    logits = drawn(six, 4)
    chances = hexgraph.marginals(six, logits)
    one = np.zeros((4, 6), int)
    assert np.allclose(hex_reference.log_likelihood(six, logits, one), 0)
    one[:, 1] = 3  # dark, clearly: at least clear, but not severe
    wanted = np.log(chances[:, 4] - chances[:, 5])
    assert np.allclose(hex_reference.log_likelihood(six, logits, one), wanted)


def test_an_implication_between_labels() -> None:
    """What is blown out is bright: a level needs another label's."""
    of = graph({"bright": 4, "blown": 4}, needs=(("blown", 3, "bright", 2),))
    assert len(of.components) == 1
    chances = hexgraph.marginals(of, drawn(of))
    assert (chances[:, 4] <= chances[:, 0] + 1e-12).all()
    assert not hexgraph.is_legal(of, np.array([[1, 3]])).any()
    assert hexgraph.is_legal(of, np.array([[1, 2], [0, 3], [2, 4]])).all()


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_levels_are_legal_where_a_legal_state_has_them(of: Graph, seed: int) -> None:
    """Also where the rules bind what is known through what is not; else a loss would be endless."""
    most = [label.levels for label in of.labels]
    levels = np.random.default_rng(seed).integers(0, most, (30, len(most)), endpoint=True)
    on, known = hexgraph.switches(of, levels)
    rows = legal_rows(of)
    fits = ((on[:, None] == rows) | (known[:, None] == 0)).all(axis=2).any(axis=1)
    assert (hexgraph.is_legal(of, levels) == fits).all()


def test_levels_that_clash_through_an_unknown_label_are_illegal() -> None:
    """What needs a label that is unknown is still bound to what that one needs and excludes."""
    of = graph(
        {"a": 2, "b": 2, "c": 2, "d": 2}, (("b", "c"),), (("a", 2, "b", 2), ("b", 2, "d", 2))
    )
    levels = np.array([[2, 0, 2, 0], [2, 0, 1, 1], [2, 0, 0, 0], [0, 0, 2, 1]])
    assert hexgraph.is_legal(of, levels).tolist() == [False, False, True, True]
    logs = hex_reference.log_likelihood(of, drawn(of, 4), levels)
    assert np.isfinite(logs).tolist() == [False, False, True, True]


def test_a_graph_survives_its_account() -> None:
    for name in ("hex6", "hex12"):
        of = named(name)
        again = parsed(of.metadata, "there")
        assert (again.name, again.labels, again.edges) == (of.name, of.labels, of.edges)


LABEL = '[[labels]]\nname = "a"\n[[labels]]\nname = "b"\nlevels = 3\n'
BOUND = '[[exclusions]]\na = "a"\na_levels = [{}]\nb = "b"\nb_levels = [{}]\n'
NEED = '[[implications]]\nlabel = "{}"\nlevel = {}\nneeds = "{}"\nneeds_level = {}\n'
WRONG = {
    "no labels": ("", "the graph has no 'labels'"),
    "no toml": ("labels = [", "cannot read the graph"),
    "unknown label": (LABEL + BOUND.format(2, 2).replace('"b"', '"c"'), "no label 'c' among a, b"),
    "level of another": (LABEL + BOUND.format(2, 4), "b has no level 4 to bind; its levels are 2"),
    "level none": (LABEL + BOUND.format(1, 2), "a has no level 1 to bind"),
    "can never be": (
        LABEL + BOUND.format(2, 2) + NEED.format("a", 3, "b", 2),
        "a at level 3 can never be",
    ),
    "own chain": (
        LABEL + BOUND.format(4, 2).replace('b = "b"', 'b = "a"'),
        "a at level 4 can never be",
    ),
    "circle": (
        LABEL + NEED.format("a", 2, "b", 3) + NEED.format("b", 2, "a", 4),
        "need each other in a circle",
    ),
    "itself": (LABEL + BOUND.format(2, 2).replace('"b"', '"a"'), "excludes itself"),
    "same name": ('[[labels]]\nname = "a"\n' * 2, "are both called 'a'"),
    "same alias": (
        LABEL.replace('"b"\n', '"b"\naliases = ["x", "A"]\n'),
        "a and b are both called 'a'",
    ),
    "levels": (LABEL.replace("3", "5"), "b has 5 levels, and may have 2 to 4"),
    "a word too much": ('weight = 3\n[[labels]]\nname = "a"\n', "'weight', which no graph has"),
    "a word too few": (LABEL + "[[exclusions]]\na = 'a'\n", "an exclusion has no 'a_levels'"),
    "a huge number": (
        '[[labels]]\nname = "a"\nlevels = 0x' + "f" * 5000,
        "a has ... levels, and may",
    ),
    "a long name": ('[[labels]]\nname = "a"\n' + "x" * 5000 + " = 1", "xxx', which no label has"),
    "levels without end": (
        LABEL + BOUND.format("2, " * 2000, 2),
        "the levels of an exclusion are [2, 2, 2, 2, 2, 2, ...]; give a list",
    ),
    "no table": ('exclusions = [1]\n[[labels]]\nname = "a"\n', "an exclusion is 1, and must be a"),
    "unprintable": ('[[labels]]\nname = "a\\u001b[2J"\n', "must be printable"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_graph(tmp_path: Path, case: str) -> None:
    text, why = WRONG[case]
    file = tmp_path / "g.toml"
    file.write_text(text)
    with pytest.raises(IqError) as caught:
        read_graph(file)
    assert why in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(file))


def test_a_graph_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IqError, match="No such file"):
        named(str(tmp_path / "none.toml"))
    with pytest.raises(IqError, match="there is no graph 'hex99'"):
        named("hex99")


def test_too_many_legal_states_are_refused_at_once() -> None:
    """Thirty labels that need one more have 4^30 states in one part; none is listed in vain."""
    labels = {"hub": 2} | {f"l{k}": 4 for k in range(30)}
    needs = tuple((name, 2, "hub", 2) for name in labels if name != "hub")
    began = time.monotonic()
    with pytest.raises(IqError) as caught:
        graph(labels, needs=needs)
    assert time.monotonic() - began < 5
    assert str(caught.value).startswith("the graph here is too large: the part that begins with")
    assert "with hub 2 joins 91 nodes in more than 10,000 legal states" in str(caught.value)
    free = graph(dict.fromkeys(labels, 4))  # as many labels, but nothing joins them
    assert len(free.components) == 31
