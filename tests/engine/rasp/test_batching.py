"""A stack holds the very weights that compiling one by one gives, and its padding computes nothing."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from engine.rasp import batching, forward
from engine.rasp.batching import Stack, compile_batch
from engine.rasp.compiled import Array, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import Map, SOp, numerical, tokens
from engine.rasp.printing import same_program
from engine.rasp.sampling.flatten import flatten
from engine.rasp.sampling.sampler import Sampler
from sessions.errors import CallError

DOMAIN = Domain((0, 1, 2, 3, 4), 5)


@pytest.fixture(scope="module")
def programs() -> list[SOp]:
    sampler = Sampler(np.random.default_rng(0))
    return [sampler.program(length).program for length in (4, 5, 6, 7) for _ in range(6)]


@pytest.fixture(scope="module")
def stack(programs: list[SOp]) -> Stack:
    return compile_batch(programs, DOMAIN)


@pytest.fixture(scope="module", params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    pool: Executor = (
        ThreadPoolExecutor(2) if request.param == "threads" else ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    )
    with pool:
        yield pool


def test_rows_are_the_compiled_models(stack: Stack, programs: list[SOp]) -> None:
    assert stack.programs == tuple(i for i in range(len(programs)) if i not in stack.failures)
    for row, i in enumerate(stack.programs):
        compiled = compile_program(programs[i], DOMAIN)
        assert stack.outputs[row] == compiled.outputs
        state = stack.state(row)
        assert state.keys() == compiled.state.keys()
        assert all(np.array_equal(state[name], compiled.state[name]) for name in state)
        assert np.array_equal(stack.weights([row])[0], flatten(compiled))


def run_stack(w: dict[str, Array], ids: Array) -> Array:
    """All models on the same input [pos], as one batch."""
    x = w["embed.W_E"][:, ids] + w["pos_embed.W_pos"][:, : len(ids)]
    for layer in range(w["mlp.W_in"].shape[1]):
        read = x[:, None]
        q, k, v = (read @ w[f"attn.W_{name}"][:, layer] for name in "QKV")
        scores = q @ k.swapaxes(-1, -2)
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        pattern /= pattern.sum(-1, keepdims=True)
        x = x + (pattern @ v @ w["attn.W_O"][:, layer]).sum(1)
        x = x + np.maximum(x @ w["mlp.W_in"][:, layer], 0) @ w["mlp.W_out"][:, layer]
    return x @ w["unembed.W_U"]


def test_a_padded_stack_runs_as_one_batch(stack: Stack, programs: list[SOp]) -> None:
    rows = range(len(stack.programs))
    tensors = stack.tensors(rows)
    for x in np.random.default_rng(1).integers(0, 5, (3, 4)).tolist():
        models = [compile_program(programs[i], DOMAIN) for i in stack.programs]
        ids = forward.encode(models[0], [x])[0]
        found = run_stack(tensors, ids)
        for row, compiled in enumerate(models):
            wanted = forward.run(compiled, ids[None]).logits[0]
            assert np.allclose(found[row, :, : wanted.shape[1]], wanted, atol=1e-4)
            assert not found[row, :, wanted.shape[1] :].any()


def test_workers_change_nothing(stack: Stack, programs: list[SOp], executor: Executor) -> None:
    again = compile_batch(programs, DOMAIN, executor=executor)
    assert np.array_equal(again.weights(range(len(stack))), stack.weights(range(len(stack))))
    assert again.sizes == stack.sizes
    assert again.failures == stack.failures


def test_what_is_left_out_is_told(programs: list[SOp]) -> None:
    wrong = numerical(tokens)
    found = compile_batch([programs[0], wrong, programs[1]], DOMAIN)
    assert found.programs == (0, 2)
    assert "numerical" in found.failures[1]
    small = compile_batch(programs, DOMAIN, most_weights=2_000)
    assert small.weights(range(len(small))).shape[1] <= 2_000
    assert all("more than 2,000" in why for why in small.failures.values())
    with pytest.raises(CallError, match="no program is left"):
        compile_batch([wrong], DOMAIN)
    with pytest.raises(CallError, match="no program is left to stack"):
        compile_batch([], DOMAIN)


def test_padding_beyond_memory_is_refused(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_CELLS", 1_000)
    for ask in (stack.weights, stack.tensors):
        with pytest.raises(CallError, match="padded models have"):
            ask(range(5))


def test_programs_travel_between_processes(programs: list[SOp]) -> None:
    for program in programs:
        assert same_program(pickle.loads(pickle.dumps(program)), program)  # noqa: S301
    with pytest.raises(CallError, match="Python's own"):
        pickle.dumps(Map(lambda x: x, tokens))
