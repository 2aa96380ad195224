"""The published layout of weights, checked place by place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import Aggregate, Comparison, Select, SelectorWidth, indices, tokens
from engine.rasp.sampling.flatten import PADDING, Sizes, flatten, padded, scaled, unflatten
from engine.rasp.sampling.sampler import Sampler
from sessions.errors import CallError


def test_the_order_of_a_vector() -> None:
    smaller = SelectorWidth(Select(tokens, tokens, Comparison.LT))
    compiled = compile_program(Aggregate(Select(smaller, indices, Comparison.EQ), tokens), Domain((0, 1, 2), 3))
    vector, state, sizes = flatten(compiled), compiled.state, Sizes.of(compiled)
    assert len(vector) == sizes.weights
    d, columns = compiled.d_model, compiled.n_heads * compiled.d_head
    embeddings = 4 * d + 5 * d  # BOS and three positions; three values, BOS and PAD
    assert np.array_equal(vector[: 4 * d].reshape(4, d), state["pos_embed.W_pos"])
    assert np.array_equal(vector[4 * d : embeddings].reshape(5, d), state["embed.W_E"])
    at = embeddings
    assert not vector[at : at + columns].any()  # the bias of the keys
    key = vector[at + columns : at + columns + d * columns].reshape(d, compiled.n_heads, compiled.d_head)
    for head in range(compiled.n_heads):
        assert np.array_equal(key[:, head], state["blocks.0.attn.W_K"][head])
    query = vector[at + (1 + d) * columns + columns :][: d * columns].reshape(d, compiled.n_heads, compiled.d_head)
    assert np.array_equal(query[:, 0], state["blocks.0.attn.W_Q"][0])
    last = vector[-compiled.d_mlp * d :].reshape(compiled.d_mlp, d)
    assert np.array_equal(last, state[f"blocks.{compiled.n_layers - 1}.mlp.W_out"])


def test_a_vector_can_be_taken_apart() -> None:
    sampler = Sampler(np.random.default_rng(0))
    for length in (4, 6, 8):
        compiled = sampler.program(length).compiled
        assert compiled is not None
        state = unflatten(flatten(compiled), Sizes.of(compiled))
        assert set(state) == set(compiled.state) - {"unembed.W_U"}
        for name, weight in state.items():
            assert np.array_equal(weight, compiled.state[name])
    with pytest.raises(CallError, match="weights are not the"):
        unflatten(np.zeros(3), Sizes.of(compiled))


def test_scaling_is_logarithmic_beyond_two() -> None:
    ln = math.log
    found = scaled(np.array([0.0, 1.0, -1.0, 2.0, -2.0, 100.0, -50.0]))
    assert np.allclose(found, [0, ln(2) / 2, -ln(2) / 2, ln(2), -ln(2), ln(100), -ln(50)])


def test_padding() -> None:
    found = padded([np.array([100.0, 1.0]), np.array([1.0])], m=8, piece=4)
    assert found.shape == (2, 2, 4)
    assert np.allclose(found[0].ravel(), [math.log(100), math.log(2) / 2, *[PADDING] * 6])
    assert np.allclose(found[1].ravel()[1:], PADDING)
    with pytest.raises(CallError, match="larger than 8"):
        padded([np.zeros(9)], m=8, piece=4)
