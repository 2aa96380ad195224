"""`synthesis.prove` and `synthesis.compare` as a person calls them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.synthesis.checks.operations import CompareParams, ProveParams, compare_programs, prove_program
from engine.synthesis.checks.smtlib import answers
from engine.synthesis.tasks.specifications import SPECIFICATIONS
from sessions.artifacts import Program, Table
from sessions.errors import CallError
from tests.engine.synthesis.checks.variants import VARIANTS, program


class Shelf:
    """A Context that knows some programs."""

    def __init__(self, **programs: str) -> None:
        self.held = {f"@{name}": Program(title=name, source=text) for name, text in programs.items()}

    def artifact(self, ref: str) -> Any:
        return self.held[ref]

    def progress(self, done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total


def test_a_proof_comes_with_its_texts() -> None:
    shelf = Shelf(sum=VARIANTS["Binary_Addition"])
    table, smt, dafny = prove_program(ProveParams(program="@sum", task="Binary_Addition"), shelf)  # type: ignore[arg-type]
    assert isinstance(table, Table)
    assert isinstance(smt, Program)
    assert isinstance(dafny, Program)
    assert [row[1] for row in table.rows] == ["proved", "proved"]
    assert [row[0] for row in table.rows] == [
        "equal to the specification of Binary_Addition on every sequence of 10 elements",
        "equal to the specification of Binary_Addition on every sequence of 2-tuples of 0..1, of every length",
    ]
    assert (smt.language, dafny.language) == ("smt2", "dafny")
    assert smt.facts["stage"] == "proof"
    assert answers(smt.source) == ("unsat",) * 3
    assert "to 3 of them" in smt.summary


def test_other_numbers_than_the_tasks_may_be_asked_for() -> None:
    shelf = Shelf(m=VARIANTS["Max_Seen"])
    below = ProveParams(program="@m", task="Max_Seen", low=-5, high=5)
    (table,) = prove_program(below, shelf)  # type: ignore[arg-type]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == ["refuted", "refuted"]  # it starts at 0
    assert table.rows[0][3].startswith("-")  # type: ignore[union-attr]


def test_two_programs_are_compared() -> None:
    shelf = Shelf(a=VARIANTS["Div_5"], b=SPECIFICATIONS["Div_5"], c=SPECIFICATIONS["Div_7"])
    (same,) = compare_programs(CompareParams(program="@a", other="@b"), shelf)  # type: ignore[arg-type]
    (different,) = compare_programs(CompareParams(program="@a", other="@c"), shelf)  # type: ignore[arg-type]
    assert isinstance(same, Table)
    assert isinstance(different, Table)
    assert same.summary == "length 10: proved; every length: proved"
    assert different.summary == "length 10: refuted; every length: refuted"
    assert "equal to @b" in str(same.rows[0][0])
    specified = ProveParams(program="@a", specification="@b")
    table, *texts = prove_program(specified, shelf)  # type: ignore[arg-type]
    assert table.summary == same.summary
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"program": "@a"}, "give either"),
        ({"program": "@a", "task": "Div_5", "specification": "@a"}, "give either"),
        ({"program": "@a", "task": "Div_4"}, "not a task"),
        ({"program": "@a", "task": "Div_5", "low": 3}, "low <= high"),
        ({"program": "@r", "task": "Div_5"}, "not a Python program"),
    ],
)
def test_mistakes_are_named(asked: dict[str, Any], why: str) -> None:
    shelf = Shelf(a=program("", "y = x"))
    shelf.held["@r"] = Program(title="r", source="aggregate(...)", language="rasp")
    with pytest.raises(CallError) as caught:
        prove_program(ProveParams(**asked), shelf)  # type: ignore[arg-type]
    assert why in f"{caught.value} {caught.value.remedy}"
