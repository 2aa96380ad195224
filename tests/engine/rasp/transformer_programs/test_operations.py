"""The two operations through a Context of the test's: train, keep, convert."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from engine.operations import describe, parse
from engine.rasp.transformer_programs.operations import OPERATIONS
from engine.rasp.transformer_programs.storage import Description, from_bytes, to_bytes
from sessions.artifacts import Model, Program, Series, Table
from sessions.errors import CallError
from tests.engine.rasp.transformer_programs.networks import random_network

TRAIN, CONVERT, RUN = OPERATIONS
SMALL = {"task": "hist", "vocabulary": 5, "length": 5, "epochs": 3, "attempts": 2, "n": 200, "batch": 64}


class Desk:
    """A Context that keeps weights in a dictionary."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.kept: dict[str, bytes] = {}
        self.artifacts: dict[str, Any] = {}
        self.reports: list[tuple[int, int]] = []
        self.partials: list[Any] = []
        self.saved: dict[str, Any] = {}

    def keep_weights(self, data: bytes) -> str:
        source = f"session:{hashlib.sha256(data).hexdigest()}"
        self.kept[source] = data
        return source

    def artifact(self, ref: str) -> Any:
        return self.artifacts[ref]

    def stored_weights(self, ref: str) -> bytes:
        return self.kept[self.artifacts[ref].source]

    def progress(self, done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total
        self.reports.append((done, total))

    def partial(self, artifact: Any) -> None:
        self.partials.append(artifact)

    def checkpoints(self) -> dict[str, Any]:
        return self.saved

    def checkpoint(self, unit: str, value: Any) -> None:
        pass


def work(operation: Any, desk: Desk, **values: Any) -> Any:
    return operation.function(parse(operation, values), desk)


def test_from_a_task_to_checked_python() -> None:
    desk = Desk()
    model, curves, accuracies = work(TRAIN, desk, **SMALL)
    assert isinstance(model, Model)
    assert model.family == "transformer_program"
    assert isinstance(curves, Series)
    assert curves.curves[0].name == "loss"
    assert all(np.isfinite(curve.y).all() for curve in curves.curves)
    assert isinstance(accuracies, Table)
    assert sum(row[1] for row in accuracies.rows) == 1
    assert np.isnan(desk.partials[0].curves[0].y[1:]).all()
    assert desk.reports[-1] == (6, 6)
    desk.artifacts["@1"] = model
    program, parts = work(CONVERT, desk, model="@1")
    assert isinstance(program, Program)
    assert program.language == "python"
    network, target = program.verdicts
    assert network.holds
    assert network.exhaustive
    assert network.tested == target.tested == 3 + 9 + 27 + 81
    assert isinstance(parts, Table)
    assert all(row[1] in program.source for row in parts.rows)
    desk.artifacts["@2"] = program
    (table,) = work(RUN, desk, program="@2", tokens=[1, 0, 1])
    assert [row[1] for row in table.rows] == ["<s>", "1", "0", "1"]
    assert table.rows[0][-1] is None
    assert table.summary == f"1 0 1 gives {' '.join(row[-1] for row in table.rows[1:])}"
    with pytest.raises(CallError, match="tokens"):
        work(RUN, desk, program="@2", tokens=[])
    with pytest.raises(CallError, match="'z' is no token of this program"):
        work(RUN, desk, program="@2", tokens=["z"])
    with pytest.raises(CallError, match="not a Python program"):
        work(RUN, desk, program="@1", tokens=[1])


def test_the_same_seed_gives_the_same_weights() -> None:
    assert work(TRAIN, Desk(1), **SMALL)[0].sha256 == work(TRAIN, Desk(1), **SMALL)[0].sha256


def test_a_domain_too_large_is_sampled_and_says_so() -> None:
    task, shape, weights = random_network("dyck2", 0, length=8)
    desk = Desk()
    source = desk.keep_weights(to_bytes(Description(task="dyck2", length=8, shape=shape), weights))
    desk.artifacts["@1"] = Model(title="made", source=source, family="transformer_program", architecture="x")
    program, _ = work(CONVERT, desk, model="@1", most=300)
    assert task.size == 4**7
    assert not program.verdicts[0].exhaustive
    assert program.verdicts[0].tested == 300
    assert program.verdicts[0].holds


def test_another_family_is_refused_in_one_sentence() -> None:
    desk = Desk()
    desk.artifacts["@1"] = Model(title="gpt2", source="gpt2", family="transformer", architecture="gpt2")
    with pytest.raises(CallError, match="Transformer Program"):
        work(CONVERT, desk, model="@1")


def test_weights_come_back_and_wrong_ones_are_refused() -> None:
    task, shape, weights = random_network("sort", 0)
    description = Description(task="sort", vocabulary=6, length=5, shape=shape)
    data = to_bytes(description, weights)
    assert data == to_bytes(description, dict(reversed(weights.items())))
    stored = from_bytes(data)
    assert (stored.task, stored.shape) == (task, shape)
    assert all(torch.equal(stored.weights[name], weights[name]) for name in weights)
    broken = dict(weights) | {"classifier.numerical": weights["classifier.numerical"] * float("nan")}
    short = {name: weight for name, weight in weights.items() if name != "classifier.numerical"}
    other = Description(task="hist", vocabulary=6, length=5, shape=shape)
    for wrong in (
        b"",
        data[:100],
        to_bytes(description, broken),
        to_bytes(description, short),
        to_bytes(other, weights),
    ):
        with pytest.raises(CallError):
            from_bytes(wrong)


def test_every_parameter_has_help_and_fits_a_form() -> None:
    for operation in OPERATIONS:
        for field in describe(operation).fields:
            assert field.help, field.name
