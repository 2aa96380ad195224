"""The networks of one architecture in a search: side by side in one batched training, with their curve and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.models.rnn import RnnConfig
from engine.synthesis.tasks.benchmark import Task
from engine.synthesis.training.architectures import Network
from engine.synthesis.training.batched import Batch, Trained, Training
from engine.synthesis.training.portfolio import Entry

FINISH = 1_500  # steps that an exact network is trained on, the learning rate falling: its states become tidier


class Point(NamedTuple):
    """The networks of one architecture after some steps: accuracy and loss of the best, accuracy of the worst."""

    step: int
    accuracy: float
    lowest: float
    loss: float
    positions: int


class Row(NamedTuple):
    """One network as it was when last looked at; `since`: the step from which its batches were all right (0: none)."""

    network: Network
    seed: int
    steps: int
    accuracy: float
    worst: float
    since: int
    exact: bool


class Setting(NamedTuple):
    """What stays the same in a search."""

    task: Task
    seeds: int
    batch: int
    seed: int
    finish: int = FINISH
    device: str = "cpu"


def configuration(task: Task, network: Network) -> RnnConfig:
    """That network for the inputs and outputs of the task."""
    return RnnConfig(
        hidden=network.hidden,
        inputs=task.inputs,
        outputs=task.outputs,
        f=network.f,
        g=network.g,
        task=task.name,
        low=task.low,
        high=task.high,
        length=task.length,
    )


class Arm:
    """The networks of one architecture, side by side."""

    def __init__(self, setting: Setting, entry: Entry, number: int, batch: Batch) -> None:
        self.entry = entry
        self.config = configuration(setting.task, entry.network)
        seed = 1_000 * setting.seed + number
        self.training = Training(
            self.config, batch, entry.recipe, seeds=setting.seeds, seed=seed, device=setting.device
        )
        self.alive = True
        self.curve: list[Point] = []
        self.rows: dict[int, Row] = {}

    @property
    def score(self) -> float:
        """What halving goes by: the share of outputs that are right, those of positions not yet scored being wrong."""
        last = self.curve[-1]
        return last.accuracy * last.positions / self.config.length - 1e-3 * min(last.loss, 10.0)

    def note(self, trained: Trained) -> None:
        whole = trained.positions == self.config.length
        for place, one in enumerate(trained.kept):
            accuracy = float(trained.accuracy[place])
            before = self.rows.get(one)
            since = before.since if before else 0
            right = whole and accuracy == 1.0
            self.rows[one] = Row(
                self.entry.network,
                one + 1,
                self.training.done,
                accuracy * trained.positions / self.config.length,
                float(trained.worst[place]) if whole else float("inf"),
                (since or self.training.done) if right else 0,
                False,
            )
        self.curve.append(
            Point(
                self.training.done,
                float(trained.accuracy.max()),
                float(trained.accuracy.min()),
                float(trained.loss.nan_to_num(nan=np.inf).min()),
                trained.positions,
            )
        )

    def state(self) -> dict[str, Any]:
        return {
            "training": self.training.state(),
            "alive": self.alive,
            "curve": [list(p) for p in self.curve],
            "rows": [[one, list(row[1:])] for one, row in self.rows.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.training.restore(state["training"])
        self.alive = state["alive"]
        self.curve = [Point(*p) for p in state["curve"]]
        self.rows = {one: Row(self.entry.network, *row) for one, row in state["rows"]}
