"""ACDC's decisions against the plain algorithm written out with whole passes, for every rule, and on circuits that are
known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.circuits.discovery.acdc import EdgeDecision, acdc, traversal
from engine.circuits.discovery.computational_graph import ComputationalGraph, computational_graph
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.discovery.thresholds import Rule, Value
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from sessions.components import Embed, Head, Logits, Mlp

from ..conftest import Pair, make_batch


def plain(runs: PromptRuns, graph: ComputationalGraph, rule: Rule, order: Any = "reverse") -> list[EdgeDecision]:
    """The algorithm as circuits.md states it: one whole pass per edge, no batches."""

    def measured(mask: Tensor) -> float:
        return float(edge_values((runs,), mask[None])[0].double().mean())

    mask = graph.edges.clone()
    current, full = measured(mask), float(runs.clean.double().mean())
    made = []
    for target, sources in traversal(graph, order, np.random.default_rng(0)):
        node = graph.targets[target]
        own = Head(node.layer, node.head) if isinstance(node, Head) else node
        heard = isinstance(own, Logits | Embed) or bool(mask[:, graph.source(own)].any())
        for source in sources:
            if not heard:
                made.append(EdgeDecision(target, source, current, current, 0.0, True, tried=False))
                mask[target, source] = False
                continue
            mask[target, source] = False
            new = measured(mask)
            removed = rule.accepts(new, current, full)
            made.append(EdgeDecision(target, source, current, new, rule.drop(new, current), removed))
            if removed:
                current = new
            else:
                mask[target, source] = True
    return made


def fast(runs: PromptRuns, graph: ComputationalGraph, rule: Rule, **options: Any) -> list[EdgeDecision]:
    return [d for tried in acdc(runs, graph, rule, **options) for d in tried.decisions]


def verdicts(made: Sequence[EdgeDecision]) -> list[tuple[int, int, bool, bool]]:
    return [(d.target, d.source, d.removed, d.tried) for d in made]


RULES = [
    ("kl", 0.02, "absolute", "signed"),
    ("kl", 0.02, "absolute", "absolute"),
    ("kl", 0.2, "fixed", "signed"),
    ("logit_diff", 0.05, "absolute", "signed"),
    ("loss", 0.02, "percentage", "signed"),
    ("accuracy", 0.1, "absolute", "signed"),
]


@pytest.mark.parametrize("name", ["pair", "parallel_pair", "attn_only_pair"])
@pytest.mark.parametrize(("metric", "tau", "mode", "test"), RULES)
def test_decisions_are_those_of_the_plain_algorithm(
    request: pytest.FixtureRequest, name: str, metric: str, tau: float, mode: Any, test: Any
) -> None:
    pair: Pair = request.getfixturevalue(name)
    kind: Any = "resample" if metric != "accuracy" else "zero"
    batch = make_batch(rows=10)
    final = pair.ours.forward(batch.tokens).resid_pre[-1][:, -1:]
    said = pair.ours.unembed(final).argmax(-1)  # so that there is an accuracy to lose
    runs = PromptRuns(pair.ours, batch._replace(answers=said), METRICS[metric], kind, rows=6)
    graph = computational_graph(pair.ours.config)
    rule = Rule(METRICS[metric], tau, mode, test)
    expected, found = plain(runs, graph, rule), fast(runs, graph, rule)
    assert verdicts(found) == verdicts(expected)
    assert len(found) == graph.size
    assert 0 < sum(d.removed for d in found) < graph.size
    values = np.array([[d.before, d.after] for d in found])
    np.testing.assert_allclose(values, [[d.before, d.after] for d in expected], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("order", ["forward", "random"])
def test_other_orders(pair: Pair, order: Any) -> None:
    runs = PromptRuns(pair.ours, make_batch(rows=4), METRICS["kl"], "mean")
    graph, rule = computational_graph(pair.ours.config), Rule(METRICS["kl"], 0.02)
    found = fast(runs, graph, rule, order=order, rng=np.random.default_rng(0))
    assert verdicts(found) == verdicts(plain(runs, graph, rule, order))


def test_decisions_depend_on_neither_chain_nor_chunk_nor_interruption(pair: Pair) -> None:
    batch, graph, rule = make_batch(rows=6), computational_graph(pair.ours.config), Rule(METRICS["kl"], 0.01)
    runs = PromptRuns(pair.ours, batch, METRICS["kl"], "resample")
    expected = verdicts(fast(runs, graph, rule))
    for chain, rows, keep in ((1, 6, 2**30), (5, 1, 2**30), (40, 4, 0)):
        other = PromptRuns(pair.ours, batch, METRICS["kl"], "resample", rows=rows)
        assert verdicts(fast(other, graph, rule, chain=chain, rows=64, keep_bytes=keep)) == expected
    assert verdicts(fast(runs, graph, rule, plain=True)) == expected
    by_target: dict[int, list[EdgeDecision]] = {}
    whole = fast(runs, graph, rule)
    for d in whole:
        by_target.setdefault(d.target, []).append(d)
    decided = list(by_target.values())[:11]
    rest = fast(runs, graph, rule, decided=decided)
    assert rest == whole[sum(map(len, decided)) :]


def test_what_is_too_close_for_rounding_is_tried_again_alone(pair: Pair) -> None:
    """With a threshold put exactly onto some edges' drops, those are measured in whole passes, and decided as there."""
    runs = PromptRuns(pair.ours, make_batch(rows=6), METRICS["kl"], "resample")
    graph = computational_graph(pair.ours.config)
    some = plain(runs, graph, Rule(METRICS["kl"], 0.01))
    drops = sorted(d.drop for d in some if d.tried)
    rule = Rule(METRICS["kl"], drops[len(drops) // 2])
    found = fast(runs, graph, rule)
    assert any(d.alone for d in found)
    assert verdicts(found) == verdicts(plain(runs, graph, rule))


def test_held_out_prompts_are_measured_and_decide_nothing(pair: Pair) -> None:
    batch, graph, rule = make_batch(rows=6), computational_graph(pair.ours.config), Rule(METRICS["kl"], 0.02)
    runs = PromptRuns(pair.ours, batch, METRICS["kl"], "zero")
    aside = PromptRuns(pair.ours, make_batch(rows=5, seed=9), METRICS["kl"], "zero")
    assert verdicts(fast(runs, graph, rule, held_out=aside)) == verdicts(fast(runs, graph, rule))
    mask, last = graph.edges.clone(), None
    for tried in acdc(runs, graph, rule, held_out=aside):
        for d in tried.decisions:
            mask[d.target, d.source] = not d.removed
        if tried.held_out is not None:
            last = tried.held_out[0]
            expected = float(edge_values((aside,), mask[None])[0].double().mean())
            assert last == pytest.approx(expected, abs=1e-5)
    assert last is not None


def test_traversal_goes_from_the_logits_down(pair: Pair) -> None:
    graph = computational_graph(pair.ours.config)
    order = traversal(graph)
    assert [str(graph.targets[t]) for t, _ in order[:5]] == ["logits", "mlp2", "L2H3.v", "L2H3.k", "L2H3.q"]
    assert [str(graph.sources[s]) for s in order[0][1][:3]] == ["mlp2", "L2H3", "L2H2"]
    for kind in ("reverse", "forward", "random"):
        seen = traversal(graph, kind, np.random.default_rng(1))
        layers = [graph.layer_of(t) for t, _ in seen]
        assert layers == sorted(layers, reverse=True)
        assert sorted([t, s] for t, some in seen for s in some) == graph.edges.nonzero().tolist()
        assert all(isinstance(graph.targets[t], Mlp | Head | Logits) for t, _ in seen)


def test_rules() -> None:
    accuracy, kl = METRICS["accuracy"], METRICS["kl"]
    assert Rule(accuracy, 0.03).accepts(0.94, 0.97, 1.0)
    assert not Rule(accuracy, 0.03).accepts(0.93, 0.97, 1.0)
    assert Rule(accuracy, 0.03).accepts(0.99, 0.97, 1.0)
    assert not Rule(accuracy, 0.01, test="absolute").accepts(0.99, 0.97, 1.0)
    assert not Rule(kl, 0.5).accepts(1.0, 0.5, 0.0)  # strictly below, as ACDC has it
    assert Rule(kl, 0.5).accepts(0.99, 0.5, 0.0)
    assert Rule(accuracy, 0.1, "percentage").accepts(0.45, 0.5, 1.0)
    assert not Rule(accuracy, 0.1, "percentage").accepts(0.44, 0.5, 1.0)
    assert Rule(accuracy, 0.2, "fixed").accepts(0.8, 0.3, 1.0)
    assert not Rule(accuracy, 0.2, "fixed").accepts(0.79, 0.79, 1.0)
    exact = Value(0.5, 0.5, 0.5)
    assert Rule(kl, 0.1).decide(Value(0.55, 0.54, 0.56), exact, 0.0) is True
    assert Rule(kl, 0.1).decide(Value(0.60, 0.59, 0.61), exact, 0.0) is None
    assert Rule(kl, 0.1).decide(Value(0.65, 0.64, 0.66), exact, 0.0) is False
    torch.testing.assert_close(torch.tensor(Rule(kl, 0.1).drop(0.7, 0.5)), torch.tensor(0.2))
