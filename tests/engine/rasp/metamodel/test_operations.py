"""The meta-model as operations, through a session: train, evaluate, decode; stop and go on."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.operations import describe, parse
from engine.rasp.metamodel.architecture import decode
from engine.rasp.metamodel_operations import OPERATIONS, _scaling_text
from engine.rasp.sampling.writing import write
from sessions.artifacts import AnyArtifact, Model, Program, Series, Table, Text
from sessions.errors import CallError, CancelledError
from sessions.packing import pack, unpack
from tests.engine.rasp.conftest import Bench
from tests.engine.rasp.metamodel.conftest import SOURCE

SMALL: dict[str, Any] = {"programs": 60, "steps": 16, "batch": 8, "longest": 3}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the published size takes seconds: said once, in its own test."""
    from engine.rasp.metamodel import scaling

    made = scaling.Scaling("cpu", 60.0, 4, 5e12, 10**10)
    monkeypatch.setattr(scaling, "measure", lambda device, batch: made)


class Context:
    """A step that can be stopped: the checkpoints outlive it."""

    def __init__(self, saved: dict[str, bytes], stop_at: int = -1) -> None:
        self.seed, self.rng = 7, np.random.default_rng(7)
        self.saved, self.stop_at = saved, stop_at
        self.kept: list[bytes] = []
        self._executor = ThreadPoolExecutor(1)

    def executor(self) -> Executor:
        return self._executor

    def checkpoints(self) -> dict[str, Any]:
        return {unit: unpack(value) for unit, value in self.saved.items()}

    def checkpoint(self, unit: str, value: Any) -> None:
        self.saved[unit] = pack(value)

    def progress(self, done: int, total: int, note: str = "") -> None:
        if done == self.stop_at:
            raise CancelledError("cancelled")

    def partial(self, artifact: AnyArtifact) -> None:
        pass

    def log(self, message: str) -> None:
        pass

    def keep_weights(self, data: bytes) -> str:
        self.kept.append(data)
        return "session:" + "0" * 64


def _train(context: Context, **values: Any) -> list[AnyArtifact]:
    operation = OPERATIONS[0]
    return list(operation.function(parse(operation, values), context))  # type: ignore[arg-type]


def test_listing_the_operations_loads_no_torch() -> None:
    code = "import sys, engine.rasp.metamodel_operations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
    assert all(field.help for operation in OPERATIONS for field in describe(operation).fields)


def test_a_cancelled_training_goes_on_to_the_same_result() -> None:
    whole = Context({})
    made = _train(whole, **SMALL)
    saved: dict[str, bytes] = {}
    for stop in (7, 8, 16):
        with pytest.raises(CancelledError):
            _train(Context(saved, stop), **SMALL)
    last = Context(saved)
    again = _train(last, **SMALL)
    assert last.kept == whole.kept
    assert [c.y.tolist() for c in again[1].curves] == [c.y.tolist() for c in made[1].curves]  # type: ignore[union-attr]


def test_train_evaluate_decode(bench: Bench) -> None:
    model, series, text = bench("rasp.train_metamodel", **SMALL)
    assert isinstance(model, Model)
    assert (model.family, model.source) == ("metamodel", f"session:{model.sha256}")
    assert model.parameters == 163_648
    assert "length 3 to 3" in model.facts["programs"]
    assert isinstance(series, Series)
    assert [c.name for c in series.curves] == ["loss, training", "loss, validation", "tokens right", "programs right"]
    assert isinstance(text, Text)
    table, words = bench("rasp.evaluate_metamodel", model="@1", n=6, beam=2, candidates=4)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["3", "all"]
    assert table.rows[-1][1] == 6
    assert table.rows[-1][-1] == 0.60
    assert isinstance(words, Text)
    assert "80%" in words.markdown
    bench("rasp.compile", program="selector_width(select(tokens, tokens, ==))", vocab="0,1,2", max_len=3)
    target = bench.last - 3
    (candidates,) = bench("rasp.decode", metamodel="@1", model=f"@{target}", candidates=8)
    assert isinstance(candidates, Table)
    assert candidates.facts["candidates"] == len(candidates.rows) == sum(candidates.facts["verdicts"].values())
    assert candidates.facts["trained on such models"]
    with pytest.raises(CallError, match="a meta-model"):
        bench("rasp.decode", metamodel=f"@{target}", model=f"@{target}")
    with pytest.raises(CallError, match="a meta-model"):
        bench("rasp.decode", metamodel="@1", model="@1")
    bench("rasp.compile", program="sort", vocab="1,2,3,4", max_len=6)
    with pytest.raises(CallError, match="reads 2,560"):
        bench("rasp.decode", metamodel="@1", model=f"@{bench.last - 3}")


def test_the_right_candidate_becomes_a_program_with_a_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the meta-model writes, the program that is handed back was proved."""
    from engine.rasp.metamodel import decoding
    from engine.rasp.sampling.tokens import tokenise
    from engine.rasp.syntax import parse as parse_program

    program = "selector_width(select(tokens, tokens, ==))"
    bench("rasp.train_metamodel", **SMALL)
    bench("rasp.compile", program=program, vocab="0,1,2", max_len=3)
    lucky = decoding.Written(tuple(tokenise(parse_program(program))), -1.0)
    monkeypatch.setattr(decoding, "greedy", lambda *_: [lucky])
    table, found = bench("rasp.decode", metamodel="@1", model=f"@{bench.last - 3}", candidates=2)
    assert isinstance(table, Table)
    assert table.rows[0][1] == "same weights"
    assert isinstance(found, Program)
    assert parse_program(found.source).encoding == "categorical"
    (verdict,) = found.verdicts
    assert verdict.holds
    assert (verdict.tested, verdict.exhaustive) == (39, True)


def test_a_dataset_on_disk(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder, 60, SOURCE.plan)
    model, *_ = bench("rasp.train_metamodel", dataset=str(folder), steps=3, batch=8)
    assert isinstance(model, Model)
    assert model.facts["dataset"] == str(folder)
    table, _ = bench("rasp.evaluate_metamodel", model="@1", dataset=str(folder), n=5, candidates=0, beam=0)
    assert isinstance(table, Table)
    assert table.rows[-1][5:8] == (None, None, None)
    other = tmp_path / "other"
    write(other, 10, msgspec.structs.replace(SOURCE.plan, seed=9))
    with pytest.raises(CallError, match="not the dataset"):
        bench("rasp.evaluate_metamodel", model="@1", dataset=str(other))
    with pytest.raises(CallError, match="both given"):
        bench("rasp.train_metamodel", dataset=str(folder), longest=4)


def test_dense_models_train_too() -> None:
    context = Context({})
    made = _train(context, **SMALL | {"steps": 3}, dense=True)
    assert decode(context.kept[0]).describes["source"]["dense"] == 0.9
    assert made[0].facts["dense"] == 0.9


def test_mistakes_are_named() -> None:
    with pytest.raises(CallError, match="shorter than"):
        _train(Context({}), shortest=5, longest=4)
    with pytest.raises(CallError, match="to train on"):
        _train(Context({}), programs=5)


def test_the_scaling_note() -> None:
    from engine.rasp.metamodel.architecture import PUBLISHED, Metamodel
    from engine.rasp.metamodel.scaling import Scaling, flop_per_step, memory

    with FlopCounterMode(display=False) as counted:
        model = Metamodel(PUBLISHED)
        model(torch.zeros(1, PUBLISHED.pieces, PUBLISHED.d), torch.ones(1, 45, dtype=torch.long)).sum().backward()
    assert flop_per_step(PUBLISHED, 1, 45) == pytest.approx(counted.get_total_flops(), rel=0.1)
    assert memory(PUBLISHED, 256, 45) < 24 * 2**30  # it did fit the published GPU
    text = _scaling_text(0.05, Scaling("cpu", 60.0, 4, 5e12, 10**10))
    assert "60 s, measured with 4 rows" in text
    assert "104 hours" in text
    assert "does not fit" in _scaling_text(0.05, None)
