"""The RASP view by keys, against a scripted engine."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.widgets import Input

from sessions.artifacts import Column, Curve, Series, Table
from tests.tui import fake
from tests.tui.fake import FakeBench, FakeEngine, FakeFile, settle
from tests.tui.panes import rasp_content as content
from tests.tui.test_app import flat, press, screen_text
from tui.panes import rasp as rasp_module
from tui.panes.rasp import RaspPane
from tui.screens.artifact import ArtifactScreen
from tui.screens.live import LiveScreen
from tui.widgets.code_lines import Mistake
from tui.widgets.code_view import CodeView
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap
from tui.widgets.rasp_editor import RaspEditor


@pytest.fixture(autouse=True)
def _rasp_is_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "CATALOGUE", (*fake.CATALOGUE, *content.OPERATIONS))
    monkeypatch.setattr(rasp_module, "SAVE_S", 0.01)
    before = FakeEngine.__init__

    def knows_rasp(self: FakeEngine, *given: Any) -> None:
        before(self, *given)
        self.looks["rasp.check"] = content.checked

    async def ask(self: FakeEngine, topic: str) -> dict[str, Any]:
        return content.LIBRARY if topic == "rasp" else {"models": []}

    monkeypatch.setattr(FakeEngine, "__init__", knows_rasp)
    monkeypatch.setattr(FakeEngine, "ask", ask)


def pane(bench: FakeBench) -> RaspPane:
    found = bench.app.panes["rasp"]
    assert isinstance(found, RaspPane)
    return found


def editor(bench: FakeBench) -> RaspEditor:
    return pane(bench).editor


def variables(bench: FakeBench) -> RowTable:
    return pane(bench).query_one("#rasp-variables", RowTable)


async def answered(pilot: Any, bench: FakeBench) -> None:
    """Until the engine has said what it thinks of the newest text."""
    async with asyncio.timeout(5):
        while pane(bench).writing.waiting:
            await pilot.pause(0.01)
    await settle(pilot)


async def written(pilot: Any, bench: FakeBench, text: str) -> None:
    """Go to the RASP view and paste a program."""
    await press(pilot, "8")
    bench.app.post_message(events.Paste(text))
    await settle(pilot)
    await answered(pilot, bench)


async def test_a_program_is_checked_as_it_is_written_and_no_step_is_left() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "e", *"x = tokens")
        await answered(pilot, bench)
        assert editor(bench).text == "x = tokens"
        asked = [question for question in bench.engine.asked if question[0] == "look"]
        assert asked[-1] == ("look", "rasp.check", {"program": "x = tokens"})
        assert bench.file.steps == {}
        assert "1 layer · 1 head · width 12 · hidden 7 · 1,234 parameters · 0.8 ms" in pane(bench).writing.said()[0]
        assert "1 layer · 1 head · width 12" in screen_text(bench.app)
        assert "0, 1, 2, 3" in screen_text(bench.app)


async def test_a_mistake_stands_under_its_line_and_the_good_table_stays() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.TEXT)
        editor(bench).replace("wdth", (1, 16), (1, 21))
        await settle(pilot)
        await answered(pilot, bench)
        lines = screen_text(bench.app).splitlines()
        at = next(i for i, line in enumerate(lines) if "hist = selector_wdth(same)" in line)
        assert "^ 'selector_wdth' is not defined; did" in lines[at + 1]
        assert "you mean 'selector_width'?" in lines[at + 2]
        assert lines[at + 1].index("^") == lines[at].index("selector_wdth")
        assert lines[at + 3].split("│")[0].split()[-1] == "3"  # what follows stands lower, and is all there
        assert any("line 2: 'selector_wdth' is not defined" in line for line in lines)
        assert len(variables(bench).model.rows) == 2


async def test_who_has_not_said_which_tokens_there_are_hears_which_key_goes_there() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "8")
        missing = Mistake(10**6, 1, 1, "the vocabulary is missing; give vocab=a,b,c or vocab=1,2,3")
        told = pane(bench).writing.put_right(missing)
        assert told is not None
        assert told.message == "which tokens are there? V or f3 goes to vocab: write 1,2,3 or a,b,c"
        await press(pilot, "e", "f3")  # while writing, too
        assert bench.app.focused is pane(bench).query_one("#rasp-vocab", Input)


async def test_the_mark_stands_under_its_column_where_the_sentence_does_not_fit_beside_it() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.TEXT)
        area = editor(bench)
        for message in (
            "too long",
            "a sentence that is much too long for the room to the right or to the left of its mark",
        ):
            area.show_mistake(Mistake(1, area.size.width - area.gutter_width - 3, 1, message))
            first = area._mistake_lines[0]
            assert first.index("^") == area.size.width - 4
            assert message.split()[-1] in area._mistake_lines[-1]


async def test_the_cursor_below_a_mistake_is_where_the_text_is() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.WRONG)
        area = editor(bench)
        area.move_cursor((1, 0))
        above = area.cursor_screen_offset
        area.move_cursor((2, 0))
        await settle(pilot)
        assert area.cursor_screen_offset.y - above.y == 3
        area.show_mistake(None)
        assert area.cursor_screen_offset.y - above.y == 1


async def test_escape_leaves_the_editor_and_digits_switch_views_again() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "8")
        assert not isinstance(bench.app.focused, RaspEditor)
        await press(pilot, "e", "7")
        assert editor(bench).text == "7"
        await press(pilot, "escape", "1")
        assert bench.app.view_id == "model"


async def test_the_draft_is_kept_in_the_session_file_as_it_is_written() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.TEXT)
        pane(bench).query_one("#rasp-vocab", Input).value = "a,b"
        await settle(pilot)
        await pilot.pause(0.02)
        await settle(pilot)
        assert bench.file.view_state["view.rasp"]["draft"]["text"] == content.TEXT
        assert bench.file.view_state["view.rasp"]["draft"]["vocab"] == "a,b"
    again = FakeBench(bench.file)
    async with again.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "8")
        await answered(pilot, again)
        assert editor(again).text == content.TEXT
        assert pane(again).query_one("#rasp-vocab", Input).value == "a,b"
        assert len(variables(again).model.rows) == 2


async def test_compiling_is_a_step_with_the_text_and_its_inputs() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.TEXT)
        pane(bench).query_one("#rasp-vocab", Input).value = "a,b"
        pane(bench).query_one("#rasp-max_len", Input).value = "3"
        await settle(pilot)
        await press(pilot, "f10")
        wanted = {"program": content.TEXT, "vocab": "a,b", "max_len": "3"}
        ran = [question for question in bench.engine.asked if question[0] == "run"]
        assert ran == [("run", "rasp.compile", wanted, 0)]


async def test_the_form_takes_a_program_of_several_lines_as_it_is() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await written(pilot, bench, content.TEXT)
        await press(pilot, "escape", "r")
        assert "hist = selector_width(same)" in screen_text(bench.app)
        await press(pilot, "f10")
        asked = [question for question in bench.engine.asked if question[0] == "run"]
        assert asked == [("run", "rasp.compile", {"program": content.TEXT.strip()}, 0)]


async def test_a_program_of_the_library_to_start_from() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "o")
        assert "how often each token occurs" in screen_text(bench.app)
        await press(pilot, "enter")
        await answered(pilot, bench)
        assert editor(bench).text == content.TEXT
        assert pane(bench).draft.values() == {
            "program": content.TEXT, "vocab": "a,b", "max_len": "3", "causal": "false"
        }  # fmt: skip


async def test_without_an_engine_that_can_check_it_says_so() -> None:
    bench = FakeBench(FakeFile())
    bench.refuse = "the disk is full"
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "e", "x", "escape")
        assert "the engine is not there yet" in screen_text(bench.app)


# ---- an input through program and model


def worked(*, model: bool = True) -> FakeFile:
    """A session in which the program was compiled and one input run."""
    file = FakeFile()
    given = {"program": content.TEXT, "vocab": "a,b", "max_len": 3}
    step = file.add_step("rasp.compile", parameters=given)
    for artifact in content.compiled():
        file.add(step, artifact)
    asked = {"program": content.TEXT, "vocab": "a,b", "inputs": "[a,b,a]", "model": "@1" if model else None}
    step = file.add_step("rasp.trace", parameters=asked)
    for artifact in content.traced(model=model):
        file.add(step, artifact)
    file.view_state = {"view.rasp": {"draft": {"text": content.TEXT, "vocab": "a,b", "max_len": "3"}}}
    return file


async def test_an_input_goes_through_the_program_and_the_model_it_was_compiled_to() -> None:
    bench = FakeBench(worked())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "a", *"[b,b]", "enter")
        wanted = {"inputs": "[b,b]", "program": content.TEXT, "vocab": "a,b", "model": "@1"}
        assert ("run", "rasp.trace", wanted, 0) in bench.engine.asked
        pane(bench).query_one("#rasp-vocab", Input).value = "a,b,c"  # not what the model was compiled for
        await settle(pilot)
        await press(pilot, "escape", "t")
        assert "model" not in bench.engine.asked[-1][2]


async def test_values_and_matrices_of_an_input() -> None:
    bench = FakeBench(worked())
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "v")
        shown = screen_text(bench.app)
        assert "[a, b, a] gives [2, 1, 2]; the model says the same" in shown
        assert "of an earlier text" not in shown
        assert "SelectorWidth" in shown
        await press(pilot, "v")
        shown = screen_text(bench.app)
        assert "selector same" in shown
        assert "head L0H0" in shown
        await press(pilot, "j", "l", "l")
        left, right = (pane(bench).query_one(f"#rasp-{name}", Heatmap) for name in ("selector", "pattern"))
        assert left.cursor == (1, 2)
        assert right.cursor == (2, 3)  # BOS comes before the first token
        now = bench.app.investigation.selection.now
        assert (now.query, now.key) == (2, 3)
        editor(bench).insert("x")
        await settle(pilot)
        assert "of an earlier text" in screen_text(bench.app)


async def test_a_program_alone_shows_its_selectors_alone() -> None:
    bench = FakeBench(worked(model=False))
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "8", "v", "v")
        assert "selector same" in screen_text(bench.app)
        assert not pane(bench).query_one("#rasp-pattern").display
        await press(pilot, "l", "w", "C", ".", ",")
        assert not bench.app.mistakes


async def test_a_row_of_the_variables_is_its_line_and_its_head_everywhere() -> None:
    bench = FakeBench(worked())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.investigation.selection.change(layer=3, head=2)
        await press(pilot, "8")
        await answered(pilot, bench)
        await press(pilot, "j")
        assert editor(bench).line == 2
        now = bench.app.investigation.selection.now
        assert (now.layer, now.head) == (0, 0)


# ---- the Program view


def decompiled() -> FakeFile:
    file = worked()
    step = file.add_step("rasp.decompile", parameters={"model": "@1"}, inputs={"model": 1})
    file.add(step, content.program(decompiled=True))
    return file


async def test_each_line_of_a_program_says_which_weights_it_is() -> None:
    bench = FakeBench(decompiled())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        shown = screen_text(bench.app)
        assert "not read · L0H0 · mlp0 units 0-6 · 5 directions" in shown
        assert "? mlp0 units 7 to 9 write directions that nothing reads" in shown
        assert "agrees with the interpreter on 39 of 39" in shown
        assert bench.app.mistakes == []


async def test_a_part_chosen_elsewhere_marks_its_lines_and_a_line_chooses_its_part() -> None:
    bench = FakeBench(decompiled())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        code = bench.app.panes["program"].query_one(CodeView)
        selection = bench.app.investigation.selection
        selection.change(layer=0, head=None)
        await settle(pilot)
        assert code.marks == {2}
        assert code.line == 2
        await press(pilot, "k")
        assert (selection.now.layer, selection.now.head) == (0, 0)
        assert code.marks == {1, 2}
        selection.change(layer=5, head=5)
        await settle(pilot)
        assert code.marks == frozenset()


async def test_a_program_goes_to_the_editor_with_the_inputs_it_was_made_for() -> None:
    bench = FakeBench(decompiled())
    bench.file.view_state = {}
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "e")
        assert bench.app.view_id == "rasp"
        assert pane(bench).draft.values() == {
            "program": content.TEXT, "vocab": "a,b", "max_len": "3", "causal": "false"
        }  # fmt: skip


async def test_prompts_for_a_compiled_model_are_inputs_of_its_own() -> None:
    bench = FakeBench(worked())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        for key in "ar":
            await press(pilot, "2", key)
            assert "rasp.prompts" in flat(bench.app)
            await press(pilot, "escape")


async def test_decompiling_from_the_model_view_brings_the_program_up() -> None:
    bench = FakeBench(worked())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "1", "d")
        assert bench.engine.asked[-1] == ("run", "rasp.decompile", {"model": "@1"}, 0)
        step = max(bench.file.steps)
        bench.engine.finish(step, content.program(decompiled=True))
        await settle(pilot)
        assert bench.app.view_id == "program"
        assert "mlp0 units 7 to 9" in screen_text(bench.app)


async def test_what_cannot_be_decompiled_says_why() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "1", "d")
        assert bench.app.message == "Decompile: no model is chosen: enter loads one"


# ---- tables of programs


async def test_a_sampled_program_is_shown_whole_and_opens_in_the_editor() -> None:
    file = FakeFile()
    file.add(file.add_step("rasp.sample", parameters={"n": 30}), content.sampled())
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await bench.app.show_artifact(bench.app.investigation.store.stored(1))  # type: ignore[arg-type]
        await settle(pilot)
        assert isinstance(bench.app.screen, ArtifactScreen)
        await press(pilot, "j")
        assert "x1 = map(lambda x: x + 1, tokens)" in screen_text(bench.app)
        assert "hist = selector_width(same)" in screen_text(bench.app)
        await press(pilot, "enter")
        assert bench.app.view_id == "rasp"
        assert editor(bench).text.startswith("x1 = map(lambda x: x + 1, tokens)\n")


async def test_what_is_said_of_a_candidate_stands_whole_above_its_program() -> None:
    reason = "agrees on 3 of 39 inputs; first difference: [a] gives [1], the model says [2]"
    columns = (Column("rank", "int"), Column("program", "text"), Column("why", "text"))
    file = FakeFile()
    table = Table(title="candidates", columns=columns, rows=((1, content.TEXT, ""), (2, content.TEXT, reason)))
    file.add(file.add_step("rasp.decode"), table)
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await bench.app.show_artifact(bench.app.investigation.store.stored(1))  # type: ignore[arg-type]
        await settle(pilot)
        await press(pilot, "j")
        assert f"why: {reason}" in flat(bench.app)


async def test_a_training_curve_grows_while_its_step_runs() -> None:
    def curve(n: int) -> Series:
        y = np.linspace(3.0, 1.0, n)
        return Series(title="Training so far", x=np.arange(n), x_name="step", curves=(Curve("loss", y),))

    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await bench.app.investigation.run("rasp.sample", {})  # any step that shows a series
        bench.engine.progress(1, 3, 10, curve(3))
        await press(pilot, "J", "enter")
        assert isinstance(bench.app.screen, LiveScreen)
        assert "Training so far" in screen_text(bench.app)
        assert "rasp.sample: 3/10" in screen_text(bench.app)
        bench.engine.progress(1, 6, 10, curve(6))
        await settle(pilot)
        assert bench.app.screen._drawn is not None
        assert len(bench.app.screen._drawn.x) == 6
        bench.engine.finish(1, curve(10))
        await settle(pilot)
        assert len(bench.app.screen._drawn.x) == 10
        assert "rasp.sample: done" in screen_text(bench.app)
