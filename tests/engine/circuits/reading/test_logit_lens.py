"""The lens against TransformerLens' accumulated residual stream, its final norm and unembedding in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.metrics import Targets
from engine.circuits.reading.lens_operations import LogitLens, logit_lens
from engine.circuits.reading.logit_lens import MEASURES, at_answers, lens, read, stages
from sessions.artifacts import Prompts
from sessions.codec import decode, encode
from sessions.errors import CallError

TOKENS = torch.randint(0, 23, (5, 9), generator=torch.Generator().manual_seed(3))


def their_logits(hooked: Any, *, mid: bool) -> list[Any]:
    _, cache = hooked.run_with_cache(TOKENS)
    stack = cache.accumulated_resid(layer=-1, incl_mid=mid)
    norm = getattr(hooked, "ln_final", torch.nn.Identity())
    return [hooked.unembed(norm(x)).detach() for x in stack]


@pytest.mark.parametrize(
    ("kind", "mid"),
    [("LN", False), ("LN", True), ("folded", False), ("RMS", True), ("none", False), ("parallel", False)],
)
def test_every_stage_is_what_transformer_lens_unembeds(twins: Any, kind: str, mid: bool) -> None:
    pair = twins(kind)
    where = stages(3, after_attention=mid)
    theirs = their_logits(pair.hooked, mid=mid)
    assert len(theirs) == len(where)
    targets = torch.full((1, 9, 1), -1)
    targets[0, :-1, 0] = TOKENS[0, 1:]
    found = lens(pair.ours, pair.ours.forward(TOKENS[:1]), where, targets, top=3)
    final = theirs[-1][0].softmax(-1)
    for one, logits in zip(found, theirs):
        p = logits[0].softmax(-1)
        assert torch.equal(one.top, p.topk(3, -1).indices)
        # single against double precision, over three layers: a few units in the sixth place
        assert torch.allclose(one.top_probability.double(), p.topk(3, -1).values, atol=1e-5)
        entropy = torch.tensor([-sum(float(q) * math.log(q) for q in row) for row in p], dtype=torch.double)
        assert torch.allclose(one.entropy.double(), entropy, atol=1e-5)
        kl = torch.tensor(
            [sum(float(f) * math.log(f / q) for f, q in zip(full, row)) for full, row in zip(final, p)],
            dtype=torch.double,
        )
        assert torch.allclose(one.kl.double(), kl, atol=1e-5)
        for place in range(8):
            wanted = int(TOKENS[0, place + 1])
            assert float(one.rank[place]) == sorted(p[place].tolist(), reverse=True).index(float(p[place, wanted])) + 1
            assert float(one.probability[place]) == pytest.approx(float(p[place, wanted]), abs=1e-5)
            assert float(one.logit[place]) == pytest.approx(float(logits[0, place, wanted]), abs=1e-4)
        assert math.isnan(float(one.rank[8]))
        assert math.isnan(float(one.probability[8]))


def test_several_targets_and_none() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0]]).expand(3, 4)
    targets = torch.tensor([[1, 2], [3, -1], [-1, -1]])
    found = read(logits, logits, targets, 9)
    p = logits[0].softmax(-1)
    assert found.rank.tolist()[:2] == [2.0, 4.0]
    assert found.logit.tolist()[:2] == [1.5, 0.0]
    assert found.probability.tolist()[:2] == pytest.approx([float(p[1] + p[2]), float(p[3])])
    assert torch.isnan(found.rank[2])
    assert found.top.shape == (3, 4)
    assert found.kl.abs().max() < 1e-7


def test_at_the_answers_of_a_batch(twins: Any) -> None:
    pair = twins("LN")
    at = torch.tensor([[7, 8]] * 5)
    answers, foils = torch.randint(0, 23, (2, 5, 2, 1), generator=torch.Generator().manual_seed(1))
    where = stages(3)
    found = at_answers(pair.ours, pair.ours.forward(TOKENS), where, at, Targets(answers, foils))
    for stage, logits in enumerate(their_logits(pair.hooked, mid=False)):
        for row in range(5):
            here = logits[row, 7:9]
            one = dict(zip(MEASURES, found[row, stage].tolist()))
            own, other = here.gather(-1, answers[row]), here.gather(-1, foils[row])
            assert one["logit_diff"] == pytest.approx(float((own - other).mean()), abs=1e-4)
            assert one["logit"] == pytest.approx(float(own.mean()), abs=1e-4)
            assert one["accuracy"] == float((here.argmax(-1) == answers[row, :, 0]).double().mean())
            assert one["rank"] == float(((here > own).sum(-1) + 1).double().mean())
    without = at_answers(pair.ours, pair.ours.forward(TOKENS), where, at, Targets(answers, None))
    assert torch.isnan(without[..., -1]).all()


def asked(**more: Any) -> LogitLens:
    return LogitLens(model="@1", prompts="@2", **more)


def test_the_operation_on_one_prompt_and_averaged(desk: Any, pair: Any) -> None:
    results = logit_lens(asked(row=2, top=4), desk)
    named = {found.title: found for found in results}
    rank = named["Logit lens, prompt 2: rank of the target"]
    assert rank.values.shape == (4, 6)
    assert rank.axes[0].labels == ("before L0", "before L1", "before L2", "final")
    row = desk.inputs["@2"].rows[1]
    assert rank.axes[1].labels == tuple(row.clean.split())
    logits = pair.hooked(torch.tensor([pair.ours.tokenizer.encode(row.clean)]))[0, -1]
    answer = pair.ours.tokenizer.encode(row.answers[0])[0]
    assert rank.values[-1, -1] == int((logits > logits[answer]).sum()) + 1
    following = int(row.clean.split()[3][1:])
    logits = pair.hooked(torch.tensor([pair.ours.tokenizer.encode(row.clean)]))[0, 2]
    assert rank.values[-1, 2] == int((logits > logits[following]).sum()) + 1
    assert named["Logit lens, prompt 2: KL from the final distribution"].values[-1] == pytest.approx(0, abs=1e-6)
    table = named["Logit lens, prompt 2: likeliest tokens"]
    assert len(table.rows) == 4 * 6
    assert table.rows[0][:4] == (0, row.clean.split()[0], "before L0", row.clean.split()[1])
    assert [column.name for column in table.columns][-1] == "top 4"
    curve = named["Logit lens at the answer: logit difference, answer - foil"].curves[0]
    differences = []
    for each in desk.inputs["@2"].rows:
        ids, answer, foil = (pair.ours.tokenizer.encode(t) for t in (each.clean, each.answers[0], each.foils[0]))
        last = pair.hooked(torch.tensor([ids]))[0, -1].detach()
        differences.append(float(last[answer[0]] - last[foil[0]]))
    assert curve.y[-1] == pytest.approx(np.mean(differences), abs=1e-4)
    error = np.std(differences, ddof=1) / math.sqrt(12)
    assert curve.low is not None
    assert curve.y[-1] - curve.low[-1] == pytest.approx(error, abs=1e-4)
    for found in results:
        assert encode(decode(encode(found))) == encode(found)


def test_after_attention_is_refused_where_nothing_stands_there(desk: Any, twins: Any) -> None:
    found = logit_lens(asked(after_attention=True), desk)[0]
    assert found.axes[0].labels[:3] == ("before L0", "after L0 attention", "before L1")
    for kind, why in (("parallel", "in parallel"), ("attention only", "no MLPs")):
        desk.inputs["@1"] = twins(kind).ours
        with pytest.raises(CallError, match=why):
            logit_lens(asked(after_attention=True), desk)


def test_prompts_without_answers_or_foils(desk: Any) -> None:
    rows = desk.inputs["@2"].rows
    plain = type(rows[0])(clean=rows[0].clean)
    desk.inputs["@2"] = Prompts(title="plain", task="x", rows=(plain,))
    results = logit_lens(asked(), desk)
    assert {found.kind for found in results} == {"matrix", "table"}
    assert math.isnan(results[0].values[0, -1])
    assert np.isfinite(results[0].values[:, :-1]).all()
    desk.inputs["@2"] = Prompts(title="no foil", task="x", rows=(type(rows[0])(clean="t1 t2", answers=("t3",)),))
    assert not any("logit difference" in found.title for found in logit_lens(asked(), desk))
    with pytest.raises(CallError, match="no prompt 2"):
        logit_lens(asked(row=2), desk)


def test_an_interrupted_lens_goes_on(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = logit_lens(asked(), desk)
    monkeypatch.setattr("engine.circuits.batching.CPU_WORK", 1e5)  # a few prompts at a time
    desk.stop_after = 2
    with pytest.raises(Exception, match="stopped by the test"):
        logit_lens(asked(), desk)
    assert len(desk.saved) == 2
    desk.stop_after = None
    resumed = logit_lens(asked(), desk)
    for one, other in zip(whole, resumed):
        if one.kind == "series":
            # batches of other shapes round differently
            assert np.allclose(one.curves[0].y, other.curves[0].y, atol=1e-5)
