"""The network: its size, what it may look at, its cache, and its way through bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.rasp.metamodel.architecture import PUBLISHED, SMOKE, Metamodel, decode, encode
from engine.rasp.metamodel.data import Corpus
from sessions.errors import CallError
from tests.engine.rasp.metamodel.conftest import TINY


def test_the_published_size_has_about_five_million_parameters() -> None:
    assert (PUBLISHED.pieces, PUBLISHED.r, PUBLISHED.d, PUBLISHED.layers) == (256, 128, 256, 6)
    assert PUBLISHED.parameters == pytest.approx(5e6, rel=0.05)
    for size in (TINY, SMOKE):
        assert sum(p.numel() for p in Metamodel(size).parameters()) == size.parameters


def test_no_token_sees_what_comes_after_it_and_all_see_the_weights(corpus: Corpus) -> None:
    model = Metamodel(TINY).eval()
    weights, tokens = corpus.batch(np.array([0, 1]))
    before = model(weights, tokens)
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % TINY.vocabulary
    after = model(weights, changed)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9], after[:, 9])
    other = weights.clone()
    other[:, 0, 0] += 1
    assert (model(other, tokens) != before).any(dim=-1).all()


def test_the_cache_gives_what_the_whole_sequence_gives(corpus: Corpus) -> None:
    model = Metamodel(TINY).eval()
    weights, tokens = corpus.batch(np.array([3, 4]))
    whole = model(weights, tokens)
    cache = model.read(weights)
    parts = []
    for begin, end in ((0, 1), (1, 4), (4, tokens.shape[1])):
        logits, cache = model.write(tokens[:, begin:end], cache)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


def test_bytes_hold_the_model_and_what_it_was_trained_on(corpus: Corpus) -> None:
    model = Metamodel(TINY).eval()
    model.describes = {"source": {"dense": 0.9}}
    again = decode(encode(model))
    assert again.describes == model.describes
    weights, tokens = corpus.batch(np.array([0]))
    torch.testing.assert_close(again(weights, tokens), model(weights, tokens), rtol=0, atol=0)
    for wrong in (b"", b"12345678{}", encode(model)[:-5]):
        with pytest.raises(CallError, match="not a meta-model"):
            decode(wrong)


def test_too_long_a_program_is_refused(corpus: Corpus) -> None:
    weights, _ = corpus.batch(np.array([0]))
    with pytest.raises(CallError, match=f"takes {TINY.r}"):
        Metamodel(TINY)(weights, torch.ones(1, TINY.r + 1, dtype=torch.long))
