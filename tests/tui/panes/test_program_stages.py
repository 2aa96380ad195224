"""What belongs to a program, which column is what, and what a position of an input is in every drawing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from sessions.artifacts import Axis, Column, Graph, Matrix, Node, Points, Proof, Table, Verdict
from sessions.errors import CallError
from sessions.steps import Stored
from tests.tui.panes import program_content as content
from tui.panes.program_bench import arranged, counted, listing_of, program_of_row
from tui.panes.program_stages import STAGES, stages_of
from tui.panes.program_steps import as_written, loop_of, node_of, notes_at, point_at, row_at, sequences, walk_of
from tui.panes.program_verdicts import compared_of, proof_in_words, said_of, verdict_in_words


def test_every_artifact_of_an_extraction_finds_its_stage() -> None:
    stages = stages_of(content.program(), enumerate(content.extracted()))
    assert tuple(stage.name for stage in stages) == STAGES
    assert all(stage.there for stage in stages)
    assert [len(stage.held) for stage in stages] == [1, 1, 1, 1, 2, 0, 1]


def test_an_absent_stage_says_why_in_the_programs_own_words() -> None:
    without = content.program(**{"stage reasons": {"machine": "the states keep growing"}})
    stages = stages_of(without, enumerate(content.extracted("machine")))
    absent = [stage for stage in stages if not stage.there]
    assert [(stage.name, stage.reason) for stage in absent] == [("machine", "the states keep growing")]


def test_what_an_older_file_holds_is_told_by_its_kind() -> None:
    bare = [
        (1, msgspec.structs.replace(content.machine(), facts={})),
        (2, msgspec.structs.replace(content.states(), facts={})),
    ]
    stages = {stage.name: stage for stage in stages_of(msgspec.structs.replace(content.program(), proofs=()), bare)}
    assert [number for number, _ in stages["machine"].held] == [1]
    assert [number for number, _ in stages["states"].held] == [2]
    assert stages["proof"].reason == "nothing has been proved of this program"


# ---- verdicts


def verdict(agreed: int = 1024, exhaustive: bool = True, domain: str = "all 1,024 bit sequences") -> Verdict:
    wrong = "" if agreed == 1024 else "0110 gives 1"
    return Verdict(
        against="the network", agreed=agreed, tested=1024, exhaustive=exhaustive, domain=domain, counterexample=wrong
    )


def test_a_sample_is_never_said_to_be_all_there_is() -> None:
    assert verdict_in_words(verdict()).text == "network: all 1,024 bit sequences"
    sampled = verdict_in_words(verdict(exhaustive=False, domain="1,024 random bit sequences"))
    assert "all" not in sampled.text.replace("a sample", "")
    assert "a sample" in sampled.text
    assert "all" not in sampled.short


def test_a_failure_says_how_many_agree_and_where_they_part() -> None:
    said = verdict_in_words(verdict(agreed=1000))
    assert said.mark == "no"
    assert "1,000 of 1,024 agree" in said.text
    assert "0110 gives 1" in said.text


@pytest.mark.parametrize(
    ("proof", "mark", "words"),
    [
        (Proof(claim="c", status="proved", every_length=True, method="induction"), "yes", "proved by induction"),
        (Proof(claim="c", status="not proved", every_length=True, reason="no invariant"), "open", "no invariant"),
        (Proof(claim="c", status="refuted", every_length=True, counterexample="0 1"), "no", "refuted by 0 1"),
    ],
)
def test_a_proof_says_how_or_why_not(proof: Proof, mark: str, words: str) -> None:
    said = proof_in_words(proof)
    assert said.mark == mark
    assert said.text.startswith("every length: ")
    assert words in said.text


def test_two_proofs_about_every_length_are_told_apart_by_their_claims() -> None:
    proofs = tuple(Proof(claim=claim, status="proved", every_length=True) for claim in ("one", "other"))
    said = said_of(msgspec.structs.replace(content.program(), verdicts=(), proofs=proofs))
    assert [line.text for line in said] == ["one: proved", "other: proved"]


def test_of_two_programs_each_line_names_its_own() -> None:
    assert all(line.text.startswith("@7 ") for line in compared_of(content.program(), "@7"))


# ---- an input stepped through


def test_columns_are_told_by_their_names() -> None:
    walk = walk_of(content.side_by_side())
    named = {role: [walk.table.columns[at].name for at in places] for role, places in walk.roles.items()}
    assert named == {
        "position": ["position"], "input": ["p", "q"], "hidden": ["h1", "h2"], "network": ["network output"],
        "state": ["state"], "variable": ["c"], "program": ["program output"], "agree": ["agree"],
    }  # fmt: skip


def test_roles_that_the_table_says_come_first() -> None:
    roles = {"input": ["a"], "hidden": ["b"], "variable": ["no such column"]}
    columns = (Column("a", "int"), Column("b", "float"))
    walk = walk_of(Table(title="Side by side", columns=columns, rows=((1, 0.5),), facts={"roles": roles}))
    assert walk.values(0, "input") == {"a": 1}
    assert walk.values(0, "hidden") == {"b": 0.5}
    assert walk.values(0, "variable") == {}


def test_of_a_ribbon_with_little_room_inputs_and_outputs_stay() -> None:
    walk = walk_of(content.side_by_side())
    assert [row.role for row in walk.rows(4)] == ["input", "input", "network", "program"]
    assert len(walk.rows()) == 9


def test_where_the_outputs_part_is_found() -> None:
    assert walk_of(content.side_by_side()).first_difference() is None
    assert walk_of(content.side_by_side(wrong_from=5)).first_difference() == 5


def test_the_code_says_what_each_line_did() -> None:
    loop = loop_of(content.ADDER)
    assert loop is not None
    walk = walk_of(content.side_by_side())
    assert notes_at(walk, 1, loop) == {5: "p = 1, q = 1", 6: "y = 0", 7: "c: 0 → 1", 8: "puts out 0"}
    assert notes_at(walk, 0, loop)[7] == "c = 0"  # as it was before the loop


@pytest.mark.parametrize("source", ["def f(:", "x = 1\n", ""])
def test_a_text_without_a_loop_has_no_lines_to_note(source: str) -> None:
    assert loop_of(source) is None


def test_the_row_of_the_truth_table_is_that_of_the_old_state_and_the_input() -> None:
    table, walk = content.truth_table(), walk_of(content.side_by_side())
    for position in range(walk.length):
        row = row_at(table.columns, table.rows, walk, position, loop_of(content.ADDER))
        assert row is not None
        before = walk.values(position - 1, "variable")["c"] if position else 0
        read = walk.values(position, "input")
        assert table.rows[row][:3] == (before, read["p"], read["q"])
        assert table.rows[row][4] == walk.values(position, "program")["program output"]


def test_a_hidden_state_is_found_in_its_drawing() -> None:
    walk = walk_of(content.side_by_side())
    assert point_at(walk, 0, content.states()) == pytest.approx((-0.746, 0.497))
    mean, axes = [0.5, 0.25], [[0.0, 1.0], [1.0, 0.0]]
    turned = Points(
        title="", xy=np.eye(2), axis_names=("PC1", "PC2"), facts={"projection": {"mean": mean, "axes": axes}}
    )
    assert point_at(walk, 0, turned) == pytest.approx((0.497 - 0.25, -0.746 - 0.5))
    assert point_at(walk, 0, msgspec.structs.replace(turned, facts={})) is None


def test_a_state_is_found_by_id_by_label_and_by_a_points_words() -> None:
    graph = content.machine()
    assert [node_of(graph, word) for word in ("1", "c=1", "state 1, after 3 inputs", "c=7")] == ["1", "1", "1", ""]
    assert node_of(Graph(title="", nodes=(Node("a", "a", 0),), edges=()), "") == ""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("0 1 1", [0, 1, 1]),
        ("[0, 1, 1]", [0, 1, 1]),
        ("0110", [0, 1, 1, 0]),
        ("12 -3", [12, -3]),
        ("0 1 | 1 0", [[0, 1], [1, 0]]),
        ("[[0,1],[1,0]]", [[0, 1], [1, 0]]),
        ("01 1; 101", [[0, 1, 1], [1, 0, 1]]),
        ("1101", [1, 1, 0, 1]),
        ("10 11", [10, 11]),
        ("7 | 8", [[7], [8]]),
    ],
)
def test_an_input_is_read_as_it_is_written(text: str, read: object) -> None:
    assert sequences(text) == read
    assert sequences(as_written(read)) == read


@pytest.mark.parametrize("text", ["", " | ", "0 1 | 1", "a b", "1.5"])
def test_what_is_no_input_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(CallError):
        sequences(text)


# ---- the benchmark


def test_a_narrow_benchmark_has_what_matters_first_and_loses_nothing() -> None:
    table = content.benchmark()
    columns, rows = arranged(table)
    assert [column.name for column in columns][:5] == ["#", "task", "solved", "length", "every length"]
    assert {column.name for column in columns} == {column.name for column in table.columns}
    for before, after in zip(table.rows, rows, strict=True):
        named = {c.name: v for c, v in zip(table.columns, before, strict=True)}
        assert [named[c.name] for c in columns] == list(after)


def test_a_running_benchmark_counts_what_is_done_and_solved() -> None:
    assert counted(content.benchmark(done=5)) == "5 of 62 done, 4 solved; of all MIPS 31, GPT-4 41"


def test_a_row_without_an_artifact_is_found_in_the_text_of_all_programs() -> None:
    found = listing_of(content.programs_text(), "Base_3_Addition")
    assert found is not None
    assert found.source == content.ADDER
    assert [line.mark for line in found.said] == ["yes", "open"]
    assert listing_of(content.programs_text(), "Base_5_Addition") is None
    assert listing_of(content.programs_text(), "Base_3") is None


def test_what_was_shown_of_the_network_afterwards_finds_its_stage() -> None:
    before, after = content.weights(), content.weights("normal form")
    both = msgspec.structs.replace(
        before, values=np.stack([before.values, after.values]), facts={},
        axes=(Axis("stage", ("before", "after quantize")), *before.axes),
    )  # fmt: skip
    stages = {s.name: s for s in stages_of(content.program(), [(4, both)], {4: "normal form"})}
    assert [number for number, _ in stages["normal form"].held] == [4]
    shown = stages["weights"].held[0][1]
    assert isinstance(shown, Matrix)
    assert np.array_equal(shown.values, before.values)


def test_the_program_of_a_row_is_that_of_its_task() -> None:
    left = [
        Stored(id=i, step=1, kind="program", title=f"Program {name}", summary="", sha256="", bytes=0)
        for i, name in ((7, "Binary_Addition"), (9, "Bitwise_Xor"))
    ]
    table = content.benchmark()
    assert [program_of_row(table, row, left) for row in (0, 6, 1)] == [7, 9, None]
    told = msgspec.structs.replace(table, facts={"programs": {"Base_3_Addition": 1, "7": 7}})
    assert [program_of_row(told, row, left) for row in (1, 6)] == [9, 7]
