"""Circuits on other models: each cell against a whole hooked pass, and against circuits.evaluate of the same pair."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from engine.circuits.across.applied import applied
from engine.circuits.across.transfer_operations import Transfer, transfer
from engine.circuits.across.transfer_results import WHOLE
from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Edge, Graph
from sessions.codec import decode, encode
from sessions.components import Head, Logits, Mlp
from sessions.errors import CallError, CancelledError

from ..conftest import Pair, naive_metric
from .conftest import TUNED, Shelf, node, of_edges, of_heads

FIRST = (Head(0, 1), Head(0, 3), Head(1, 2), Head(2, 0))
SECOND = (Head(0, 0), Head(1, 2), Head(1, 3), Head(2, 2), Head(2, 3))


@pytest.fixture
def bench(shelf: Shelf) -> Shelf:
    """@5 found on base, @6 on tuned without one of the MLPs, @7 of nobody knows where."""
    shelf.inputs |= {
        "@5": of_heads(*FIRST, title="five", model="zoo:base", model_title="base"),
        "@6": of_heads(*SECOND, mlps=(0, 2), title="six", model=TUNED, model_title="tuned"),
        "@7": of_heads(*FIRST[:2], mlps=None, title="seven"),
    }
    return shelf


def params(**more: Any) -> Transfer:
    return Transfer(**{"circuits": ("@5", "@6", "@7"), "models": ("@1", "@3"), "prompts": "@2", **more})


def gone(kept: tuple[Head, ...], *mlps: int) -> list[Head | Mlp]:
    heads = [Head(layer, head) for layer in range(3) for head in range(4)]
    return [*(head for head in heads if head not in kept), *(Mlp(layer) for layer in mlps)]


REMOVED = ([], gone(FIRST), gone(SECOND, 1), gone(FIRST[:2]))


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("metric", ["accuracy", "logit_diff", "loss", "kl"])
def test_every_cell_is_what_a_whole_hooked_pass_says(
    bench: Shelf, pairs: tuple[Pair, Pair], ablation: str, metric: str
) -> None:
    matrix, wide, cells, _ = transfer(params(ablation=ablation, metric=metric), bench)
    assert matrix.values.shape == (4, 2)
    rows = bench.inputs["@2"].rows
    for j, pair in enumerate(pairs):
        batch = tokenize(rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
        for i, removed in enumerate(REMOVED):
            expected = float(naive_metric(metric, pair.hooked, batch, removed, ablation).mean())
            assert matrix.values[i, j] == pytest.approx(expected, abs=1e-4)  # float32 passes, float64 reference
            assert wide.rows[i][1 + j] == pytest.approx(expected, abs=1e-4)
            assert cells.rows[4 * j + i][3] == pytest.approx(expected, abs=1e-4)


def test_a_cell_is_opened_as_the_facts_say_and_says_the_same(bench: Shelf) -> None:
    matrix, *_ = transfer(params(metric="logit_diff", ablation="mean"), bench)
    told = matrix.facts["cell_parameters"]
    assert matrix.facts["cell_operation"] == "circuits.evaluate"
    assert told["rows"][0] is None
    for i in (1, 2, 3):
        for j in (0, 1):
            asked = msgspec.convert({**told["shared"], **told["rows"][i], **told["columns"][j]}, Evaluate)
            table = next(iter(evaluate(asked, bench.fresh())))
            names = [column.name for column in table.columns]
            row = dict(zip(names, table.rows[0]))
            assert matrix.values[i, j] == pytest.approx(row["circuit"], abs=1e-5)
            assert matrix.values[0, j] == pytest.approx(row["whole model"], abs=1e-5)


def test_rows_say_where_circuits_come_from_and_how_much_they_remove(bench: Shelf) -> None:
    matrix, wide, cells, _ = transfer(params(), bench)
    assert matrix.axes[0].labels == (
        WHOLE, "base (8 heads removed)", "tuned (7 heads, 1 MLP removed)", "seven (10 heads removed)",
    )  # fmt: skip
    assert matrix.axes[1].labels == ("base", "tuned")
    assert [column.name for column in wide.columns] == ["circuit from", "on base", "on tuned"]
    assert [row[2] for row in cells.rows] == [False, True, False, False, False, False, True, False]
    for artifact in (matrix, wide, cells):
        assert encode(decode(encode(artifact))) == encode(artifact)


def test_the_best_circuit_of_each_model_is_marked_and_the_others_are_so_far_behind(bench: Shelf) -> None:
    for metric, better in (("logit_diff", np.argmax), ("loss", np.argmin)):
        matrix, _, cells, _ = transfer(params(metric=metric), bench.fresh())
        best = {j: 1 + int(better(matrix.values[1:, j])) for j in (0, 1)}
        assert set(matrix.marks) == {(i, j) for j, i in best.items()}
        for row, (j, i) in zip(cells.rows, ((j, i) for j in (0, 1) for i in range(4))):
            value, low, high, drop, behind, behind_low, behind_high = row[3:10]
            assert low <= value <= high
            sign = 1 if better is np.argmax else -1
            assert drop == pytest.approx(sign * (matrix.values[0, j] - value), abs=1e-5)
            if i == 0:
                assert behind is None
                continue
            assert behind == pytest.approx(sign * (matrix.values[best[j], j] - value), abs=1e-5)
            assert behind_low <= behind <= behind_high


def test_each_circuit_is_better_or_worse_elsewhere_or_too_close_to_tell(bench: Shelf) -> None:
    bench.inputs["@8"] = of_heads(*SECOND[:3], title="eight", model="zoo:base", model_title="base")
    circuits = ("@5", "@6", "@7", "@8")
    for metric, sign in (("logit_diff", 1), ("loss", -1)):
        matrix, _, _, moves = transfer(params(circuits=circuits, metric=metric), bench.fresh())
        home = {1: 0, 2: 1, 4: 0}  # row -> its own model; the third circuit has none
        assert len(moves.rows) == len(home)
        for row, (i, own) in zip(moves.rows, home.items()):
            there = 1 - own
            assert row[:3] == (matrix.axes[0].labels[i], ("base", "tuned")[there], ("later", "earlier")[own])
            assert row[4:6] == pytest.approx((matrix.values[i, own], matrix.values[i, there]), abs=1e-5)
            change, low, high = row[6:]
            assert change == pytest.approx(sign * (matrix.values[i, there] - matrix.values[i, own]), abs=1e-5)
            assert low <= change <= high
            assert row[3] == ("better there" if low > 0 else "worse there" if high < 0 else "no clear difference")
    one = transfer(params(models=("@3",), circuits=("@5", "@6")), bench.fresh())
    assert len(one) == 3  # nowhere else to be


def edge(source: str, target: str, port: Any = None) -> Edge:
    return Edge(source, target, 1.0, input=port)


def test_a_circuit_of_edges_that_keeps_what_one_of_nodes_keeps_does_the_same(bench: Shelf) -> None:
    """Every edge among the nodes of @5, spelled out: with zero ablation the same passes."""
    kept = ["embed", *map(str, FIRST), "mlp0", "mlp1", "mlp2", "logits"]
    rows = {one.id: one.layer for one in bench.inputs["@5"].nodes}
    edges = [edge(a, b) for a in kept for b in kept if rows[a] < rows[b]]
    bench.inputs["@8"] = of_edges(*edges, title="spelled out")
    matrix, *_ = transfer(params(circuits=("@5", "@8"), metric="logit_diff"), bench)
    assert matrix.values[1] == pytest.approx(matrix.values[2], abs=1e-4)
    # embed -> 3; of 4 heads 12 q/k/v inputs and 3 MLPs... what is kept of all edges, counted by hand below
    total = sum(3 * 4 * (1 + 5 * layer) + (5 + 5 * layer) for layer in range(3)) + 16
    inputs = sum(3 if target.startswith("L") else 1 for _, target in ((e.source, e.target) for e in edges))
    assert matrix.axes[0].labels[2] == f"spelled out ({total - inputs:,} edges removed)"


def test_cutting_one_edge_into_one_input_changes_the_circuit(bench: Shelf) -> None:
    whole = [edge(a.id, b.id) for a in of_heads().nodes for b in of_heads().nodes if a.layer < b.layer]
    bench.inputs["@8"] = of_edges(*whole, title="all")
    bench.inputs["@9"] = of_edges(*(e for e in whole if e.target != "L2H1"), edge("embed", "L2H1", "q"), title="less")
    matrix, *_ = transfer(params(circuits=("@8", "@9"), metric="loss"), bench)
    assert matrix.values[1] == pytest.approx(matrix.values[0], abs=1e-5)  # all edges: the clean run
    assert np.abs(matrix.values[2] - matrix.values[0]).min() > 1e-4


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_an_interrupted_matrix_goes_on_cell_by_cell_to_the_same_bytes(bench: Shelf, stop: int) -> None:
    whole = transfer(params(), bench.fresh())
    bench.stop_after = stop
    with pytest.raises(CancelledError):
        transfer(params(), bench)
    assert len(bench.saved) == stop
    assert [int(np.isfinite(partial.values).sum()) for partial in bench.partials] == list(range(1, stop + 1))
    bench.stop_after = None
    assert [encode(a) for a in transfer(params(), bench)] == [encode(a) for a in whole]
    done = [report[0] for report in bench.reports]
    assert done[-1] == 8


def test_the_batch_does_not_matter(bench: Shelf) -> None:
    once, parts = (transfer(params(metric="loss", batch=batch), bench.fresh())[0] for batch in (0, 5))
    np.testing.assert_allclose(once.values, parts.values, atol=1e-5)


def test_wrong_inputs_are_named(bench: Shelf) -> None:
    bench.inputs["@8"] = Graph(title="deep", nodes=(node(Head(5, 0)), node(Head(0, 0))), edges=())
    shallow = Graph(
        title="shallow", nodes=(node(Head(0, 0)), msgspec.structs.replace(node(Logits()), layer=5)), edges=()
    )
    bench.inputs["@9"] = shallow
    for more, sentence in (
        ({"circuits": ()}, "circuits: no circuit is named"),
        ({"circuits": ("@5", "@5")}, "circuits: @5 is named twice"),
        ({"circuits": ("@2",)}, "circuits: @2 is a prompts, not a graph"),
        ({"circuits": ("@5", "@8")}, "L5H0 of 'deep' is not in this model of 3 layers and 4 heads"),
        ({"circuits": ("@9",)}, "'shallow' is a circuit of 2 layers, and the model has 3"),
        ({"models": ("@1", "@6")}, "models: @6 is a graph, not a model"),
    ):
        with pytest.raises(CallError, match=sentence):
            transfer(params(**more), bench)
    assert not bench.saved


def test_what_a_circuit_removes(pairs: tuple[Pair, Pair]) -> None:
    found = applied(of_heads(*SECOND, mlps=(0, 2)), pairs[0].ours.config)
    assert {Head(layer, head) for layer, head in found.heads.nonzero().tolist()} == {
        part for part in gone(SECOND) if isinstance(part, Head)
    }
    assert found.mlps.tolist() == [False, True, False]
    assert found.edges is None
