"""A change of basis changes nothing that a model computes; a projection says what it lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.rasp import forward
from engine.rasp.compiled import Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.compression import compressed, random_ids
from engine.rasp.normalised import ANCHOR, with_layer_norm
from engine.rasp.rotation import orthogonal, rotated
from engine.rasp.syntax import parse
from sessions.errors import CallError

PROGRAMS = [
    "hist = selector_width(select(tokens, tokens, ==))",
    "before = select(indices, indices, <=)\nshare = numerical(aggregate(before, numerical(tokens == 1), default=0))",
    "n = selector_width(select(tokens, tokens, true))\nat = n - indices - 1\n"
    "reverse = aggregate(select(indices, at, ==), tokens)",
]


@pytest.fixture(params=PROGRAMS, ids=["hist", "share", "reverse"])
def model(request: pytest.FixtureRequest) -> Compiled:
    return compile_program(parse(request.param), Domain((1, 2, 3), 5))


def largest_difference(a: Compiled, b: Compiled) -> float:
    groups = random_ids(a, 40, np.random.default_rng(1))
    return max(float(np.abs(forward.run(a, ids).logits - forward.run(b, ids).logits).max()) for ids in groups)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: rotated(c, np.random.default_rng(0)),
        with_layer_norm,
        lambda c: with_layer_norm(rotated(c, np.random.default_rng(0))),
    ],
    ids=["rotated", "LayerNorm", "rotated, LayerNorm"],
)
def test_the_function_stays(model: Compiled, change: Callable[[Compiled], Compiled]) -> None:
    # float32: scores of 100 in a rotated basis carry errors of 1e-5, which the softmax makes no larger
    assert largest_difference(model, change(model)) < 1e-3


def test_the_layer_norm_is_one(model: Compiled) -> None:
    """Without its mirror the mean would move; the bound on what is read holds at every position."""
    normed = with_layer_norm(model)
    ids = np.concatenate(random_ids(model, 30, np.random.default_rng(2), full=True))
    stream = forward.run(normed, ids, np.float64).resid[-1]
    assert np.abs(stream.mean(-1)).max() < 1e-12
    read = forward._norm(stream, {"w.w": normed.state["ln_final.w"]}, "w")
    true = stream[..., : model.d_model]
    bound = (true**2).sum(-1) / (2 * ANCHOR**2) + 1e-6
    error = np.abs(read[..., : model.d_model] - true).max(-1) / np.maximum(np.abs(true).max(-1), 1e-9)
    assert (error <= bound).all()


def test_an_orthogonal_matrix_is_one() -> None:
    a = orthogonal(40, np.random.default_rng(3))
    assert np.allclose(a @ a.T, np.eye(40), atol=1e-12)
    assert abs(a.mean()) < 0.05


def test_all_directions_kept_lose_nothing_and_few_lose_much(model: Compiled) -> None:
    whole, all_kept = compressed(model, 1.0, np.random.default_rng(4))
    assert (all_kept.positions_same, all_kept.kept) == (1.0, model.d_model)
    assert all_kept.explained == pytest.approx(1)
    assert largest_difference(model, whole) < 1e-3
    _, few = compressed(model, 3, np.random.default_rng(4))
    assert few.explained < 1
    assert few.inputs_same < 0.5
    again = compressed(model, 0.5, np.random.default_rng(4))
    assert again[1] == compressed(model, 0.5, np.random.default_rng(4))[1]


def test_what_cannot_be_kept_is_refused(model: Compiled) -> None:
    with pytest.raises(CallError, match="0 of"):
        compressed(model, 0.01, np.random.default_rng(0))
    with pytest.raises(CallError, match="LayerNorm"):
        compressed(with_layer_norm(model), 0.9, np.random.default_rng(0))
    with pytest.raises(CallError, match="LayerNorm"):
        rotated(with_layer_norm(model), np.random.default_rng(0))
