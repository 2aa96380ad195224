"""What if these were gone: the answers are those of whole hooked passes, and wrong names are answered."""

from __future__ import annotations

from typing import Any

import pytest

from engine.circuits.interventions.what_if_operations import WhatIf, chosen, what_if
from engine.prompts.tokenized import tokenize
from sessions.components import Head, Mlp
from sessions.errors import CallError


def test_what_if_equals_hooked_passes(desk: Any, pair: Any, naive: Any, next_token_logits: Any) -> None:
    metrics, tokens = what_if(
        WhatIf(model="@1", prompts="@2", components="L0H1, mlp2;2.3", metric="loss", row=5, ablation="resample"), desk
    )
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    gone = [Head(0, 1), Mlp(2), Head(2, 3)]
    for line, name in zip(metrics.rows, ("loss", "accuracy", "kl"), strict=True):
        before = float(naive(name, pair.hooked, batch, [], "resample").mean())
        after = float(naive(name, pair.hooked, batch, gone, "resample").mean())
        assert line[1:4] == pytest.approx((before, after, after - before), abs=1e-4)
    one = tokenize(desk.inputs["@2"].rows[4:5], pair.ours.tokenizer, n_ctx=16, need_corrupt=True)
    clean, ablated = (next_token_logits(pair.hooked, one, parts, "resample")[0, -1] for parts in ([], gone))
    for token, before, after, change, logit_change in tokens.rows:
        i = int(str(token)[1:])
        assert before == pytest.approx(float(clean.softmax(-1)[i]), abs=1e-5)
        assert after == pytest.approx(float(ablated.softmax(-1)[i]), abs=1e-5)
        assert change == pytest.approx(after - before, abs=1e-6)
        assert logit_change == pytest.approx(float(ablated[i] - clean[i]), abs=1e-4)
    assert len(tokens.rows) == 10


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("L9H1", "no L9H1; it has 3 layers of 4 heads"),
        ("mlp3", "no mlp3"),
        ("logits", "cannot be ablated"),
        ("L0H1.q", "cannot be ablated"),
        (" , ", "no component"),
        ("banana", "'banana' is not a component"),
    ],
)
def test_components_that_cannot_be_ablated(pair: Any, text: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        chosen(text, pair.ours.config)


def test_a_row_that_is_not_there(desk: Any) -> None:
    with pytest.raises(CallError, match="no prompt 13"):
        what_if(WhatIf(model="@1", prompts="@2", components="L0H0", row=13), desk)
