"""The benchmark as an operation: rows, totals, resuming, mistakes; all 62 networks in the slow test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.operations import parse
from engine.synthesis.operations import OPERATIONS
from engine.synthesis.routes.benchmark_operations import ZOO, benchmark
from engine.synthesis.tasks.benchmark import TASKS
from sessions.artifacts import Table, Text
from sessions.errors import CallError
from tests.engine.synthesis.conftest import Desk

BENCHMARK = next(o for o in OPERATIONS if o.name == "synthesis.benchmark")


def run(desk: Any, **values: Any) -> tuple[Table, Table, Text]:
    results, seconds, programs = benchmark(parse(BENCHMARK, values), desk)  # type: ignore[arg-type]
    assert isinstance(results, Table)
    assert isinstance(seconds, Table)
    assert isinstance(programs, Text)
    return results, seconds, programs


def named(table: Table) -> list[dict[str, Any]]:
    return [dict(zip((c.name for c in table.columns), row)) for row in table.rows]


def test_two_tasks_are_solved_tested_and_proved() -> None:
    results, seconds, programs = run(Desk(), tasks=["Parity_All", "Div_3"])
    rows = named(results)
    assert [row["task"] for row in rows] == ["Parity_All", "Div_3"]
    for row in rows:
        assert (row["solved"], row["table"], row["network"], row["target"]) == ("yes", "no", "yes", "yes")
        assert (row["its length"], row["every length"]) == ("proved", "proved")
    assert [(row["MIPS"], row["GPT-4"]) for row in rows] == [("yes", "no"), ("no", "partly")]
    assert results.summary.startswith("2 of 2 solved, 2 proved for every length")
    assert [row["task"] for row in named(seconds)] == ["Parity_All", "Div_3", "all"]
    assert "def f(s):" in programs.markdown


def test_a_finished_task_is_not_done_again() -> None:
    desk = Desk()
    first = run(desk, tasks=["Parity_All"])[0]
    assert set(desk.saved) == {"Parity_All"}
    assert run(desk, tasks=["Parity_All"])[0].rows == first.rows  # the desk refuses a second checkpoint


def test_a_missing_network_is_a_row_that_says_so(tmp_path: Path) -> None:
    (row,) = named(run(Desk(), tasks=["Div_3"], folder=str(tmp_path))[0])
    assert row["solved"] == "no"
    assert row["route"] == "open: there is no network in the folder"


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(CallError, match="Div_3"):
        run(Desk(), tasks=["Div3"])
    with pytest.raises(CallError, match="not a folder"):
        run(Desk(), folder="/nowhere/at/all")


def test_there_is_a_bundled_network_for_every_task() -> None:
    assert [task.name for task in TASKS if not (ZOO / f"{task.name}.safetensors").exists()] == []


@pytest.mark.slow
def test_every_bundled_network_is_solved_and_proved() -> None:
    results = run(Desk())[0]
    assert results.facts["solved"] == 62
    assert results.facts["proved for every length"] == 62
    assert results.facts["with a table"] == 0
