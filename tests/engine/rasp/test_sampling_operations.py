"""The sampling operations: what they hand back, and what they say about it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.operations import Operation, describe, parse
from engine.rasp.sampling.dataset import read
from engine.rasp.sampling.tokens import detokenise
from engine.rasp.sampling_operations import OPERATIONS
from engine.rasp.syntax import parse as parse_program
from sessions.artifacts import AnyArtifact, Table, Text
from sessions.codec import decode, encode
from sessions.errors import CallError


class Context:
    """Only what these operations may ask for."""

    def __init__(self, seed: int = 0, executor: Executor | None = None) -> None:
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self._executor = executor or ThreadPoolExecutor(1)
        self.logged: list[str] = []
        self.done: list[tuple[int, int]] = []

    def executor(self) -> Executor:
        return self._executor

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.done.append((done, total))

    def log(self, message: str) -> None:
        self.logged.append(message)


def run(name: str, context: Context, **values: Any) -> list[AnyArtifact]:
    operation = next(o for o in OPERATIONS if o.name == name)
    made = list(operation.function(parse(operation, values), context))  # type: ignore[arg-type]
    assert [decode(encode(a)).title for a in made] == [a.title for a in made]
    assert tuple(a.kind for a in made) == operation.gives
    return made


def test_listing_the_operations_loads_no_torch() -> None:
    code = "import sys, engine.rasp.sampling_operations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_every_parameter_has_help(operation: Operation) -> None:
    assert all(field.help for field in describe(operation).fields)


def test_sample_gives_programs_with_their_lengths() -> None:
    context = Context(seed=3)
    (table,) = run("rasp.sample", context, n=30, length=5)
    assert isinstance(table, Table)
    names = [c.name for c in table.columns]
    rows = [dict(zip(names, row)) for row in table.rows]
    assert len(rows) == 30
    for row in rows:
        assert row["length"] == 5
        assert row["operations"] in (3, 4)
        ids = [int(i) for i in str(row["token ids"]).split()]
        assert row["tokens"] == len(ids)
        assert detokenise(ids).encoding == row["output"] == parse_program(str(row["program"])).encoding
        assert len(str(row["classes"]).split(", ")) == row["operations"]
    assert sum(table.facts["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert table.facts["draws"] == 30 + table.facts["repeated_tokens"] + table.facts["repeated_behaviour"]
    assert context.done[-1] == (30, 30)
    assert "a second" in context.logged[-1]
    assert run("rasp.sample", Context(seed=3), n=30, length=5)[0].rows == table.rows  # type: ignore[union-attr]


def test_the_published_shares_stand_beside_ours() -> None:
    (table,) = run("rasp.sample", Context(), n=10, length=6)
    assert table.facts["published_shares"]["Map"] == 0.37


def test_dataset_writes_a_folder_and_goes_on(tmp_path: Path) -> None:
    context = Context(seed=1)
    values = {"folder": str(tmp_path / "data"), "n": 40, "shard_size": 20, "longest": 5}
    table, text = run("rasp.dataset", context, **values)
    assert isinstance(table, Table)
    assert isinstance(text, Text)
    assert sum(int(row[1]) for row in table.rows) == 40  # type: ignore[arg-type]
    assert len(list(read(tmp_path / "data"))) == 40
    assert "**40 programs**" in text.markdown
    assert "CPU-hours (published: 1,000)" in context.logged[0]
    again = Context(seed=1)
    same, _ = run("rasp.dataset", again, **values)
    assert same.rows == table.rows  # type: ignore[union-attr]
    assert "nothing was made" in again.logged[0]
    with pytest.raises(CallError, match="other settings"):
        run("rasp.dataset", Context(seed=2), **values)


def test_lengths_the_wrong_way_round() -> None:
    with pytest.raises(CallError, match="shorter than"):
        run("rasp.dataset", Context(), folder="x", shortest=6, longest=5)
