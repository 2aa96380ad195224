"""A network for one task, made anew: the unit that training all 62 hands out."""

from __future__ import annotations

import time
import zlib

import msgspec
import torch

from engine.models.rnn import RnnConfig, Weights
from engine.models.stored_rnn import rnn_bytes
from engine.synthesis.tasks.benchmark import Task, task
from engine.synthesis.training.architectures import Network
from engine.synthesis.training.arm import Setting, configuration
from engine.synthesis.training.batched import Recipe
from engine.synthesis.training.judging import Judged, judge
from engine.synthesis.training.portfolio import stages
from engine.synthesis.training.sampling import every_sequence
from engine.synthesis.training.searching import Search, in_order
from engine.synthesis.training.zoo import PLANS, make

BASE = Recipe(6_000, lr=5e-3)
SEEDS, BATCH = 8, 512
TURNS = 2  # times a plan is tried, with other seeds


class Anew(msgspec.Struct, frozen=True, kw_only=True):
    """What came out for one task."""

    task: str
    how: str  # "plan", "portfolio"
    hidden: int
    f: tuple[int, ...]
    g: tuple[int, ...]
    right: int
    tested: int
    exhaustive: bool
    worst: float
    seconds: float
    weights: bytes  # safetensors with the configuration

    @property
    def exact(self) -> bool:
        return self.right == self.tested


def train_anew(name: str, seed: int, plans: bool) -> Anew:
    """Train the task's network with another seed: by its plan, if it has one and `plans`, else by the portfolio.

    A plan that ends without an exact network is tried once more, and then followed by the portfolio. The result depends
    on the arguments alone.
    """
    torch.set_num_threads(1)
    chosen, start = task(name), time.perf_counter()
    own = seed * 10_007 + zlib.crc32(name.encode()) % 10_007  # a seed for each task
    for turn in range(TURNS if plans and name in PLANS else 0):
        plan = PLANS[name]
        config, made = make(chosen, plan._replace(seed=plan.seed + 1_000 * seed + 500 * turn))
        if made and (judged := judge(made, chosen, own)).exact:
            return _result(config, made, judged, "plan", start)
    config, weights, judged = by_portfolio(chosen, own)
    return _result(config, weights, judged, "portfolio", start)


def by_portfolio(chosen: Task, seed: int) -> tuple[RnnConfig, Weights, Judged]:
    """The exact network that the portfolio finds, or the nearest."""
    search = Search(
        Setting(chosen, SEEDS, BATCH, seed),
        in_order(stages(chosen, BASE._replace(prefixes=every_sequence(chosen)), seed)),
    )
    while not search.over:
        search.advance(_nothing)
    found = search.best or search.nearest
    assert found is not None  # at least one stage ran
    network: Network = found.row.network
    return configuration(chosen, network), found.weights, found.judged or judge(found.weights, chosen, seed)


def _result(config: RnnConfig, weights: Weights, judged: Judged, how: str, start: float) -> Anew:
    return Anew(
        task=config.task,
        how=how,
        hidden=config.hidden,
        f=tuple(config.f),
        g=tuple(config.g),
        right=judged.right,
        tested=judged.tested,
        exhaustive=judged.exhaustive,
        worst=judged.worst,
        seconds=time.perf_counter() - start,
        weights=rnn_bytes(config, weights),
    )


def _nothing() -> None:
    """No progress is told from another process."""
