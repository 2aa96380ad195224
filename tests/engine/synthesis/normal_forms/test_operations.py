"""The operations on a shift register in a skew basis: the Jordan form shows, the function stays, the model loads."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.models.rnn import MipsRnn, RnnConfig, rnn_handle
from engine.operations import Operation, parse
from engine.server.model_shelf import ModelShelf
from engine.synthesis.normal_forms.operations import OPERATIONS
from sessions.artifacts import Matrix, Model, Table
from sessions.errors import CallError

CONFIG = RnnConfig(hidden=3, inputs=1, low=0, high=99, length=10, task="Sum_Last3")


class Bench:
    """A Context with one model that keeps weights as a session does."""

    def __init__(self, model: Any) -> None:
        self.model, self.kept, self.reports = model, {}, []  # type: ignore[var-annotated]

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(0)

    def rnn(self, ref: str) -> Any:
        return self.model

    def keep_weights(self, data: bytes) -> str:
        self.kept["key"] = data
        return "session:key"

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.reports.append((done, total, note))


def shift_register() -> MipsRnn:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] * np.array([0.02, 0.05, 0.03])
    inverse = np.linalg.inv(turn)
    weights = {
        "f.0.weight": np.concatenate([turn @ np.eye(3, k=1) @ inverse, turn @ np.eye(3)[:, 2:]], axis=1),
        "f.0.bias": np.zeros(3),
        "g.0.weight": np.ones((1, 3)) @ inverse,
        "g.0.bias": np.zeros(1),
    }
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    handle = rnn_handle(CONFIG, title="RNN Sum_Last3", source="zoo:x", sha256="a" * 64, device="cpu", dtype="float64")
    return MipsRnn(handle, CONFIG, tensors)


def run(name: str, model: Any, **values: Any) -> tuple[Matrix, Table, Model, Bench]:
    operation: Operation = next(o for o in OPERATIONS if o.name == f"synthesis.{name}")
    bench = Bench(model)
    matrix, table, made = operation.function(parse(operation, {"model": "@1", **values}), bench)  # type: ignore[arg-type]
    assert isinstance(matrix, Matrix)
    assert isinstance(table, Table)
    assert isinstance(made, Model)
    assert tuple(a.kind for a in (matrix, table, made)) == operation.gives
    return matrix, table, made, bench


def test_all_five_bring_a_shift_register_to_its_form() -> None:
    model = shift_register()
    matrix, table, made, bench = run("normalise", model)
    assert matrix.axes[0].labels == (
        "before", "after whiten", "after jordan", "after toeplitz", "after debias", "after quantize",
    )  # fmt: skip
    assert matrix.axes[2].labels == ("h1", "h2", "h3", "x", "bias")
    np.testing.assert_allclose(matrix.values[-1][:, :3], np.eye(3, k=1), atol=1e-12)
    assert matrix.values[-1][:, 3].tolist() == [0.0, 0.0, 1.0]
    assert [row[0] for row in table.rows] == ["whiten", "jordan", "toeplitz", "debias", "quantize"]
    assert all(row[3] == 100.0 for row in table.rows)
    changed = [row[4] for row in table.rows]
    assert isinstance(changed[2], float)
    assert changed[2] < 1e-9  # Toeplitz claims to preserve W
    assert made.facts["weights before"] == "a" * 12
    assert bench.reports[0] == (0, 5, "whiten")
    again = ModelShelf(bench.kept.__getitem__).load(made)
    assert isinstance(again, MipsRnn)
    x = torch.randint(0, 100, (20, 10, 1), generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(again.run(x)[1], model.run(x)[1], atol=1e-6, rtol=0)
    assert again.run(x)[1].round().equal(x.cumsum(1) - torch.nn.functional.pad(x.cumsum(1), (0, 0, 3, 0))[:, :10])


@pytest.mark.parametrize("name", ["whiten", "jordan", "toeplitz", "debias", "quantize"])
def test_each_alone_gives_before_and_after(name: str) -> None:
    matrix, table, made, _ = run(name, shift_register())
    assert matrix.values.shape == (2, 3, 5)
    assert len(table.rows) == 1
    assert (made.dtype, made.family, made.source) == ("float64", "rnn", "session:key")


def test_a_rounding_that_breaks_the_function_is_undone_and_said() -> None:
    matrix, table, _, _ = run("quantize", shift_register(), threshold=0.5)
    assert "undone: quantize" in table.summary
    assert np.array_equal(matrix.values[0], matrix.values[1])


def test_a_network_without_weights_is_refused() -> None:
    class Hidden:
        handle = Model(title="black box", source="", family="rnn", architecture="x")

    with pytest.raises(CallError, match="shows no weights"):
        run("whiten", Hidden())


def test_forms_describe_every_threshold() -> None:
    for operation in OPERATIONS:
        for field in msgspec.structs.fields(operation.params):
            if field.name != "model":
                parse(operation, {"model": "@1", field.name: field.default})
