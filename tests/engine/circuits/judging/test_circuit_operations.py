"""Finding, judging and questioning a circuit as a person does it: operations in, artifacts out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from engine.circuits.circuit_graph import kept_components, row_of
from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.circuits.operations import OPERATIONS
from engine.circuits.sweeps.greedy_operations import GreedySweep, greedy_sweep
from engine.operations import describe
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Graph, Node
from sessions.codec import decode, encode
from sessions.components import Embed, Head, Logits, Mlp, parse_component
from sessions.errors import CallError, CancelledError


def sweep(**more: Any) -> GreedySweep:
    return GreedySweep(model="@1", prompts="@2", metric="loss", theta=0.1, held_out=0.25, **more)


def test_a_circuit_with_its_decisions_curves_and_graph(desk: Any, pair: Any, naive: Any) -> None:
    table, drops, graph, curves = greedy_sweep(sweep(), desk)
    assert len(table.rows) == 12
    removed = [parse_component(str(row[0])) for row in table.rows if row[1] == "removed"]
    kept = {parse_component(str(row[0])) for row in table.rows if row[1] == "kept"}
    assert removed
    assert kept
    assert {Head(*mark) for mark in drops.marks} == kept
    assert np.isfinite(drops.values).all()
    assert {node.component for node in graph.nodes if not node.kept} == set(removed)
    assert {node.component for node in graph.nodes if node.kept} == kept | {Embed(), Logits(), *map(Mlp, range(3))}
    assert [node.layer for node in graph.nodes] == sorted(node.layer for node in graph.nodes)
    assert len(curves.x) == len(removed) + 1
    assert curves.curves[0].y[-1] == pytest.approx([row[3] for row in table.rows if row[1] == "removed"][-1])
    assert graph.facts["n_select"] == 9
    assert graph.facts["n_held_out"] == 3
    # the graph's own numbers, from whole hooked passes over the prompts held out
    aside = np.sort(np.random.default_rng(0).permutation(12)[:3])
    rows = [desk.inputs["@2"].rows[i] for i in aside]
    batch = tokenize(rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    full = float(naive("loss", pair.hooked, batch, [], "zero").mean())
    alone = float(naive("loss", pair.hooked, batch, removed, "zero").mean())
    heads = [Head(layer, head) for layer in range(3) for head in range(4)]
    nothing = float(naive("loss", pair.hooked, batch, heads, "zero").mean())
    assert graph.facts["metric_full"] == pytest.approx(full, abs=1e-4)
    assert graph.facts["metric_circuit"] == pytest.approx(alone, abs=1e-4)
    assert graph.facts["faithfulness"] == pytest.approx((alone - nothing) / (full - nothing), abs=1e-3)
    assert curves.curves[1].y[-1] == pytest.approx(alone, abs=1e-4)
    for artifact in (table, drops, graph, curves):
        assert encode(decode(encode(artifact))) == encode(artifact)


def test_edges_join_kept_nodes_only_and_say_what_they_are(desk: Any) -> None:
    *_, graph, _ = greedy_sweep(sweep(), desk)
    kept = {node.id for node in graph.nodes if node.kept}
    assert graph.edges
    assert all(edge.source in kept and edge.target in kept for edge in graph.edges)
    assert graph.facts["edges_measured"] == "all"
    assert len(graph.edges) == graph.facts["edges_in_circuit"]
    few = greedy_sweep(sweep(edges=3), desk_again(desk))[2]
    assert {edge.target for edge in few.edges} == {"logits"}
    assert "too many" in few.facts["edges_measured"]
    same = {(e.source, e.target): e.weight for e in graph.edges}
    assert all(same[e.source, e.target] == pytest.approx(e.weight, abs=1e-6) for e in few.edges)


def desk_again(desk: Any) -> Any:
    fresh = type(desk)(**desk.inputs)
    fresh.seed = desk.seed
    return fresh


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_an_interrupted_sweep_ends_with_the_same_bytes(desk: Any, stop: int) -> None:
    whole = greedy_sweep(sweep(), desk_again(desk))
    desk.stop_after = stop
    with pytest.raises(CancelledError):
        greedy_sweep(sweep(), desk)
    assert len(desk.saved) == stop
    desk.stop_after = None
    again = greedy_sweep(sweep(), desk)
    assert [encode(a) for a in again] == [encode(a) for a in whole]


def test_no_prompts_held_out_and_a_single_prompt(desk: Any) -> None:
    params = GreedySweep(model="@1", prompts="@2", held_out=0.0)
    *_, graph, curves = greedy_sweep(params, desk)
    assert len(curves.curves) == 1
    assert graph.facts["measured_on"] == "the prompts that decided"
    prompts = desk.inputs["@2"]
    desk.inputs["@2"] = type(prompts)(title="one", task="x", rows=prompts.rows[:1])
    alone = desk_again(desk)
    table, *_ = greedy_sweep(GreedySweep(model="@1", prompts="@2", held_out=0.9), alone)
    assert table.facts["n_select"] == 1


def test_another_seed_splits_the_prompts_in_another_way(desk: Any) -> None:
    other = desk_again(desk)
    other.seed = 1
    first, second = greedy_sweep(sweep(), desk)[0], greedy_sweep(sweep(), other)[0]
    assert [row[2] for row in first.rows] != [row[2] for row in second.rows]


def test_evaluating_a_graph_gives_what_its_sweep_found(desk: Any) -> None:
    params = GreedySweep(model="@1", prompts="@2", metric="loss", theta=0.1, held_out=0.0)
    graph = greedy_sweep(params, desk)[2]
    desk.inputs["@3"] = graph
    (table,) = evaluate(Evaluate(model="@1", prompts="@2", metric="loss", circuit="@3"), desk)
    row = dict(zip([column.name for column in table.columns], table.rows[0]))
    assert row["whole model"] == pytest.approx(graph.facts["metric_full"], abs=1e-5)
    assert row["circuit"] == pytest.approx(graph.facts["metric_circuit"], abs=1e-5)
    assert row["faithfulness"] == pytest.approx(graph.facts["faithfulness"], abs=1e-4)
    assert row["n"] == 12
    assert [line[0] for line in table.rows] == [
        "loss, -log p(answer)",
        "accuracy, argmax over the vocabulary",
        "KL(full || ablated)",
    ]


def node(component: Any) -> Node:
    return Node(id=str(component), label=str(component), layer=row_of(component, 3), component=component)


def test_a_circuit_of_another_shape_is_refused(desk: Any) -> None:
    desk.inputs["@3"] = Graph(title="big", nodes=(node(Head(7, 0)),), edges=())
    with pytest.raises(CallError, match="L7H0 of 'big' is not in this model of 3 layers and 4 heads"):
        evaluate(Evaluate(model="@1", prompts="@2", circuit="@3"), desk)
    desk.inputs["@3"] = Graph(title="automaton", nodes=(Node(id="s0", label="s0", layer=0),), edges=())
    with pytest.raises(CallError, match="no attention heads"):
        evaluate(Evaluate(model="@1", prompts="@2", circuit="@3"), desk)
    with pytest.raises(CallError, match="is a prompts, not a graph"):
        evaluate(Evaluate(model="@1", prompts="@2", circuit="@2"), desk)


def test_a_graph_without_mlps_keeps_them_all() -> None:
    graph = Graph(title="heads", nodes=(node(Head(0, 1)),), edges=())
    kept = kept_components(graph, n_layers=3, n_heads=4, has_mlps=True)
    assert kept == {Head(0, 1), Mlp(0), Mlp(1), Mlp(2)}
    graph = Graph(title="with", nodes=(node(Head(0, 1)), node(Mlp(2))), edges=())
    assert kept_components(graph, n_layers=3, n_heads=4, has_mlps=True) == {Head(0, 1), Mlp(2)}


def test_the_catalogue_of_circuits_loads_without_torch() -> None:
    code = "import sys, engine.circuits.operations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_every_operation_has_a_form_and_says_what_it_gives() -> None:
    for operation in OPERATIONS:
        info = describe(operation)
        assert info.name.startswith("circuits.")
        assert info.gives
        assert all(field.help for field in info.fields), info.name
