"""Bundled networks, and networks made from a machine on purpose, so that the right answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.executors import executor
from engine.models.rnn import MipsRnn, load_rnn
from engine.synthesis.automata.machine import Mealy
from sessions.artifacts import Model

ZOO = Path(__file__).parents[3] / "engine" / "models" / "zoo" / "rnn"


def bundled(name: str) -> MipsRnn:
    path = ZOO / f"{name}.safetensors"
    return load_rnn(path, json.loads(path.with_suffix(".json").read_text()))


class MachineNetwork:
    """A network that behaves as a machine: each state is a ball in space, and where in it a state lies depends on the
    way it was reached, as in a trained network."""

    def __init__(self, machine: Mealy, seed: int = 0, spread: float = 0.05) -> None:
        rng = np.random.default_rng(seed)
        self.machine, self.spread = machine, spread
        self.handle = Model(title="made", source="", family="rnn", architecture="made")
        self.task, self.hidden, self.inputs, self.outputs = "", 3, len(machine.symbols[0]), machine.output.shape[2]
        flat = [value for symbol in machine.symbols for value in symbol]
        self.low, self.high, self.length = min(flat), max(flat), 10
        # The output is read from the state reached, so a place stands for (state, output last written).
        self.places: list[tuple[int, tuple[int, ...]]] = [(0, (0,) * self.outputs)]
        for state in range(machine.states):
            for symbol in range(len(machine.symbols)):
                place = (int(machine.next[state, symbol]), tuple(int(v) for v in machine.output[state, symbol]))
                if place not in self.places:
                    self.places.append(place)
        while True:
            self.centres = rng.normal(size=(len(self.places), self.hidden)) * 4
            self.centres -= self.centres[0]  # h_0 = 0
            gaps = np.linalg.norm(self.centres[:, None] - self.centres[None], axis=2) + np.eye(len(self.places)) * 99
            if gaps.min() > 1:
                break
        self.number = {symbol: k for k, symbol in enumerate(machine.symbols)}

    def _nearest(self, h: Tensor) -> list[int]:
        distance = np.linalg.norm(h.numpy()[:, None] - self.centres[None], axis=2)
        return [int(k) for k in distance.argmin(axis=1)]

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        rows = []
        for place, symbol, old in zip(self._nearest(h), x.long().tolist(), h.numpy()):
            state, k = self.places[place][0], self.number[tuple(symbol)]
            reached = (int(self.machine.next[state, k]), tuple(int(v) for v in self.machine.output[state, k]))
            rows.append(self.centres[self.places.index(reached)] + self.spread * np.sin(7 * old + k))
        return torch.tensor(np.array(rows), dtype=torch.float32)

    def readout(self, h: Tensor) -> Tensor:
        return torch.tensor([self.places[k][1] for k in self._nearest(h)], dtype=torch.float32)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(len(x), self.hidden)
        states, outputs = [], []
        for t in range(x.shape[1]):
            h = self.step(h, x[:, t])
            states.append(h)
            outputs.append(self.readout(h))
        return torch.stack(states, 1), torch.stack(outputs, 1)


def machine_of(
    step: Callable[[int, tuple[int, ...]], tuple[int, int]], states: int, symbols: tuple[tuple[int, ...], ...]
) -> Mealy:
    """The machine of `new state, output = step(state, symbol)`."""
    table = [[step(state, symbol) for symbol in symbols] for state in range(states)]
    return Mealy(
        symbols,
        np.array([[after for after, _ in row] for row in table], dtype=np.int64),
        np.array([[[y] for _, y in row] for row in table], dtype=np.int64),
    )


def random_machine(rng: np.random.Generator, states: int, symbols: int = 2) -> Mealy:
    return Mealy(
        tuple((k,) for k in range(symbols)),
        rng.integers(0, states, (states, symbols)),
        rng.integers(0, 2, (states, symbols, 1)),
    )


class Desk:
    """A Context with one model and one artifact, which may be interrupted after some progress reports."""

    seed = 0

    def __init__(self, model: Any = None, artifact: Any = None) -> None:
        self.model, self.held = model, artifact
        self.reports: list[tuple[int, int, str]] = []
        self.saved: dict[str, Any] = {}
        self.stop_at: str | None = None

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def rnn(self, ref: str) -> Any:
        return self.model

    def artifact(self, ref: str) -> Any:
        return self.held

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.reports.append((done, total, note))
        if self.stop_at is not None and f"{done} {note}" == self.stop_at:
            raise KeyboardInterrupt

    def partial(self, artifact: Any) -> None:
        self.shown = artifact

    def executor(self) -> Any:
        return executor("local:2")

    def checkpoints(self) -> dict[str, Any]:
        return dict(self.saved)

    def checkpoint(self, unit: str, value: Any) -> None:
        assert unit not in self.saved, "a finished unit was done again"
        self.saved[unit] = value


@pytest.fixture
def desk() -> type[Desk]:
    return Desk
