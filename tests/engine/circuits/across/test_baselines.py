"""Baselines against TransformerLens' logits of the same prompts, written out."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.circuits.across.baseline_operations import Baselines, baselines
from engine.circuits.across.intervals import wilson
from sessions.artifacts import Prompts
from sessions.codec import decode, encode
from sessions.errors import CallError, CancelledError

from ..conftest import Pair
from .conftest import Shelf


def by_hand(pair: Pair, prompts: Prompts) -> tuple[float, float, float]:
    """NLL, share correct and c - b from whole hooked passes, prompt by prompt."""
    losses, hits, differences = [], [], []
    for row in prompts.rows:
        ids = torch.tensor([[int(word[1:]) for word in row.clean.split()]])
        with torch.no_grad():
            logits = pair.hooked(ids)[0, -1].double()
        c, b = int(row.answers[0][1:]), int(row.foils[0][1:])
        losses.append(-float(logits.log_softmax(-1)[c]))
        hits.append(int(logits.argmax()) == c)
        differences.append(float(logits[c] - logits[b]))
    return float(np.mean(losses)), float(np.mean(hits)), float(np.mean(differences))


@pytest.fixture
def two_sets(shelf: Shelf, pairs: tuple[Pair, Pair]) -> Shelf:
    """@4: as @2, every other prompt answered as base answers it, in two templates."""
    rows = []
    for i, row in enumerate(shelf.inputs["@2"].rows):
        ids = torch.tensor([[int(word[1:]) for word in row.clean.split()]])
        said = f"t{int(pairs[0].hooked(ids)[0, -1].argmax())}"
        answer = said if i % 3 and said != row.foils[0] else row.answers[0]
        rows.append(msgspec.structs.replace(row, answers=(answer,), group="odd" if i % 2 else "even"))
    shelf.inputs["@4"] = Prompts(title="mostly right", task="x", rows=tuple(rows))
    return shelf


def test_each_model_on_each_set(two_sets: Shelf, pairs: tuple[Pair, Pair]) -> None:
    (table,) = baselines(Baselines(models=("@1", "@3"), prompts=("@2", "@4")), two_sets)
    assert [column.name for column in table.columns] == [
        "model", "set", "NLL", "Frac correct", "Logit diff", "n", "low", "high",
    ]  # fmt: skip
    assert [row[:2] for row in table.rows] == [
        ("base", "random"), ("base", "mostly right"), ("tuned", "random"), ("tuned", "mostly right"),
    ]  # fmt: skip
    which = [(pair, two_sets.inputs[ref]) for pair in pairs for ref in ("@2", "@4")]
    for row, (pair, prompts) in zip(table.rows, which):
        assert row[2:5] == pytest.approx(by_hand(pair, prompts), abs=2e-5)  # float32 logits of size 10
        assert row[5] == 12
        assert row[6:] == pytest.approx(wilson(row[3] * 12, 12))
    assert table.rows[1][3] > 0.5
    assert table.facts["models"] == ["@1", "@3"]
    assert encode(decode(encode(table))) == encode(table)


def test_templates_are_parts_of_their_set(two_sets: Shelf, pairs: tuple[Pair, Pair]) -> None:
    (table,) = baselines(Baselines(models=("@1",), prompts=("@4",), templates=True), two_sets)
    assert [row[2] for row in table.rows] == ["all", "even", "odd"]
    whole, even, odd = (row[3:6] for row in table.rows)
    assert whole == pytest.approx(np.add(even, odd) / 2)  # six prompts each
    prompts = two_sets.inputs["@4"]
    only = Prompts(title="", task="x", rows=prompts.rows[::2])
    assert even == pytest.approx(by_hand(pairs[0], only), abs=2e-5)


def test_without_foils_there_is_no_logit_difference(shelf: Shelf) -> None:
    rows = tuple(msgspec.structs.replace(row, foils=()) for row in shelf.inputs["@2"].rows)
    shelf.inputs["@2"] = Prompts(title="no foils", task="x", rows=rows)
    (table,) = baselines(Baselines(models=("@1",), prompts=("@2",)), shelf)
    assert table.rows[0][4] is None
    assert table.rows[0][2] > 0


def test_a_resumed_table_is_the_same_whatever_the_batch(two_sets: Shelf) -> None:
    params = Baselines(models=("@1", "@3"), prompts=("@2", "@4"))
    (whole,) = baselines(params, two_sets.fresh())
    two_sets.stop_after = 3
    with pytest.raises(CancelledError):
        baselines(params, two_sets)
    assert [len(partial.rows) for partial in two_sets.partials] == [1, 2, 3]
    two_sets.stop_after = None
    (resumed,) = baselines(params, two_sets)
    assert encode(resumed) == encode(whole)
    (other,) = baselines(msgspec.structs.replace(params, batch=5), two_sets.fresh())
    for a, b in zip(whole.rows, other.rows):
        assert a[2:] == pytest.approx(b[2:], abs=1e-5)


def test_wrong_inputs_are_named(shelf: Shelf) -> None:
    for models, prompts, sentence in (
        ((), ("@2",), "models: no model is named; name one: @ID"),
        (("@1", "@1"), ("@2",), "models: @1 is named twice"),
        (("@2",), ("@2",), "models: @2 is a prompts, not a model"),
        (("@1",), (), "prompts: no set of prompts is named"),
        (("@1",), ("@1",), "prompts: @1 is a model, not prompts"),
    ):
        with pytest.raises(CallError, match=sentence):
            baselines(Baselines(models=models, prompts=prompts), shelf)


def test_models_of_one_title_are_told_apart(shelf: Shelf) -> None:
    twin: Any = shelf.inputs["@3"]
    renamed = type(twin).__new__(type(twin))
    renamed.__dict__.update(twin.__dict__)
    renamed.handle = msgspec.structs.replace(twin.handle, title="base")
    shelf.inputs["@5"] = renamed
    (table,) = baselines(Baselines(models=("@1", "@5"), prompts=("@2",)), shelf)
    assert [row[0] for row in table.rows] == ["base @1", "base @5"]
