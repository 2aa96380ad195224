"""Train the bundled recurrent networks, as `plans` says, and check each on every input sequence or a million of them.

    python -P -m engine.synthesis.training.zoo [TASK ...] [--out FOLDER] [--again]

Writes TASK.safetensors and TASK.json into engine/models/zoo/rnn and a line about each attempt into record.jsonl. A task
whose network is there is left out unless `--again`; several processes may run at once, each takes tasks that no other
is at. It ends with status 1 when a network is not exact. (The script lives here and not beside the weights because
models know nothing of the subjects that use them.) Lines of the record with `"by": "script"` are attempts of scripts
that called `train` with those numbers before there were plans: a network bundled from one of them has the plan's shape
but not the weights that the plan gives. The six oldest bundled networks have no line; theirs were plans of an earlier
version of this script.

The networks are trained, not built by hand: every weight starts at torch's default random initialisation (with `spread`
the first biases of f are random over the alphabet) and is moved by gradients of an error of the outputs alone. No
weight is set, rounded, pruned or tied, no hidden state is shown to the loss, and a plan holds no numbers but those of
training. What departs from the paper: a learning rate that falls along a cosine, a curriculum over positions, smaller
batches, for wide ranges a share of sequences of small elements, for some tasks sequences in which what matters is
frequent, L-BFGS steps at the end where outputs are large, and noise on the hidden states of Balanced_Parenthesis
(without it they keep the depth as ever smaller fractions, which runs out of digits a little beyond the training
length). Of the exact networks the one with the smallest automaton is kept where the inputs are few, and among equals
the one with the smallest output error.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from engine.models.rnn import MipsRnn, RnnConfig, Weights
from engine.synthesis.automata.machine import build, minimise
from engine.synthesis.automata.states import cluster, explore
from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import TASKS, Task, task
from engine.synthesis.training.batched import Batch, Recipe, Trained, train
from engine.synthesis.training.draws import DRAWS
from engine.synthesis.training.judging import Judged, judge
from engine.synthesis.training.mining import STEPS, mined
from engine.synthesis.training.plans import PLANS, Plan
from engine.synthesis.training.polishing import polish
from engine.synthesis.training.sampling import batches
from sessions.artifacts import Model
from sessions.errors import IwbError

__all__ = ["PLANS", "Made", "Plan", "automaton_size", "batch_of", "make", "try_plan"]

ZOO = Path(__file__).parent.parent.parent / "models" / "zoo" / "rnn"
RECORD = Path(__file__).parent / "record.jsonl"
NONE = 10**9  # ranks below every network that has an automaton
FRESH = 10**6  # sequences a network is judged on where there are too many to try all
CANDIDATES = 6  # networks judged
FEW = 64  # symbols, so that an automaton is worth a look


class Made(msgspec.Struct, frozen=True):
    """What a plan gave: the network kept (of those judged the exact one, else the nearest), and how it was judged."""

    config: RnnConfig
    weights: dict[str, Tensor]
    judged: Judged
    accuracy: float  # share of outputs right, of the best network on its last batch
    positions: int  # how many of its positions that batch scored
    steps: int
    states: int  # of its automaton; NONE without one


def batch_of(chosen: Task, plan: Plan) -> Batch:
    """The batches that a plan trains on."""
    if plan.draw in ("task", "whole"):
        return batches(chosen, plan.batch, plan.seed, whole=plan.draw == "whole", near_zero=plan.near_zero)
    drawn = DRAWS[plan.draw]

    def batch(
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "batch pos inputs"], Float[Tensor, "batch pos outputs"]]:
        rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
        x = drawn(chosen, plan.batch, plan.length or chosen.length, rng)
        return torch.tensor(x, dtype=torch.float32), torch.tensor(chosen.target(x), dtype=torch.float32)

    return batch


def make(chosen: Task, plan: Plan) -> tuple[RnnConfig, dict[str, Tensor]]:
    """Train as planned; the network's configuration, and its weights if it is exact, else none."""
    made = try_plan(chosen, plan)
    return made.config, made.weights if made.judged.exact else {}


def try_plan(chosen: Task, plan: Plan, *, say: bool = False) -> Made:
    """Train as planned and judge the networks."""
    config = RnnConfig(
        hidden=plan.hidden,
        inputs=chosen.inputs,
        outputs=chosen.outputs,
        f=plan.f,
        g=plan.g,
        task=chosen.name,
        low=chosen.low,
        high=chosen.high,
        length=chosen.length,
    )
    recipe = Recipe(
        plan.steps,
        lr=plan.lr,
        curriculum=plan.curriculum,
        state_noise=plan.noise,
        squared=plan.squared,
        spread=plan.spread,
        halve=plan.halve,
        prefixes=plan.draw == "whole" and not plan.noise,
    )
    batch, length = batch_of(chosen, plan), plan.length or chosen.length
    last = 0

    def report(step: int, trained: Trained) -> bool:
        nonlocal last
        last, worst = step, float(trained.worst.min())
        if say and step % 1000 == 0:
            right = float(trained.accuracy.max())
            print(f"  step {step}: {trained.positions} positions, {right:.4%}, error {worst:.4f}", flush=True)
        return not plan.noise and trained.positions == length and worst < plan.enough

    trained = train(config, batch, recipe, seeds=plan.seeds, seed=plan.seed, report=report)
    if plan.refine is not None:
        steps, lr, draw = plan.refine
        one = int(trained.worst.argmin())
        trained = train(
            config,
            batch_of(chosen, plan._replace(draw=draw)),
            recipe._replace(steps=steps, lr=lr, curriculum=False, spread=False, halve=(), prefixes=False),
            seeds=1,
            seed=plan.seed,
            start={name: w[one : one + 1] for name, w in trained.weights.items()},
        )
        last += steps
    if plan.mine is not None:
        rounds, lr = plan.mine
        one = int(trained.worst.argmin())
        weights = {name: w[one] for name, w in trained.weights.items()}
        weights = mined(weights, chosen, rounds=rounds, lr=lr, seed=plan.seed, report=_mining)
        trained = trained._replace(
            weights={name: w[None] for name, w in weights.items()}, worst=trained.worst[one : one + 1]
        )
        last += rounds * STEPS
    best: tuple[tuple[int, int, int, float], dict[str, Tensor], Judged] | None = None
    for one in trained.worst.argsort()[:CANDIDATES].tolist():
        weights = {name: stacked[one].contiguous() for name, stacked in trained.weights.items()}
        if plan.polish:
            weights = polish(weights, *batch(torch.Generator().manual_seed(plan.seed + 1)), plan.polish)
        judged = judge(weights, chosen, plan.seed, give_up=True, fresh=FRESH)
        states, visited = automaton_size(config, weights, chosen) if judged.exact and plan.f else (NONE, NONE)
        rank = (judged.tested - judged.right, states, visited, judged.worst)
        if best is None or rank < best[0]:
            best = rank, weights, judged
        if judged.exact and states == NONE:
            break  # there is nothing to choose by but the error, and they come in its order
    assert best is not None
    return Made(config, best[1], best[2], float(trained.accuracy.max()), trained.positions, last, best[0][1])


def _mining(number: int, worst: float) -> None:
    if number % 10 == 0:
        print(f"  round {number} with what it does worst: error {worst:.4f}", flush=True)


def automaton_size(config: RnnConfig, weights: Weights, chosen: Task) -> tuple[int, int]:
    """States of the network's minimal automaton, and distinct hidden states it visits (in a sample); NONE, NONE without
    one."""
    domain = Domain(chosen.inputs, chosen.low, chosen.high, chosen.length)
    if domain.symbols > FEW:
        return NONE, NONE
    handle = Model(title=chosen.name, source="", family="rnn", architecture="mips-rnn")
    symbols, model = domain.alphabet(), MipsRnn(handle, config, weights)
    try:
        explored = explore(model, symbols, chosen.length, most=100_000, rng=np.random.default_rng(0))
        machine, _ = build(model, symbols, explored, cluster(explored))
        return minimise(machine).states, len(explored.hidden)
    except IwbError:
        return NONE, NONE


def record(plan: Plan, made: Made, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """One attempt as a line of record.jsonl: the plan where it says something, and what came of it."""
    usual = Plan(0)
    return {
        "task": made.config.task,
        "exact": made.judged.exact,
        "right": made.judged.right,
        "tested": made.judged.tested,
        "all": made.judged.exhaustive,
        "worst": round(made.judged.worst, 5),
        "accuracy": made.accuracy,
        "positions": made.positions,
        "steps": made.steps,
        **({"states": made.states} if made.states < NONE else {}),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "plan": {name: value for name, value in plan._asdict().items() if value != getattr(usual, name)},
    }


@contextmanager
def alone(name: str) -> Iterator[bool]:
    """Whether no other process is at this task; the lock goes with the process."""
    with (Path(tempfile.gettempdir()) / f"iwb-zoo-{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def attempt(name: str, plan: Plan, out: Path) -> bool:
    """Train one task's network, write down what came of it, and keep the network if it is exact."""
    print(f"{name}: hidden {plan.hidden}, f {plan.f}, g {plan.g}, {plan.seeds} networks side by side", flush=True)
    start, cpu = time.monotonic(), time.process_time()
    made = try_plan(task(name), plan, say=True)
    line = record(plan, made, time.monotonic() - start, time.process_time() - cpu)
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"  {made.judged}; {line['cpu_seconds']} s of computing, {line['seconds']} s", flush=True)
    if made.judged.exact:
        out.mkdir(parents=True, exist_ok=True)
        save_file(made.weights, out / f"{name}.safetensors")
        written = {"family": "rnn", "architecture": "mips-rnn", **msgspec.to_builtins(made.config)}
        (out / f"{name}.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return made.judged.exact


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the bundled recurrent networks.")
    parser.add_argument("tasks", nargs="*", default=[known.name for known in TASKS if known.name in PLANS])
    parser.add_argument("--out", type=Path, default=ZOO)
    parser.add_argument("--again", action="store_true", help="also where there is a network")
    given = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    for name in given.tasks:
        with alone(name) as free:
            if free and (given.again or not (given.out / f"{name}.safetensors").exists()):
                failed += not attempt(name, PLANS[name], given.out)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
