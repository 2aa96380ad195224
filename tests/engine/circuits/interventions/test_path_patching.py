"""Path patching against its three steps as whole passes with TransformerLens' hooks, and against edge patching."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.circuits.discovery.edge_effects import edge_effects
from engine.circuits.interventions.activation_patching import corrupt_values
from engine.circuits.interventions.path_patching import (
    Mlps,
    Receiver,
    Sender,
    comes_before,
    path_patching,
    receivers_of,
)
from engine.circuits.judging.faithfulness import Circuit
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from sessions.components import Embed, Head, Logits, Mlp

# double-precision passes; logits are rounded to single before they are compared with answers
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def patched(
    runs: PromptRuns,
    receivers: list[Receiver],
    senders: list[tuple[Sender, ...]],
    mlps: Mlps = "recomputed",
    *,
    variants: int = 16,
) -> list[Tensor]:
    found = [torch.full((runs.size,), float("nan")) for _ in senders]
    wanted = [range(len(senders))] * len(runs.chunks)
    for batch in path_patching(runs, receivers_of(receivers), senders, wanted, mlps=mlps, variants=variants):
        for number, values in zip(batch.senders, batch.values, strict=True):
            found[number][batch.rows] = values
    return found


def every_sender(model: Any) -> list[tuple[Sender, ...]]:
    c = model.config
    heads = [Head(layer, head) for layer in range(c.n_layers) for head in range(0, c.n_heads, 2)]
    mlps = [Mlp(layer) for layer in range(c.n_layers) if c.d_mlp]
    return [(Embed(),), *((part,) for part in (*heads, *mlps)), (Head(0, 1), Head(1, 3), *mlps[:1])]


RECEIVERS: list[list[Receiver]] = [
    [Logits()],
    [Head(2, 1, "q")],
    [Head(2, 1, "k"), Head(2, 3, "v"), Head(1, 0, "q")],
    [Head(1, 2), Head(2, 2)],
    [Mlp(1), Head(2, 0, "v")],
    [Mlp(2), Mlp(0)],
]


@pytest.mark.parametrize("mlps", ["recomputed", "frozen"])
@pytest.mark.parametrize("kind", ["gpt2", "parallel", "attention only", "bidirectional"])
def test_path_patching_equals_its_three_steps(twins: Any, slowly: Any, batches: Any, kind: str, mlps: Mlps) -> None:
    twin, batch = twins(kind), batches(rows=2)
    runs = PromptRuns(twin.ours, batch, METRICS["logit_diff"], "resample")
    senders = every_sender(twin.ours)
    for receivers in RECEIVERS:
        if not twin.config.d_mlp and any(isinstance(receiver, Mlp) for receiver in receivers):
            continue
        for some, values in zip(senders, patched(runs, receivers, senders, mlps), strict=True):
            logits = slowly["path"](twin, batch, some, receivers, mlps)
            expected = slowly["metric"]("logit_diff", logits, batch).float()
            torch.testing.assert_close(
                values, expected, **CLOSE, msg=lambda text, s=some, r=receivers: f"{s} -> {r}: {text}"
            )


def test_queries_of_grouped_heads(twins: Any, slowly: Any, batches: Any) -> None:
    twin, batch = twins("grouped"), batches(rows=3)
    runs = PromptRuns(twin.ours, batch, METRICS["loss"], "resample")
    receivers: list[Receiver] = [Head(1, 3, "q"), Mlp(1), Head(2, 1, "q")]
    for some, values in zip(senders := every_sender(twin.ours), patched(runs, receivers, senders), strict=True):
        logits = slowly["path"](twin, batch, some, receivers, "recomputed")
        torch.testing.assert_close(values, slowly["metric"]("loss", logits, batch).float(), **CLOSE)


def test_one_copy_of_a_shared_key_is_not_the_other(twins: Any, batches: Any) -> None:
    """The heads of a group read the same key, and each receives for itself."""
    runs = PromptRuns(twins("grouped").ours, batches(), METRICS["loss"], "resample")
    sender: list[tuple[Sender, ...]] = [(Embed(),)]
    one, other, both = (
        patched(runs, receivers, sender)[0]
        for receivers in ([Head(2, 0, "k")], [Head(2, 1, "k")], [Head(2, 0, "k"), Head(2, 1, "k")])
    )
    assert not torch.allclose(one, other, atol=1e-3)
    assert not torch.allclose(one, both, atol=1e-3)


def test_all_of_it_patched_is_the_corrupt_run(twins: Any, batches: Any) -> None:
    """With every head, MLP and the embeddings corrupt, the logits read what they read on the corrupt prompt."""
    ours = twins("gpt2").ours
    runs = PromptRuns(ours, batches(), METRICS["loss"], "resample")
    c = ours.config
    everything = (
        Embed(),
        *(Head(layer, head) for layer in range(c.n_layers) for head in range(c.n_heads)),
        *map(Mlp, range(c.n_layers)),
    )
    (values,) = patched(runs, [Logits()], [everything])
    torch.testing.assert_close(values, corrupt_values(runs), **CLOSE)


@pytest.mark.parametrize("kind", ["gpt2", "parallel"])
def test_with_frozen_mlps_the_path_into_the_logits_is_the_edge(twins: Any, batches: Any, kind: str) -> None:
    """And with MLPs recomputed it is not: the two must not be called by one name."""
    ours = twins(kind).ours
    runs = PromptRuns(ours, batches(), METRICS["logit_diff"], "resample")
    c = ours.config
    whole = Circuit(torch.ones(c.n_layers, c.n_heads, dtype=torch.bool), torch.ones(c.n_layers, dtype=torch.bool))
    edges = {edge.source: edge.values for some in edge_effects(runs, whole, only_logits=True) for edge in some}
    sources: list[tuple[Sender, ...]] = [(source,) for source in edges]
    frozen, recomputed = (patched(runs, [Logits()], sources, mlps) for mlps in ("frozen", "recomputed"))
    for (source,), values in zip(sources, frozen, strict=True):
        torch.testing.assert_close(values, edges[source], **CLOSE)
    assert not torch.allclose(recomputed[0], frozen[0], atol=1e-2)


def test_senders_after_the_receivers_change_nothing(twins: Any, batches: Any) -> None:
    for kind, parallel in (("gpt2", False), ("parallel", True)):
        runs = PromptRuns(twins(kind).ours, batches(), METRICS["loss"], "resample")
        for receivers in ([Head(1, 0, "q")], [Mlp(1)], [Logits()]):
            senders = every_sender(runs.model)[:-1]
            for (sender,), values in zip(senders, patched(runs, receivers, senders), strict=True):
                same = torch.allclose(values, runs.clean, atol=1e-6)
                assert same != comes_before(sender, receivers_of(receivers), parallel=parallel), (sender, receivers)


@pytest.mark.parametrize("receivers", RECEIVERS[:5])
def test_batches_change_nothing_but_rounding(twins: Any, batches: Any, receivers: list[Receiver]) -> None:
    batch = batches(rows=5, ragged=True, scored=2)
    ours = twins("gpt2").ours
    senders = every_sender(ours)
    whole = patched(PromptRuns(ours, batch, METRICS["loss"], "resample"), receivers, senders)
    small = PromptRuns(ours, batch, METRICS["loss"], "resample", rows=2, keep_bytes=0)
    for one, other in zip(whole, patched(small, receivers, senders, variants=2), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_logits_receive_alone() -> None:
    with pytest.raises(ValueError, match="alone"):
        receivers_of([Logits(), Head(0, 0)])
    assert receivers_of([Head(1, 2), Head(1, 2, "k"), Head(1, 0, "v")]).heads == {
        1: [("q", 2), ("k", 2), ("v", 2), ("v", 0)]
    }
