"""The draft as plain values: its parameters, which step is about it, the mistake in it, what it would become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sessions.artifacts import Table
from sessions.steps import Step
from tests.tui.panes import rasp_content as content
from tui.panes.program_lines import Origin, lines_with, notes_of, origins_of, selected_by, told_of, unread_of
from tui.panes.rasp_draft import Draft, arranged, draft_of, mistake_in, restored, sizes_of
from tui.widgets.code_lines import Mistake

DRAFT = Draft(text=content.TEXT, vocab="a,b", max_len="3", causal="false", inputs="[a,b]")


def step(operation: str = "rasp.compile", **parameters: Any) -> Step:
    return Step(
        id=1, operation=operation, version=1, parameters=parameters, given=(), seed=0, key="k", status="done",
        created=0.0,
    )  # fmt: skip


def test_what_is_left_empty_is_left_to_the_operation() -> None:
    assert Draft(text="x").values() == {"program": "x"}
    assert DRAFT.values() == {"program": content.TEXT, "vocab": "a,b", "max_len": "3", "causal": "false"}


def test_a_trace_takes_no_length_and_the_model_if_there_is_one() -> None:
    assert DRAFT.traced_with(None) == {"inputs": "[a,b]", "program": content.TEXT, "vocab": "a,b", "causal": "false"}
    assert DRAFT.traced_with(4)["model"] == "@4"
    assert Draft(inputs="[1]").traced_with(4) == {"inputs": "[1]", "model": "@4"}


@pytest.mark.parametrize(
    ("parameters", "same"),
    [
        ({"program": content.TEXT, "vocab": "a,b", "max_len": 3, "causal": False}, True),
        ({"program": content.TEXT.strip(), "vocab": "a,b", "max_len": 3, "causal": False}, True),
        ({"program": content.TEXT, "vocab": "a,b"}, True),  # a trace, which takes no length
        ({"program": content.TEXT, "vocab": "a,b,c", "max_len": 3, "causal": False}, False),
        ({"program": content.TEXT, "vocab": "a,b", "max_len": 4, "causal": False}, False),
        ({"program": content.TEXT, "vocab": "a,b", "max_len": 3, "causal": True}, False),
        ({"program": "hist", "vocab": "a,b", "max_len": 3, "causal": False}, False),
        ({}, False),
    ],
)
def test_which_steps_are_about_the_draft(parameters: dict[str, Any], same: bool) -> None:
    assert DRAFT.made(step(**parameters)) is same


def test_a_draft_survives_the_session_file_and_what_another_version_wrote_is_left() -> None:
    assert restored(msgspec.to_builtins(DRAFT)) == DRAFT
    assert restored({"text": 3}) == Draft()
    assert restored(None) == Draft()


def test_a_draft_of_a_known_program() -> None:
    assert draft_of("x", {"vocab": [1, 2], "max_len": 4, "causal": True}) == Draft(
        text="x\n", vocab="1,2", max_len="4", causal="true"
    )
    assert draft_of("x\n", {}) == Draft(text="x\n")


def test_a_mistake_and_its_place() -> None:
    (wrong,) = content.checked({"program": content.WRONG})
    assert isinstance(wrong, Table)
    message = "'selector_wdth' is not defined; did you mean 'selector_width'?"
    assert mistake_in(wrong) == Mistake(2, 8, 13, message)
    somewhere = msgspec.structs.replace(wrong, facts={"error": {"message": "too large", "line": 0, "column": 0}})
    found = mistake_in(somewhere)
    assert found is not None
    assert found.line > 1000  # under the last line, whatever it is
    (right,) = content.checked({"program": content.TEXT})
    assert isinstance(right, Table)
    assert mistake_in(right) is None


def test_the_model_that_would_come_out() -> None:
    (table,) = content.checked({"program": content.TEXT})
    assert isinstance(table, Table)
    assert sizes_of(table) == "1 layer · 1 head · width 12 · hidden 7 · 1,234 parameters · 0.8 ms"
    assert [c.name for c in arranged(table).columns][:5] == ["name", "values", "layer", "component", "encoding"]
    assert len(arranged(table).columns) == len(table.columns)
    assert arranged(table).rows[1][:4] == ("hist", "0, 1, 2, 3", 0, "L0H0, mlp0")


# ---- the lines of a program


def test_each_line_says_its_weights_and_each_part_its_lines() -> None:
    origins = origins_of(content.program(decompiled=True))
    assert notes_of(origins) == {1: "L0H0", 2: "not read · L0H0 · mlp0 units 0-6 · 5 directions"}
    assert lines_with(origins, origins[1].parts[0]) == {1, 2}
    assert lines_with(origins, origins[1].parts[1]) == {2}
    assert selected_by(origins, 2) == {"layer": 0, "head": 0}
    assert selected_by(origins, 7) is None
    assert told_of(origins, 2) == [
        "line 2: hist", "not read from the weights", "in L0H0, mlp0", "hidden units 0-6 of mlp0",
        "residual directions 3, 4, 5, 6, 7",
    ]  # fmt: skip


def test_an_mlp_is_chosen_where_a_line_has_no_head() -> None:
    assert selected_by([Origin(line=1, components=("embed",)), Origin(line=1, components=("mlp2",))], 1) == {
        "layer": 2,
        "head": None,
    }
    assert selected_by([Origin(line=1, components=("embed",))], 1) is None


def test_facts_that_cannot_be_read_say_nothing() -> None:
    odd = [{"line": "two"}, 3, {"line": 1, "units": [1]}, {"line": 4, "components": ["nothing", "mlp1"], "units": None}]
    program = msgspec.structs.replace(content.program(), facts={"lines": odd, "unread": "x"})
    (origin,) = origins_of(program)
    assert [str(part) for part in origin.parts] == ["mlp1"]
    assert unread_of(program) == ()
