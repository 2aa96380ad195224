"""Programs to models and back to answers, as a person calls them: through a session, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sessions.artifacts import Graph, Matrix, Model, Program, Prompts, Series, Table
from sessions.errors import CallError
from tests.engine.rasp.conftest import Bench

HIST = "same = select(tokens, tokens, ==)\nhist = selector_width(same)"


def test_a_library_program_becomes_a_model_that_agrees_with_the_interpreter(bench: Bench) -> None:
    model, program, graph, table = bench("rasp.compile", program="sort", vocab="1,2,3,4", max_len=4)
    assert isinstance(model, Model)
    assert model.source == f"session:{model.sha256}"
    assert isinstance(program, Program)
    (verdict,) = program.verdicts
    assert verdict.holds
    assert (verdict.tested, verdict.exhaustive) == (4 + 16 + 64 + 256, True)
    of_line = {record["line"]: record for record in program.facts["lines"]}
    assert {of_line[at]["name"] for at in (1, 3, 5)} == {"sequence_map_5", "target_pos", "sort"}
    for selector in (2, 4):  # a selector is the head that computes it, and has no directions
        assert of_line[selector]["components"] == of_line[selector + 1]["components"][:1]
        assert of_line[selector]["dims"] == []
    assert isinstance(graph, Graph)
    assert ("L2H0", "logits") in {(edge.source, edge.target) for edge in graph.edges}
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == ["tokens", "indices", "sequence_map_5", "target_pos", "sort"]  # as written
    widths = [row[[c.name for c in table.columns].index("directions")] for row in table.rows]
    assert all(widths)


@pytest.mark.parametrize(("given", "said"), [("sortt", "did you mean 'sort'"), ("nonsense", "the library has length")])
def test_one_unknown_word_is_looked_for_in_the_library(bench: Bench, given: str, said: str) -> None:
    with pytest.raises(CallError, match=said):
        bench("rasp.compile", program=given, vocab="1,2")


def test_a_program_without_a_title_is_called_what_its_output_is_called(bench: Bench) -> None:
    model, *_ = bench("rasp.compile", program=HIST, vocab="a,b", max_len=2)
    assert model.title == "hist"


def test_interpreter_and_weights_say_the_same(bench: Bench) -> None:
    bench("rasp.compile", program=HIST, vocab="a,b", max_len=4)
    (both,) = bench("rasp.run", program="@2", model="@1", inputs='[["a","b","a"],["b"]]')
    assert isinstance(both, Table)
    assert both.rows == (("[a, b, a]", "[2, 1, 2]", "[2, 1, 2]", True), ("[b]", "[1]", "[1]", True))


@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"rotate": True}, {"rotate": True, "layer_norm": True}, {"keep": 0.95}, {"pack": True},
     {"construction": "original"}, {"causal": True}],
    ids=str,
)  # fmt: skip
def test_every_option_keeps_the_function(bench: Bench, options: dict[str, object]) -> None:
    _, program, _, _ = bench("rasp.compile", program=HIST, vocab="a,b,c", max_len=4, **options)
    assert isinstance(program, Program)
    assert program.verdicts[0].holds, program.verdicts[0]
    (table,) = bench("rasp.run", model="@1", inputs="a b a")
    assert isinstance(table, Table)
    assert table.rows[0][1] == ("[1, 1, 2]" if options.get("causal") else "[2, 1, 2]")


def test_a_trace_shows_every_value_selector_and_pattern(bench: Bench) -> None:
    bench("rasp.compile", program=HIST, vocab="a,b", max_len=4)
    values, selectors, patterns = bench("rasp.trace", model="@1", inputs='["a","b","a"]')
    assert isinstance(values, Table)
    assert values.rows[-1] == ("hist", "SelectorWidth", "2", "1", "2")
    assert isinstance(selectors, Matrix)
    np.testing.assert_array_equal(selectors.values[0], [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    assert selectors.axes[0].labels == ("same L0H0",)
    assert isinstance(patterns, Matrix)
    # a query attends to its matches and to the beginning token alike
    np.testing.assert_allclose(patterns.values[0, 1], [1 / 3, 1 / 3, 0, 1 / 3], atol=1e-6)
    assert patterns.facts["decoded"] == [2, 1, 2]


def test_a_compiled_model_can_be_swept_and_its_circuit_is_found(bench: Bench) -> None:
    bench("rasp.compile", program="reverse", vocab="a,b,c", max_len=4)
    (prompts,) = bench("rasp.prompts", model="@1", n=20)
    assert isinstance(prompts, Prompts)
    assert len(prompts.rows) == 20
    assert all(row.answers[0] == row.clean.split()[0] for row in prompts.rows)
    swept = bench("circuits.head_sweep", model="@1", prompts=f"@{bench.last}", ablation="zero", metric="accuracy")
    matrix = next(a for a in swept if isinstance(a, Matrix))
    assert np.nanmax(np.abs(matrix.values)) > 0.2  # without the head that copies, the answer is lost


def test_a_mistake_says_where_it_is(bench: Bench) -> None:
    (table,) = bench.look("rasp.check", program="a = select(tokens, tokens, ==)\nb = selector_widht(a)", vocab="a,b")
    assert isinstance(table, Table)
    error = table.facts["error"]
    assert error["line"] == 2
    assert "selector_width" in error["message"]
    (table,) = bench.look("rasp.check", program=HIST, vocab="a,b")
    assert isinstance(table, Table)
    assert table.facts["error"] is None
    assert table.facts["layers"] == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"program": HIST, "vocab": ""}, "vocabulary is missing"),
        ({"program": HIST, "vocab": "1,1"}, "twice"),
        ({"program": HIST, "vocab": "[1,"}, "cannot be read"),
        ({"program": "aggregate(select(tokens, tokens, ==)", "vocab": "a"}, "never closed"),
        ({"program": "length + 1\nlength", "vocab": "a,b"}, "length"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_refused_in_a_sentence(bench: Bench, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        bench("rasp.compile", **values)


@pytest.mark.parametrize("operation", ["rasp.run", "rasp.trace"])
@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("selector_width(select(map(lambda x: None, tokens), tokens, ==))", "key is None"),
        ("map(lambda x: 1 / 0, tokens)", "division by zero"),
        ("map(lambda x: x < 'a', tokens)", "not supported"),
    ],
)
def test_a_program_that_is_not_defined_on_an_input_says_so(
    bench: Bench, operation: str, program: str, sentence: str
) -> None:
    with pytest.raises(CallError, match=sentence):
        bench(operation, program=program, inputs="[1, 2]")


def test_inputs_that_do_not_fit_are_refused(bench: Bench) -> None:
    bench("rasp.compile", program=HIST, vocab="a,b", max_len=3)
    for inputs, sentence in [
        ("a b c", "'c' is not in the vocabulary"),
        ("a a a a", "4 tokens"),
        ("[[1,", "cannot be read"),
    ]:
        with pytest.raises(CallError, match=sentence):
            bench("rasp.run", model="@1", inputs=inputs)
    with pytest.raises(CallError, match="neither"):
        bench("rasp.run", inputs="a")


def test_a_file_of_text_becomes_part_of_the_session(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "h.rasp").write_text(HIST)
    bench("rasp.compile", program=f"@{tmp_path / 'h.rasp'}", vocab="a,b", max_len=3)
    assert bench.parameters()["program"] == HIST
    assert json.dumps(bench.parameters())


@pytest.mark.parametrize("options", [{}, {"rotate": True}, {"construction": "original"}], ids=str)
def test_a_compiled_model_gives_its_program_back(bench: Bench, options: dict[str, object]) -> None:
    bench("rasp.compile", program=HIST, vocab="a,b,c", max_len=4, **options)
    program, parts = bench("rasp.decompile", model="@1")
    assert isinstance(program, Program)
    assert "selector_width(" in program.source
    assert program.verdicts[0].holds
    assert program.verdicts[0].exhaustive
    assert program.facts["unread"] == []
    (record,) = [r for r in program.facts["lines"] if "mlp0" in r["components"]]
    assert record["components"] == ["L0H0", "mlp0"]
    assert record["read"]
    assert "selector_width" in program.source.splitlines()[record["line"] - 1]
    assert isinstance(parts, Table)
    model, *_ = bench("rasp.compile", program=f"@{bench.last - 1}")  # its domain travels with it
    assert isinstance(model, Model)
    assert model.facts["max_len"] == 4


def test_a_model_that_was_not_compiled_is_refused(bench: Bench) -> None:
    bench("models.load", source="zoo:induction")
    with pytest.raises(CallError, match="not a compiled model"):
        bench("rasp.decompile", model="@1")


def test_sampled_programs_come_back_from_their_weights(bench: Bench) -> None:
    (table,) = bench("rasp.benchmark", n=6, length=4, dense=None, seed=2)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["sparse", "rotated"]
    assert [row[1:3] for row in table.rows] == [(6, 1.0), (6, 1.0)]
    table, curve = bench("rasp.benchmark", n=4, length=4, dense=0.9, more="[0.5]", seed=2)
    assert isinstance(curve, Series)
    np.testing.assert_allclose(curve.x, [0.5, 0.9])
    assert curve.curves[0].y[0] <= curve.curves[0].y[1]
    with pytest.raises(CallError, match="no shares"):
        bench("rasp.benchmark", n=4, more="[2]")


def test_a_wrong_choice_says_what_would_be_right(bench: Bench) -> None:
    with pytest.raises(CallError, match="give a vocabulary that the program is made for"):
        bench("rasp.compile", program="sort", vocab="a,b")
    bench("models.load", source="zoo:induction")
    with pytest.raises(CallError, match=r"is not a meta-model; choose one made by rasp\.train_metamodel"):
        bench("rasp.decode", metamodel="@1", model="@1")
