"""Linear networks made on purpose, in a random basis, with noise on every weight: the right loop is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.models.rnn import MipsRnn, RnnConfig
from engine.synthesis.programs.emission import emit_loop
from engine.synthesis.routes.linear import linear_loops
from sessions.artifacts import Model
from tests.engine.synthesis.conftest import bundled

Array = np.ndarray[Any, Any]


def network(w: Array, v: Array, b: Array, c: Array, d: Array, seed: int = 0, noise: float = 0.0) -> MipsRnn:
    """An RNN with affine f and g that computes h' = Wh + Vx + b, y = Ch + d in a random basis, and with g's bias taking
    up a random offset that f's bias adds to directions W forgets."""
    rng = np.random.default_rng(seed)
    n = len(w)
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0] * rng.uniform(0.5, 1.5, n)
    inverse = np.linalg.inv(turn)
    parts = {
        "f.0.weight": np.concatenate([turn @ w @ inverse, turn @ v], axis=1),
        "f.0.bias": turn @ b,
        "g.0.weight": c @ inverse,
        "g.0.bias": np.asarray(d, dtype=float),
    }
    weights = {
        name: torch.tensor(part + noise * rng.uniform(-1, 1, part.shape), dtype=torch.float32)
        for name, part in parts.items()
    }
    handle = Model(title="made", source="", family="rnn", architecture="mips-rnn")
    config = RnnConfig(hidden=n, inputs=v.shape[1], outputs=len(c))
    return MipsRnn(handle, config, weights)


def delays(count: int) -> tuple[Array, Array, Array]:
    return np.eye(count, k=-1), np.eye(count, 1), np.zeros(count)


def sampled(low: int, high: int, length: int, inputs: int = 1, count: int = 500) -> Array:
    return np.random.default_rng(7).integers(low, high + 1, (count, length, inputs))


@pytest.mark.parametrize("count", range(2, 8))
def test_a_sum_of_the_last_inputs_is_a_shift_register(count: int) -> None:
    w, v, b = delays(count)
    x = sampled(0, 99, 20 if count > 4 else 10)
    found = linear_loops(network(w, v, b, np.ones((1, count)), np.zeros(1), noise=1e-4), x)
    text = emit_loop(found.loops[0], "")
    names = [f"x{k}" for k in range(1, count)]
    assert f"y = {' + '.join(['x', *names])}\n" in text
    assert found.loops[0].state == tuple(names)


@pytest.mark.parametrize("lag", range(6))
def test_an_earlier_input_is_one_register(lag: int) -> None:
    w, v, b = delays(lag + 1)
    x = sampled(0, 99, 20 if lag > 4 else 10)
    found = linear_loops(network(w, v, b, np.eye(1, lag + 1, k=lag), np.zeros(1), noise=1e-4), x)
    loop = found.loops[0]
    assert loop.outputs == (("var", f"x{lag}" if lag else "x"),)
    assert len(loop.state) == lag


MECHANICS: dict[str, tuple[Array, Array, Array, tuple[str, ...]]] = {
    "free": (np.array([[1, 0], [1, 1]]), np.array([[1], [1]]), np.zeros(2), ("a += x", "b += a", "ys.append(b)")),
    "gravity": (
        np.array([[1, 0], [1, 1]]),
        np.array([[1], [1]]),
        np.array([-1, -1]),
        ("a = a + x - 1", "b += a", "ys.append(b)"),
    ),
    "spring": (np.array([[1, -1], [1, 0]]), np.array([[1], [1]]), np.zeros(2), ()),
}


@pytest.mark.parametrize("name", MECHANICS)
def test_mechanics_come_out_as_integer_systems_of_two_states(name: str) -> None:
    w, v, b, lines = MECHANICS[name]
    x = sampled(-10, 10, 10)
    model = network(w, v, b, np.array([[0, 1]]), np.zeros(1), noise=1e-5)
    found = linear_loops(model, x)
    loop = found.loops[0]
    assert len(loop.state) == 2
    for line in lines:
        assert f"{line}\n" in emit_loop(loop, "")
    # Against numpy's own recurrence, on other sequences.
    fresh = np.random.default_rng(8).integers(-10, 11, (200, 10, 1))
    state = np.zeros((200, 2))
    for t in range(10):
        state = state @ w.T + fresh[:, t] @ v.T + b
        assert np.array_equal(loop.run(fresh)[1][:, t, 0], state[:, 1])


def test_two_coupled_bodies_come_out_with_four_states() -> None:
    w = np.array([[1, -1, 0, 0], [1, 1, 0, 0], [1, -1, 1, 0], [1, 1, 0, 1]])
    v = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    read = np.array([[0, 0, 1, 0], [0, 0, 0, 1]])
    found = linear_loops(network(w, v, np.zeros(4), read, np.zeros(2), noise=1e-6), sampled(-10, 10, 10, inputs=2))
    loop = found.loops[0]
    assert len(loop.state) == 4
    assert loop.cost <= 32  # vx' = vx + p - vy, vy' = vy + q + vx, px' = px + vx', py' = py + vy' is 32
    assert found.lattice is not None


def test_directions_that_nothing_reads_or_reaches_are_left_out() -> None:
    w = np.zeros((4, 4))
    w[0, 0] = w[2, 2] = 1.0  # a running sum; 1 never reached, 2 never read, 3 forgets
    v = np.array([[1.0], [0.0], [0.5], [0.3]])
    found = linear_loops(network(w, v, np.zeros(4), np.array([[1.0, 5, 0, 0]]), np.zeros(1)), sampled(0, 99, 10))
    assert found.loops[0].state == ("a",)
    assert "a += x\n" in emit_loop(found.loops[0], "")


def test_a_bias_that_only_the_start_lacks_is_a_constant() -> None:
    # h_0 = 0 lies off the lattice of all later states; the outputs never tell.
    w, v, _ = delays(3)
    found = linear_loops(
        network(w, v, np.array([0.3, 0.0, 0.0]), np.array([[1.0, 0, 0]]), np.array([1.7])), sampled(0, 9, 10)
    )
    assert "y = x + 2\n" in emit_loop(found.loops[0], "")


def test_states_before_a_forgotten_bias_has_settled_are_not_counted() -> None:
    w, v, _ = delays(4)
    model = network(w, v, np.array([0.31, 0.17, -0.41, 0.23]), np.ones((1, 4)), np.array([0.2]), noise=1e-5)
    lattice = linear_loops(model, sampled(0, 99, 12)).lattice
    assert lattice is not None
    assert lattice.settled == 4
    assert lattice.residual < 0.05


def test_what_alternates_by_itself_needs_one_state() -> None:
    found = linear_loops(
        network(-np.eye(1), np.zeros((1, 1)), np.ones(1), np.ones((1, 1)), np.zeros(1)), sampled(0, 1, 10)
    )
    assert found.loops[0].run(np.zeros((1, 5, 1), dtype=np.int64))[1].flatten().tolist() == [1, 0, 1, 0, 1]
    assert len(found.loops[0].state) == 1


def test_what_is_not_integer_or_not_affine_is_refused() -> None:
    half = linear_loops(
        network(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1), np.full((1, 1), 0.4), np.zeros(1)), sampled(0, 9, 10)
    )
    assert not half.loops
    assert "no integer" in half.why


@pytest.mark.parametrize("bundled_name", ["Parity_All", "Binary_Addition"])
def test_a_network_that_bends_is_refused(bundled_name: str) -> None:
    model = bundled(bundled_name)
    found = linear_loops(model, sampled(0, 1, 10, model.inputs))
    assert not found.loops
    assert found.why


def bent(count: int, layers: list[tuple[Array, Array]], bias: Array | None = None, **options: Any) -> MipsRnn:
    """Delays of one input, read by layers with a ReLU between them."""
    w, v, b = delays(count)
    model = network(w, v, b if bias is None else bias, layers[0][0], layers[0][1], **options)
    for k, (weight, constant) in enumerate(layers[1:], start=1):
        model.weights |= {
            f"g.{k}.weight": torch.tensor(weight, dtype=torch.float32),
            f"g.{k}.bias": torch.tensor(constant, dtype=torch.float32),
        }
    return model


@pytest.mark.parametrize("seed", range(4))
def test_outputs_that_bend_are_handed_on_with_integer_coordinates(seed: int) -> None:
    # y = |x - x1| as relu(x - x1) + relu(x1 - x): one register is enough, though the network has three hidden numbers.
    layers = [(np.array([[1.0, -1, 0], [-1, 1, 0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    x = sampled(-100, 99, 10)
    found = linear_loops(bent(3, layers, seed=seed, noise=1e-4), x)
    assert not found.loops
    rows = found.rows
    assert rows is not None
    assert rows.state == ("x1",)
    assert rows.update == (("var", "x"),)
    assert np.array_equal(rows.old[:, 1:, 0], x[:, :-1, 0])
    loop = rows.loop((("abs", ("-", ("var", "x"), ("var", "x1"))),))
    assert np.array_equal(loop.run(x)[1], rows.y)


def test_a_bent_readout_of_the_input_alone_needs_no_state() -> None:
    layers = [(np.array([[1.0], [-1.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    rows = linear_loops(bent(1, layers, noise=1e-4), sampled(-9, 9, 10)).rows
    assert rows is not None
    assert rows.state == ()
    assert np.array_equal(rows.y, np.abs(rows.x))


class Bending:
    """A network that is affine nowhere inside: it keeps the cube root of a running sum of 3 p - q."""

    task, hidden, inputs, outputs, low, high, length = "", 1, 2, 1, 0, 9, 8

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = torch.cumsum(3 * x[..., :1] - x[..., 1:], dim=1)
        return torch.sign(total) * total.abs() ** (1 / 3), total + 0.1 * torch.sin(total)


def test_where_the_inside_bends_the_outputs_alone_may_tell() -> None:
    found = linear_loops(Bending(), sampled(0, 9, 8, inputs=2))  # type: ignore[arg-type]
    assert found.read_from == "the rounded outputs"
    assert emit_loop(found.loops[0], "").endswith("        a = a + 3 * p - q\n        ys.append(a)\n    return ys\n")
