"""The published table against the totals that the paper and the specification tell of it."""

from __future__ import annotations

from engine.synthesis.tasks.benchmark import TASKS
from engine.synthesis.tasks.published import PUBLISHED, TOTALS


def numbers(names: list[str]) -> list[int]:
    return [t.number for t in TASKS if t.name in names]


def test_totals_are_those_of_the_rows() -> None:
    rows = PUBLISHED.values()
    mips = {name for name, row in PUBLISHED.items() if row.mips}
    gpt4 = {name for name, row in PUBLISHED.items() if row.gpt4 != "no"}
    assert (len(mips), len(gpt4)) == (32, 30)
    assert sum(row.gpt4 == "yes" for row in rows) == 20
    assert (len(mips | gpt4), 62 - len(mips | gpt4)) == (43, 19)
    assert numbers(sorted(mips - gpt4)) == [1, 12, 14, 15, 18, 19, 30, 31, 32, 48, 59, 60, 61]
    assert numbers(sorted(gpt4 - mips)) == [5, 34, 35, 36, 37, 40, 42, 44, 46, 49, 58]
    assert TOTALS == {
        "MIPS": 32, "GPT-4": 30, "GPT-4 strict": 20, "either": 43, "MIPS only": 13, "GPT-4 only": 11, "neither": 19
    }  # fmt: skip


def test_networks_are_those_of_the_table() -> None:
    assert sum(row.hidden == 1 for row in PUBLISHED.values()) == 17
    largest = max(PUBLISHED, key=lambda name: PUBLISHED[name].hidden)
    assert (largest, PUBLISHED[largest].hidden, PUBLISHED[largest].f_width) == ("Dithering", 81, 166)
    assert [name for name, row in PUBLISHED.items() if row.g_depth > 1] == ["Abs_Diff"]
    assert {name for name, row in PUBLISHED.items() if row.f_depth == 3} == {"Evens_Counter", "Majority_0_3"}
    assert PUBLISHED["Div_3"][:4] == (2, 59, 2, 10)
    assert PUBLISHED["Parity_Last2"][:4] == (1, 229, 2, 10)
    assert {row.thousand_steps for row in PUBLISHED.values()} == {10, 20}
