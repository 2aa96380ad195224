"""Edges: ACDC's decisions a second beside one hooked TransformerLens pass per edge, and EAP over all edges of a GPT-2
small shape beside two forwards and one backward, and beside the same scores from hooks.

Same run, same machine, same random weights; best of some rounds, because other work on the machine only ever adds time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedTransformer

from engine.circuits.discovery.acdc import EdgeDecision, acdc
from engine.circuits.discovery.attribution import edge_scores
from engine.circuits.discovery.computational_graph import ComputationalGraph, computational_graph
from engine.circuits.discovery.thresholds import Rule
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.prompts.tokenized import TokenBatch
from sessions.components import Embed, Head, Mlp
from tests.benchmarks.bench_head_sweep import GPT2_SMALL, both_models

FOUR_LAYERS = TransformerConfig(
    architecture="gpt2", n_layers=4, n_heads=8, d_model=128, d_head=16, d_mlp=512, d_vocab=1000, n_ctx=64
)
AUTOCIRCUIT = 17.0  # decisions a second, as measured for circuits.md


def pairs(config: TransformerConfig, prompts: int, length: int, seed: int = 1) -> TokenBatch:
    numbers = torch.Generator().manual_seed(seed)
    drawn = torch.randint(config.d_vocab, (prompts, 2 * length + 2), generator=numbers)
    return TokenBatch(
        tokens=drawn[:, :length],
        corrupt=drawn[:, length : 2 * length],
        lengths=torch.full((prompts,), length),
        at=torch.full((prompts, 1), length - 1),
        answers=drawn[:, 2 * length : 2 * length + 1],
        foils=drawn[:, 2 * length + 1 :],
    )


class Hooked:
    """The peer: split inputs and per-head results by hooks, which is what edge methods on TransformerLens rest on."""

    def __init__(self, model: HookedTransformer, graph: ComputationalGraph, batch: TokenBatch) -> None:
        self.model, self.graph, self.batch = model, graph, batch
        model.set_use_split_qkv_input(True)
        model.set_use_attn_result(True)
        model.set_use_hook_mlp_in(True)
        with torch.no_grad():
            self.clean = self.outputs(batch.tokens)
            self.corrupt = self.outputs(batch.corrupt)

    def outputs(self, tokens: Tensor | None) -> list[Tensor]:
        """What every source writes."""
        _, cache = self.model.run_with_cache(tokens)
        found = []
        for source in self.graph.sources:
            match source:
                case Embed():
                    found.append(cache["hook_embed"] + cache["hook_pos_embed"])
                case Mlp(layer=layer):
                    found.append(cache[f"blocks.{layer}.hook_mlp_out"])
                case Head(layer=layer, head=head):
                    found.append(cache[f"blocks.{layer}.attn.hook_result"][:, :, head])
        return found

    def place(self, target: int) -> tuple[str, int | None]:
        match self.graph.targets[target]:
            case Head(layer=layer, head=head, input=name):
                return f"blocks.{layer}.hook_{name}_input", head
            case Mlp(layer=layer):
                return f"blocks.{layer}.hook_mlp_in", None
            case _:
                return f"blocks.{self.graph.n_layers - 1}.hook_resid_post", None

    @torch.no_grad()
    def without(self, target: int, source: int) -> Tensor:
        """The last logits with one edge of the whole graph cut: one hooked pass."""
        name, head = self.place(target)

        def hook(value: Tensor, hook: Any) -> Tensor:
            change = self.corrupt[source] - self.clean[source]
            if head is None:
                return value + change
            value[:, :, head] += change
            return value

        logits: Tensor = self.model.run_with_hooks(self.batch.tokens, fwd_hooks=[(name, hook)])
        return logits[:, -1]

    def attribution(self) -> Tensor:
        """EAP as it is defined: the gradient at every hook times the difference of every output."""
        seen: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> Tensor:
            value.retain_grad()
            seen[hook.name] = value
            return value

        names = {self.place(target)[0] for target in range(len(self.graph.targets))}
        logits = self.model.run_with_hooks(self.batch.tokens, fwd_hooks=[(name, keep) for name in names])
        torch.autograd.backward(_difference(logits[:, -1], self.batch))
        with torch.no_grad():
            differences = torch.stack([a - b for a, b in zip(self.corrupt, self.clean)]).flatten(1)
            scores = torch.zeros(self.graph.edges.shape)
            for target in range(len(self.graph.targets)):
                name, head = self.place(target)
                slope = seen[name].grad
                assert slope is not None
                scores[target] = differences @ (slope if head is None else slope[:, :, head]).flatten()
        self.model.zero_grad()
        return torch.where(self.graph.edges, scores, 0.0) / len(self.batch.tokens)


def _difference(last: Tensor, batch: TokenBatch) -> Tensor:
    assert batch.foils is not None
    return (last.gather(1, batch.answers) - last.gather(1, batch.foils)).sum()


def best(rounds: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """The least seconds of some rounds, and what the last of them gave."""
    times, found = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - started)
    return min(times), found


def discovered(model: Transformer, batch: TokenBatch, tau: float, *, plain: bool = False) -> list[EdgeDecision]:
    runs = PromptRuns(model, batch, METRICS["kl"], "resample")
    made = acdc(runs, computational_graph(model.config), Rule(METRICS["kl"], tau), plain=plain, rows=128)
    return [decision for tried in made for decision in tried.decisions]


def measure_acdc(rounds: int = 3, config: TransformerConfig = FOUR_LAYERS, prompts: int = 16) -> list[dict[str, Any]]:
    """Decisions a second at two thresholds. ValueError when they are not those of the plain algorithm."""
    ours, hooked = both_models(config)
    graph, batch = computational_graph(config), pairs(config, prompts, 20)
    peer = Hooked(hooked, graph, batch)
    sample = graph.edges.nonzero()[:: max(1, graph.size // 24)].tolist()
    rows = []
    for tau in (1e-3, 1e-2):
        seconds, made = best(rounds, lambda tau=tau: discovered(ours, batch, tau))
        plain, expected = best(1, lambda tau=tau: discovered(ours, batch, tau, plain=True))
        if [d.removed for d in made] != [d.removed for d in expected]:
            raise ValueError("the decisions are not those of the plain algorithm")
        tried = sum(d.tried for d in made)
        theirs, _ = best(2, lambda: [peer.without(target, source) for target, source in sample])
        kept = sum(not d.removed for d in made)
        rate, peer_rate = tried / seconds, len(sample) / theirs
        rows.append(
            {
                "name": f"ACDC, {config.n_layers} layers, tau {tau:g}",
                "ours": rate,
                "peer": peer_rate,
                "ratio": rate / peer_rate,
                "unit": "tried edges/s",
                "peer_name": "one hooked pass per edge",
                "note": f"{graph.size:,} edges, {tried:,} tried, {kept:,} kept; KL, resample, {prompts} x 20 tokens, "
                f"{torch.get_num_threads()} threads; {len(made) / seconds:,.0f} decisions/s with those that need no "
                f"trial; one whole pass per edge {tried / plain:,.0f}/s, same decisions; AutoCircuit was measured at "
                f"{AUTOCIRCUIT:g}",
            }
        )
    return rows


def measure_eap(rounds: int = 3, config: TransformerConfig = GPT2_SMALL, prompts: int = 4) -> list[dict[str, Any]]:
    """Seconds for the scores of all edges. ValueError when they differ from those by hooks."""
    ours, hooked = both_models(config)
    graph, batch = computational_graph(config), pairs(config, prompts, 20)
    assert batch.corrupt is not None

    def attribution() -> Tensor:
        runs = PromptRuns(ours, batch, METRICS["logit_diff"], "resample")
        return sum((part.scores for part in edge_scores(runs, graph, "eap")), torch.zeros(())) / prompts

    def two_and_one() -> None:
        with torch.no_grad():
            ours.forward(batch.corrupt)
        x = ours.embed(batch.tokens).requires_grad_()
        last = ours.unembed(ours.continue_from(0, x)[:, -1:])[:, 0]
        torch.autograd.grad(_difference(last, batch), x)

    attribution()
    two_and_one()
    seconds, scores = best(rounds, attribution)
    theirs, _ = best(rounds, two_and_one)
    peer = Hooked(hooked, graph, batch)
    by_hooks, expected = best(1, lambda: _by_hooks(peer))
    scale = float(expected.abs().max())
    off = float((scores - expected).abs().max()) / scale
    if not off < 1e-4:
        raise ValueError(f"the scores differ from those by hooks by {off:.2g} of the largest")
    note = (
        f"{graph.size:,} edges, {prompts} x 20 tokens, {torch.get_num_threads()} threads, best of {rounds}; largest "
        f"difference from the scores by hooks {off:.1e} of the largest score"
    )
    return [
        {
            "name": f"EAP, {graph.size:,} edges",
            "ours": seconds,
            "peer": reference,
            "ratio": reference / seconds,
            "unit": "s",
            "peer_name": name,
            "note": note,
        }
        for name, reference in (("two forwards and one backward", theirs), ("the same by hooks", by_hooks))
    ]


def _by_hooks(peer: Hooked) -> Tensor:
    with torch.no_grad():
        peer.clean, peer.corrupt = peer.outputs(peer.batch.tokens), peer.outputs(peer.batch.corrupt)
    return peer.attribution().double()


def measure() -> list[dict[str, Any]]:
    return measure_acdc() + measure_eap()


if __name__ == "__main__":
    for row in measure():
        print("  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
