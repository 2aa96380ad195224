"""The discovery operations: results, interruptions, and sentences for mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.discovery.acdc_operations import Acdc, acdc
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import edge_graph, mask_of
from engine.circuits.discovery.edge_passes import EdgePasses, edge_values
from engine.circuits.discovery.head_operations import HeadAttribution, head_attribution
from engine.circuits.discovery.score_operations import Eap, EdgePatching, eap, edge_patching
from engine.circuits.discovery.selection_operations import SelectEdges, select_edges
from engine.circuits.discovery.threshold_operations import AcdcThresholds, acdc_thresholds
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Edge, Graph, Matrix, Node, Series, Table
from sessions.components import Embed, Head, Logits
from sessions.errors import CallError, CancelledError

from ..conftest import Desk, Pair

BASE: dict[str, Any] = {"model": "@1", "prompts": "@2"}


def test_acdc_leaves_a_circuit_its_decisions_and_both_curves(desk: Desk, pair: Pair) -> None:
    circuit, table, series = acdc(Acdc(**BASE, tau=0.05), desk)
    assert isinstance(circuit, Graph)
    assert isinstance(table, Table)
    assert isinstance(series, Series)
    graph = computational_graph(pair.ours.config)
    mask = mask_of(circuit, graph)
    kept = [row for row in table.rows if row[2] == "kept"]
    assert len(table.rows) == graph.size == 262
    assert circuit.facts["edges_kept"] == len(kept) == int(mask.sum())
    assert circuit.level == "edges"
    # the facts' numbers are those of a whole pass over the prompts held out
    rows = desk.inputs["@2"].rows
    order = desk.rng.permutation(len(rows))
    aside = [rows[i] for i in np.sort(order[:6])]
    batch = tokenize(aside, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    for name in ("kl", "logit_diff", "loss"):
        runs = PromptRuns(pair.ours, batch, METRICS[name], "resample")
        value = float(edge_values((runs,), mask[None])[0].mean())
        assert circuit.facts[f"{name}_circuit"] == pytest.approx(value, abs=1e-4)
    assert series.curves[0].y[0] == pytest.approx(0, abs=1e-6)
    assert series.curves[1].y[-1] == pytest.approx(circuit.facts["kl_circuit"], abs=1e-4)
    assert series.x[-1] == circuit.facts["edges_removed"]
    assert desk.reports[-1][:2] == (262, 262)
    assert {type(p) for p in desk.partials} >= {Graph}


def test_an_interrupted_acdc_goes_on_where_it_stopped(desk: Desk) -> None:
    params = Acdc(**BASE, tau=0.02, order="random", batch=12)
    whole = acdc(params, Desk(**desk.inputs))
    desk.stop_after = 9
    with pytest.raises(CancelledError):
        acdc(params, desk)
    saved = len(desk.saved)
    desk.stop_after = None
    again = acdc(params, desk)
    assert saved == 9
    for one, other in zip(whole, again):
        assert one.summary == other.summary
    first, second = whole[1], again[1]
    assert isinstance(first, Table)
    assert isinstance(second, Table)
    assert first.rows == second.rows


def test_acdc_goes_on_in_smaller_chunks_where_memory_runs_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Acdc(**BASE, tau=0.05)
    whole = acdc(params, Desk(**desk.inputs))
    without, calls = EdgePasses.without, []

    def scarce(self: EdgePasses, index: int, *arguments: Any) -> Any:
        calls.append(len(self.runs.chunks[index].tokens))
        if len(calls) > 5 and calls[-1] > 2:
            raise RuntimeError("CUDA out of memory")
        return without(self, index, *arguments)

    monkeypatch.setattr(EdgePasses, "without", scarce)
    again = acdc(params, desk)
    assert calls[0] == 6  # before memory ran out
    assert calls[-1] <= 2  # and after
    tables = [found[1] for found in (whole, again)]
    verdicts = [[row[:3] for row in table.rows] for table in tables if isinstance(table, Table)]
    assert verdicts[0] == verdicts[1]


def test_thresholds_score_edges_by_what_removes_them(desk: Desk) -> None:
    matrix, table = acdc_thresholds(AcdcThresholds(**BASE, taus=(0.5, 0.01)), desk)
    assert isinstance(matrix, Matrix)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [0.01, 0.5]
    found = set(np.unique(matrix.values[np.isfinite(matrix.values)]).tolist())
    assert found <= {np.float32(0.01), np.float32(0.5), np.float32(1.0)}
    assert int((matrix.values > 0.02).sum()) == table.rows[0][1]
    again = acdc_thresholds(AcdcThresholds(**BASE, taus=(0.01, 0.5)), desk)  # all units are saved: nothing is run
    assert isinstance(again[0], Matrix)
    np.testing.assert_array_equal(again[0].values, matrix.values)


@pytest.mark.parametrize("method", ["eap", "eap_ig_inputs", "eap_ig_activations", "clean_corrupt"])
def test_eap_does_not_depend_on_the_batch(desk: Desk, method: Any) -> None:
    one = eap(Eap(**BASE, method=method, batch=1), desk)
    all_at_once = eap(Eap(**BASE, method=method), desk)
    assert isinstance(one[0], Matrix)
    assert isinstance(all_at_once[0], Matrix)
    np.testing.assert_allclose(one[0].values, all_at_once[0].values, rtol=1e-3, atol=1e-5)
    circuit = all_at_once[2]
    assert isinstance(circuit, Graph)
    assert circuit.facts["edges_kept"] <= 26  # one in ten of 262, less what was pruned
    assert circuit.facts["method"] == method


def test_edge_patching_both_ways_and_interrupted(desk: Desk) -> None:
    noised = edge_patching(EdgePatching(**BASE), Desk(**desk.inputs))
    desk.stop_after = 10
    with pytest.raises(CancelledError):
        edge_patching(EdgePatching(**BASE), desk)
    desk.stop_after = None
    again = edge_patching(EdgePatching(**BASE), desk)
    denoised = edge_patching(EdgePatching(**BASE, direction="denoising"), Desk(**desk.inputs))
    matrices = [found[0] for found in (noised, again, denoised)]
    assert all(isinstance(matrix, Matrix) for matrix in matrices)
    first, second, third = (matrix.values for matrix in matrices if isinstance(matrix, Matrix))
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-7)
    # denoising is noising with the two runs in each other's place
    assert not np.allclose(np.nan_to_num(first), np.nan_to_num(third), atol=1e-3)
    swapped = Desk(**desk.inputs)
    rows = tuple(
        type(r)(clean=r.corrupt, corrupt=r.clean, answers=r.answers, foils=r.foils) for r in desk.inputs["@2"].rows
    )
    swapped.inputs = desk.inputs | {"@2": type(desk.inputs["@2"])(title="s", task="s", rows=rows)}
    other = edge_patching(EdgePatching(**BASE), swapped)[0]
    assert isinstance(other, Matrix)
    np.testing.assert_allclose(third, other.values, rtol=1e-5, atol=1e-6)


def test_a_circuit_from_scores_that_are_there(desk: Desk, pair: Pair) -> None:
    scores = eap(Eap(**BASE), desk)[0]
    desk.inputs["@3"] = scores
    graph = computational_graph(pair.ours.config)
    for select, edges in (("top_n", 20), ("greedy", 20)):
        (circuit,) = select_edges(SelectEdges(scores="@3", model="@1", select=select, edges=edges, prune=False), desk)
        assert isinstance(circuit, Graph)
        assert int(mask_of(circuit, graph).sum()) == 20
    (circuit,) = select_edges(
        SelectEdges(scores="@3", model="@1", select="threshold", threshold=0.1, prune=False), desk
    )
    assert isinstance(circuit, Graph)
    assert isinstance(scores, Matrix)
    assert circuit.facts["edges_kept"] == int((np.abs(np.nan_to_num(scores.values)) > 0.1).sum())
    desk.inputs["@4"] = Matrix(title="other", values=np.zeros((2, 2)), axes=scores.axes)
    with pytest.raises(CallError, match="does not hold"):
        select_edges(SelectEdges(scores="@5", model="@1"), Desk(**desk.inputs, **{"@5": _layer_by_head()}))


def _layer_by_head() -> Matrix:
    from sessions.artifacts import Axis

    return Matrix(title="heads", values=np.zeros((3, 4)), axes=(Axis("layer"), Axis("head")))


def test_head_attribution(desk: Desk) -> None:
    matrix, table = head_attribution(HeadAttribution(**BASE, batch=5), desk)
    assert isinstance(matrix, Matrix)
    assert isinstance(table, Table)
    assert matrix.values.shape == (3, 4)
    assert table.rows[0][1] == pytest.approx(matrix.values.flat[np.abs(matrix.values).argmax()], rel=1e-5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda d: eap(Eap(**BASE, metric="accuracy"), d), "no gradient"),
        (lambda d: eap(Eap(**BASE, metric="kl"), d), "no gradient there"),
        (lambda d: eap(Eap(**BASE, method="clean_corrupt", ablation="zero"), d), "corrupt prompts"),
        (lambda d: head_attribution(HeadAttribution(**BASE, metric="kl"), d), "no gradient"),
        (lambda d: edge_patching(EdgePatching(**BASE, direction="denoising", ablation="mean"), d), "corrupt run"),
        (lambda d: edge_patching(EdgePatching(**BASE, direction="denoising", metric="kl"), d), "patched"),
        (lambda d: acdc(Acdc(**BASE, mode="percentage"), d), "KL is 0"),
        (lambda d: acdc(Acdc(**BASE, mode="fixed", test="absolute"), d), "bounds a loss"),
        (lambda d: acdc_thresholds(AcdcThresholds(**BASE, taus=()), d), "no threshold"),
    ],
)
def test_mistakes_get_a_sentence(desk: Desk, call: Any, said: str) -> None:
    with pytest.raises(CallError, match=said):
        call(desk)


def test_graphs_and_masks_are_the_same_thing(pair: Pair) -> None:
    graph = computational_graph(pair.ours.config)
    mask = graph.edges & (torch.rand(graph.edges.shape, generator=torch.Generator().manual_seed(0)) < 0.4)
    found = edge_graph(graph, mask, mask.double(), title="", summary="", facts={}, weight_name="")
    assert mask_of(found, graph).equal(mask)
    nodes = (
        Node("embed", "embed", 0, Embed()),
        Node("L0H1", "L0H1", 1, Head(0, 1)),
        Node("logits", "logits", 9, Logits()),
    )
    by_nodes = Graph(title="n", nodes=nodes, edges=())
    assert int(mask_of(by_nodes, graph).sum()) > 3  # it says nothing of MLPs, so all are kept
    bad = Graph(title="bad", nodes=nodes, edges=(Edge("L0H1", "L0H2", input="q"),), level="edges")
    with pytest.raises(CallError, match=r"L0H1->L0H2\.q"):
        mask_of(bad, graph)
    far = Graph(title="far", nodes=nodes, edges=(Edge("L7H1", "logits"),), level="edges")
    with pytest.raises(CallError, match="L7H1->logits"):
        mask_of(far, graph)
