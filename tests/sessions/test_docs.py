"""The pages on recipes and on the session file say what is so."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessions.errors import CallError
from sessions.file import SessionFile
from sessions.recipes import parse
from sessions.schema import APPLICATION_ID, SCHEMA_VERSION
from sessions.steps import Environment

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def test_the_recipe_shown_is_a_recipe() -> None:
    (text,) = blocks("recipes.md", "toml")
    assert [step.id for step in parse(text).steps] == ["model", "prompts", "sweep"]
    page = (DOCS / "recipes.md").read_text()
    for change in (('"@model"', '"@modle"'), ("seed =", "sede =")):
        with pytest.raises(CallError) as raised:
            parse(text.replace(*change), "tour.toml")
        assert str(raised.value).partition(": ")[2] in page


@pytest.fixture
def file(tmp_path: Path, kinds: dict[str, Any]) -> Path:
    path = tmp_path / "mine.iwb"
    with SessionFile.open(path, create=True) as session:
        step = session.add_step(operation="x.y", version=1, parameters={"n": 1}, seed=2, key="k", inputs={})
        session.finish(step.id, list(kinds.values()), seconds=0.5, environment=Environment())
    return path


def test_the_program_shown_reads_a_session_file_without_iwb(file: Path) -> None:
    (program,) = blocks("session_file.md", "python")
    assert "iwb" not in program
    done = subprocess.run([sys.executable, "-P", "-c", program, str(file)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "1 x.y done"
    assert "  @3 matrix: Zero ablation of every head" in lines
    assert "      (2, 3) float32" in lines


def test_the_tables_described_are_those_there_are(file: Path) -> None:
    page = (DOCS / "session_file.md").read_text()
    assert f"`{APPLICATION_ID:#x}`" in page
    assert f"the format's version, {SCHEMA_VERSION}." in page
    with sqlite3.connect(file) as session:
        tables = [name for (name,) in session.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name for table in tables for _, name, *_ in session.execute(f"PRAGMA table_info({table})")}
    assert all(f"`{table}`" in page for table in tables)
    told = {name for line in page.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert told <= columns | set(tables)
