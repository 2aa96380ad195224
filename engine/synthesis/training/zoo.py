"""Train the bundled recurrent networks and check each on every input sequence there is.

    python -P -m engine.synthesis.training.zoo [TASK ...] [--out FOLDER]

Writes TASK.safetensors and TASK.json into engine/models/zoo/rnn and prints, for each, on how many of all sequences
every output is right after rounding. It ends with status 1 when one is not exact. (The script lives here and not beside
the weights because models know nothing of the subjects that use them.) Ten to thirty minutes in all on one core.

What departs from the paper's training: a learning rate of 3e-3 falling along a cosine, a curriculum over positions,
smaller batches, and for Balanced_Parenthesis sequences of length 14 in which half of the prefixes are kept alive (among
uniform ones almost none is still balanced at the end), with noise on the hidden states (without it they keep the
depth as ever smaller fractions, which runs out of digits a little beyond the training length).
Initialisation is torch's default. Of the exact networks the one with the smallest automaton is kept, and among those
the one that visits the fewest different hidden states.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from engine.models.rnn import MipsRnn, RnnConfig, Weights, unroll
from engine.synthesis.automata.machine import build, minimise
from engine.synthesis.automata.states import cluster, explore
from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import TASKS, Task, task
from engine.synthesis.tasks.targets import Sequences
from engine.synthesis.training.batched import Recipe, Trained, train
from sessions.artifacts import Model
from sessions.errors import IwbError

ZOO = Path(__file__).parent.parent.parent / "models" / "zoo" / "rnn"


class Plan(NamedTuple):
    """How one task's network is made. `length`: positions per training sequence, 0 for the task's own. With `noise` on
    the states training never stops early."""

    hidden: int
    f: int
    seeds: int = 16
    seed: int = 0
    steps: int = 6_000
    length: int = 0
    alive: bool = False
    noise: float = 0.0
    batch: int = 512


PLANS: dict[str, Plan] = {
    "Binary_Addition": Plan(2, 6),
    "Parity_All": Plan(1, 6),
    "Parity_Last3": Plan(3, 8, seeds=24),
    "Bit_Dot_Prod_Mod2": Plan(1, 6),
    "Div_3": Plan(2, 16, seeds=32, steps=15_000),
    "Balanced_Parenthesis": Plan(2, 16, 24, steps=8_000, length=14, alive=True, noise=0.05, batch=384),
}
NONE = 10**9  # ranks below every network that has an automaton
ENOUGH = 0.005  # largest output error at which training stops: a hundredth of what rounding forgives


def draw(chosen: Task, plan: Plan, generator: torch.Generator) -> Sequences:
    """One batch of input sequences, (sequence, position, input)."""
    rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
    size = plan.batch
    shape = (size, plan.length or chosen.length, chosen.inputs)
    if not plan.alive:
        return rng.integers(chosen.low, chosen.high + 1, shape)
    # Bits with a bias of their own per sequence; in half of the sequences most closings at depth 0 become openings.
    x = (rng.random(shape) < rng.uniform(0.2, 0.8, (size, 1, 1))).astype(np.int64)
    depth = np.zeros(size // 2, dtype=np.int64)
    for t in range(shape[1]):
        fatal = (depth == 0) & (x[: size // 2, t, 0] == 1) & (rng.random(size // 2) < 0.9)
        x[: size // 2, t, 0][fatal] = 0
        depth = np.where(depth < 0, -1, depth + 1 - 2 * x[: size // 2, t, 0])
    return x


def exactness(weights: Weights, chosen: Task) -> tuple[int, int, float]:
    """How many of all input sequences come out right everywhere, how many there are, and the largest output error."""
    domain = Domain(chosen.inputs, chosen.low, chosen.high, chosen.length)
    right, worst = 0, 0.0
    with torch.no_grad():
        for x in domain.chunks():
            y = unroll(weights, torch.tensor(x, dtype=torch.float32))[1].numpy()
            error = np.abs(y - chosen.target(x)).reshape(len(x), -1)
            right += int((np.rint(y) == chosen.target(x)).all(axis=(1, 2)).sum())
            worst = max(worst, float(error.max()))
    return right, domain.size, worst


def make(chosen: Task, plan: Plan) -> tuple[RnnConfig, dict[str, Tensor]]:
    """Train as planned; the exact network with the smallest automaton, and its configuration."""
    config = RnnConfig(hidden=plan.hidden, inputs=chosen.inputs, outputs=chosen.outputs, f=(plan.f,), task=chosen.name)
    length = plan.length or chosen.length

    def batch(
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "batch pos inputs"], Float[Tensor, "batch pos outputs"]]:
        x = draw(chosen, plan, generator)
        return torch.tensor(x, dtype=torch.float32), torch.tensor(chosen.target(x), dtype=torch.float32)

    def report(step: int, trained: Trained) -> bool:
        worst = float(trained.worst.min())
        if step % 1000 == 0:
            print(f"  step {step}: {trained.positions} positions, smallest largest error {worst:.4f}", flush=True)
        return not plan.noise and trained.positions == length and worst < ENOUGH

    trained = train(
        config,
        batch,
        Recipe(plan.steps, lr=3e-3, state_noise=plan.noise),
        seeds=plan.seeds,
        seed=plan.seed,
        report=report,
    )
    best: tuple[tuple[int, int, float], dict[str, Tensor]] = ((NONE, NONE, float("inf")), {})
    for one in trained.worst.argsort()[:8].tolist():
        weights = {name: stacked[one].contiguous() for name, stacked in trained.weights.items()}
        right, total, worst = exactness(weights, chosen)
        states, visited = automaton_size(config, weights, chosen) if right == total else (NONE, NONE)
        rank = (states, visited, worst)
        best = min(best, (rank, weights), key=lambda pair: pair[0])
    return config, best[1]


def automaton_size(config: RnnConfig, weights: Weights, chosen: Task) -> tuple[int, int]:
    """States of the network's minimal automaton, and distinct hidden states it visits; NONE, NONE without one."""
    handle = Model(title=chosen.name, source="", family="rnn", architecture="mips-rnn")
    symbols = Domain(chosen.inputs, chosen.low, chosen.high, chosen.length).alphabet()
    model = MipsRnn(handle, config, weights)
    try:
        explored = explore(model, symbols, chosen.length)
        machine, _ = build(model, symbols, explored, cluster(explored))
        return minimise(machine).states, len(explored.hidden)
    except IwbError:
        return NONE, NONE


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the bundled recurrent networks.")
    parser.add_argument("tasks", nargs="*", default=[known.name for known in TASKS])
    parser.add_argument("--out", type=Path, default=ZOO)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in chosen.tasks:
        start, plan = time.monotonic(), PLANS[name]
        print(f"{name}: hidden {plan.hidden}, f width {plan.f}, {plan.seeds} networks side by side", flush=True)
        config, weights = make(task(name), plan)
        right, total, worst = exactness(weights, task(name))
        print(
            f"  {right:,} of {total:,} sequences exact (all there are); largest error before rounding {worst:.2g}; "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
        if right < total:
            failed += 1
            continue
        save_file(weights, chosen.out / f"{name}.safetensors")
        written = {"family": "rnn", "architecture": "mips-rnn", **msgspec.to_builtins(config)}
        (chosen.out / f"{name}.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
