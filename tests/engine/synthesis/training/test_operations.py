"""synthesis.train and synthesis.train_all: small tasks are learnt, an interrupted run ends in the same network,
mistakes are told in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from engine.models.rnn import load_rnn
from engine.models.stored_rnn import read_rnn
from engine.operations import Context, parse
from engine.synthesis.operations import OPERATIONS
from engine.synthesis.training import operations as training_operations
from sessions.artifacts import AnyArtifact, Model, Series, Table
from sessions.errors import CallError

BY_NAME = {operation.name: operation for operation in OPERATIONS}


class KilledError(Exception):
    """As when the process is killed."""


class Desk:
    """A Context without models, which may be stopped after some steps of training."""

    seed = 0

    def __init__(self, saved: dict[str, Any] | None = None, stop_at: int | None = None) -> None:
        self.saved = dict(saved or {})
        self.stop_at = stop_at
        self.kept: list[bytes] = []
        self.shown: list[AnyArtifact] = []
        self.reports: list[tuple[int, int, str]] = []
        self.lines: list[str] = []

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.reports.append((done, total, note))
        if self.stop_at is not None and done >= self.stop_at:
            raise KilledError

    def partial(self, artifact: AnyArtifact) -> None:
        self.shown.append(artifact)

    def checkpoints(self) -> dict[str, Any]:
        return dict(self.saved)

    def checkpoint(self, unit: str, value: Any) -> None:
        self.saved[unit] = value

    def keep_weights(self, data: bytes) -> str:
        self.kept.append(data)
        return f"session:{len(self.kept)}"

    def log(self, message: str) -> None:
        self.lines.append(message)


def call(name: str, desk: Desk, **values: Any) -> list[AnyArtifact]:
    operation = BY_NAME[name]
    return list(operation.function(parse(operation, values), cast(Context, desk)))


@pytest.mark.parametrize("name", ["Bitwise_Or", "Sum_Last2"])
def test_a_small_task_is_learnt_by_the_portfolio(name: str) -> None:
    desk = Desk()
    table, series, model = call("synthesis.train", desk, task=name, seeds=4, batch=128)
    assert isinstance(table, Table)
    assert isinstance(series, Series)
    assert isinstance(model, Model)
    assert model.facts["exact"] is True
    assert model.facts["right"] == model.facts["tested"] >= 2**18
    assert model.config["hidden"] == (1 if name == "Bitwise_Or" else 2)
    assert any(row[6] == "exact" and row[7] == "this one" for row in table.rows)
    assert np.nanmax(series.curves[0].y) == 1.0
    # The network that was kept, on sequences of our own.
    config, weights = read_rnn(desk.kept[-1])
    numbers = torch.randint(config.low, config.high + 1, (50, config.length, config.inputs)).float()
    assert config.task == name
    h = torch.zeros(50, config.hidden)
    for t in range(config.length):
        h = torch.cat([h, numbers[:, t]], dim=1) @ weights["f.0.weight"].T + weights["f.0.bias"]
        y = h @ weights["g.0.weight"].T + weights["g.0.bias"]
        before = numbers[:, t - 1, 0] if t else torch.zeros(50)
        wanted = numbers[:, t].amax(dim=1) if name == "Bitwise_Or" else numbers[:, t, 0] + before
        assert (y[:, 0].round() == wanted).all()
    # What was to be seen on the way.
    assert all(isinstance(one, Series) for one in desk.shown)
    assert desk.shown
    assert desk.reports[-1][2]


def test_an_interrupted_run_ends_in_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_operations, "SAVE_SECONDS", 0.0)
    asked = {"task": "Parity_All", "hidden": 1, "f": [6], "seeds": 4, "steps": 500}
    whole = Desk()
    finished = call("synthesis.train", whole, **asked)
    stop = Desk(stop_at=310)
    with pytest.raises(KilledError):
        call("synthesis.train", stop, **asked)
    again = Desk(stop.saved)
    taken_up = call("synthesis.train", again, **asked)
    assert again.lines == ["goes on after 300 steps"]
    assert again.reports[0][0] > 300
    assert again.kept == whole.kept
    assert isinstance(finished[0], Table)
    assert isinstance(taken_up[0], Table)
    assert taken_up[0].rows == finished[0].rows


def test_the_same_seed_gives_the_same_network_and_another_another() -> None:
    asked = {"task": "Bitwise_Not", "hidden": 1, "seeds": 2, "steps": 300}
    desks = [Desk(), Desk(), Desk()]
    desks[2].seed = 1
    for desk in desks:
        call("synthesis.train", desk, **asked)
    assert desks[0].kept == desks[1].kept
    assert desks[0].kept != desks[2].kept


def test_the_papers_search_finds_the_smallest_of_its_order() -> None:
    """n = 2 succeeds, which is where it starts; bisection then asks for n = 1."""
    table, series, model = call(
        "synthesis.train", Desk(), task="Bitwise_Not", search="paper", steps=1_500, lr=1e-2, batch=128
    )
    assert isinstance(table, Table)
    assert isinstance(model, Model)
    assert [row[0] for row in table.rows] == ["n 2, f affine"] * 5 + ["n 1, f affine"] * 5
    assert model.config["hidden"] == 1
    assert model.facts["exact"] is True
    assert isinstance(series, Series)
    assert [curve.name for curve in series.curves[:2]] == ["n 2, f affine", "n 1, f affine"]


def test_a_network_too_small_is_returned_as_it_is() -> None:
    table, _, model = call("synthesis.train", Desk(), task="Parity_Last3", hidden=1, seeds=2, steps=250)
    assert isinstance(model, Model)
    assert isinstance(table, Table)
    assert model.facts["exact"] is False
    assert model.facts["right"] < model.facts["tested"] == 1_024
    assert "nearest" in table.summary


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"task": "Sum_Last33"}, "Sum_Last3"),
        ({"task": "Sum_All", "f": [4]}, "hidden"),
        ({"task": "Sum_All", "search": "none"}, "hidden"),
        ({"task": "Sum_All", "search": "paper", "hidden": 2}, "search"),
        ({"task": "Sum_All", "hidden": 2, "f": [0]}, ">= 1"),
        ({"task": "Sum_All", "lr": 0}, "lr"),
    ],
)
def test_mistakes_are_told_in_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(CallError) as error:
        call("synthesis.train", Desk(), **values)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_all_writes_networks_that_load_and_goes_on_where_it_was(tmp_path: Path) -> None:
    desk = Desk()
    asked: dict[str, Any] = {"folder": str(tmp_path / "nets"), "tasks": ["Bitwise_Not"], "how": "portfolio"}
    (table,) = call("synthesis.train_all", desk, **asked)
    assert isinstance(table, Table)
    assert table.rows[0][:3] == ("Bitwise_Not", "yes", "portfolio")
    path = tmp_path / "nets" / "Bitwise_Not.safetensors"
    model = load_rnn(path, json.loads(path.with_suffix(".json").read_text()))
    _, outputs = model.run(torch.tensor([[[0.0], [1.0], [1.0]]]))
    assert outputs.round().flatten().tolist() == [1.0, 0.0, 0.0]
    path.unlink()
    (again,) = call("synthesis.train_all", Desk(desk.saved), **asked)
    assert isinstance(again, Table)
    assert again.rows == table.rows
    assert path.exists()
    with pytest.raises(CallError, match="not a task"):
        call("synthesis.train_all", Desk(), **asked | {"tasks": ["Bitwise_Nit"]})
    with pytest.raises(CallError, match="is a file"):
        call("synthesis.train_all", Desk(), **asked | {"folder": str(path)})
