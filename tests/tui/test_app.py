"""The shell, driven by keys alone against a scripted engine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input, OptionList, Static, TextArea

from sessions.errors import ErrorRecord
from sessions.parameters import FieldInfo, OperationInfo
from tests.tui.fake import FakeBench, FakeFile, a_model, a_sweep, investigation, settle, some_prompts
from tui.app import prepare_environment
from tui.keymap import Config, textual_key
from tui.screens.form import FormScreen
from tui.screens.help import HelpScreen
from tui.screens.jobs import JobsScreen
from tui.screens.log import LogScreen
from tui.screens.note import NoteScreen
from tui.screens.palette import PaletteScreen
from tui.screens.question import QuestionScreen
from tui.screens.size import SizeScreen
from tui.selection import Selection, saved


def screen_text(app: Any) -> str:
    """What is painted now, as lines of text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def flat(app: Any) -> str:
    """What is painted, without frames and line breaks."""
    return " ".join(screen_text(app).translate({ord(c): " " for c in "┃│┏┓┗┛━─"}).split())


async def press(pilot: Any, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def test_the_first_frame_does_not_wait_for_the_engine_or_the_file() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)):
        assert "1 Model" in screen_text(bench.app) or bench.app.pane is None


async def test_the_chosen_model_and_prompts_stand_in_the_status_line() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        status = screen_text(bench.app).splitlines()[-2]
        assert "zoo:tpp float32 cpu" in status
        assert "ioi n=5 seed 1" in status
        assert "● ready" in status


async def test_digits_switch_views_and_each_remembers_its_focus() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for key, title in (("2", "Data"), ("7", "History"), ("1", "Model")):
            await press(pilot, key)
            assert f"[{key} {title}]" in screen_text(bench.app)
            assert bench.app.pane is not None
            assert bench.app.pane.has_focus_within
            assert f"▶ {title}" in screen_text(bench.app)


async def test_the_view_and_the_selection_of_last_time_are_restored() -> None:
    file = investigation()
    file.view_state = {"view": "history", "selection": saved(Selection(model=1, prompts=2, row=3, layer=2, step=4))}
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert bench.app.view_id == "history"
        assert [pane.VIEW for pane in bench.app.panes.values() if pane.display] == ["history"]
        assert bench.app.investigation.selection.now.row == 3
        assert bench.app.investigation.selection.now.step == 4


async def test_switching_while_a_view_is_being_made_ends_in_the_last_one() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await asyncio.gather(bench.app.show_view("data"), bench.app.show_view("history"))
        await settle(pilot)
        assert [pane.VIEW for pane in bench.app.panes.values() if pane.display] == ["history"]


async def test_the_view_and_the_selection_are_saved_on_leaving() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "j", "j", "q")
    assert bench.file.view_state["view"] == "data"
    assert bench.file.view_state["selection"]["row"] == 2
    assert bench.engine.closed


async def test_moving_in_the_table_of_prompts_moves_the_shared_selection() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "j", "j")
        assert bench.app.investigation.selection.now.row == 2
        await press(pilot, ">")
        assert bench.app.investigation.selection.now.row == 3
        assert "Data ▸ prompt 4" in screen_text(bench.app)
        assert "cannot be used: answer 'Mary' is 2 tokens" in screen_text(bench.app)
        await press(pilot, "backspace", "backspace")
        assert bench.app.investigation.selection.now.row == 0


async def test_a_form_is_filled_by_keys_and_its_result_is_shown() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "r")
        assert isinstance(bench.app.screen, FormScreen)
        await press(pilot, "right", "tab")
        field = bench.app.focused
        assert isinstance(field, Input)
        field.value = ""
        await press(pilot, "7", "ctrl+j")
        assert bench.engine.asked[-1] == ("run", "prompts.make", {"task": "ioi", "n": 7}, 0)
        assert not isinstance(bench.app.screen, FormScreen)
        bench.engine.finish(7, some_prompts(7))
        await settle(pilot)
        assert bench.app.investigation.selection.now.prompts == 6
        assert "7 prompts" in screen_text(bench.app)


async def test_a_mistake_in_a_form_is_said_at_its_field_and_nothing_is_sent() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "r", "tab", *"000", "ctrl+j")
        assert isinstance(bench.app.screen, FormScreen)
        assert "n=000 is out of range; give a whole number from 1 to 1000" in flat(bench.app)
        assert bench.engine.asked == []


async def test_the_engines_refusal_is_said_at_its_field_and_the_input_stays() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", *"nowhere", "enter", "ctrl+j")
        assert isinstance(bench.app.screen, FormScreen)
        text = flat(bench.app)
        assert "'nowhere' does not fit parameter 'source'; there is no such model" in text
        assert bench.app.screen.texts()["source"] == "nowhere"


async def test_fields_swallow_letters_and_escape_leaves_them() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "a", "7", "q")
        assert bench.app.view_id == "model"
        assert bench.app.query_one(Input).value == "7q"
        await press(pilot, "escape", "7")
        assert bench.app.view_id == "history"


async def test_progress_is_shown_and_x_stops_it() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        bench.app.start("circuits.head_sweep", {"model": "@1", "prompts": "@2"})
        await settle(pilot)
        bench.engine.progress(7, 9, 24)
        await settle(pilot)
        text = screen_text(bench.app)
        assert "9/24 · 2.0 s · 15 s left" in text
        assert "◐ busy" in text
        await press(pilot, "x")
        assert ("cancel", 7) in bench.engine.asked
        assert bench.app.investigation.store.step(7).status == "cancelled"  # type: ignore[union-attr]


async def test_a_result_that_ends_off_screen_is_toasted_and_one_on_screen_is_not() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        bench.app.start("models.load", {"source": "zoo:tpp"})
        await settle(pilot)
        bench.engine.finish(7, a_model("zoo:two"))
        await settle(pilot)
        assert len(bench.app._notifications) == 0
        bench.app.start("prompts.make", {})
        await settle(pilot)
        bench.engine.finish(8, some_prompts())
        await settle(pilot)
        assert len(bench.app._notifications) == 1


async def test_a_failed_step_is_said_in_place_with_its_reason() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(120, 24)) as pilot:
        await settle(pilot)
        bench.app.start("models.load", {"source": "big"})
        await settle(pilot)
        bench.engine.finish(7, status="failed", error=ErrorRecord("this model needs 80 GiB", "big", "use bfloat16"))
        await settle(pilot)
        assert "big: this model needs 80 GiB; use bfloat16" in screen_text(bench.app)
        await press(pilot, "7", "G", "w")
        assert "this model needs 80 GiB" in screen_text(bench.app)
        await press(pilot, "escape")


async def test_a_lost_engine_is_bannered_and_r_starts_it_again() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        bench.engine.die()
        await settle(pilot)
        text = screen_text(bench.app)
        assert "✗ The engine is lost (killed by signal 9). Nothing finished is lost. r starts it again." in text
        assert "✗ lost" in text
        await press(pilot, "7")  # reading goes on without it
        assert "6 steps" in screen_text(bench.app)
        await press(pilot, "r")
        assert len(bench.engines) == 2
        assert "The engine is lost" not in screen_text(bench.app)
        assert "● ready" in screen_text(bench.app)


async def test_an_engine_that_cannot_start_says_so_in_place() -> None:
    bench = FakeBench()
    bench.refuse = "another program holds this session"
    async with bench.app.run_test(size=(110, 24)) as pilot:
        await settle(pilot)
        assert "another program holds this session" in screen_text(bench.app)
        assert "✗ lost" in screen_text(bench.app)


async def test_a_file_that_cannot_be_read_says_so_in_place() -> None:
    file = FakeFile()
    file.broken = "this is not a session file"
    bench = FakeBench(file)
    async with bench.app.run_test(size=(110, 24)) as pilot:
        await settle(pilot)
        assert "this is not a session file" in screen_text(bench.app)


async def test_an_empty_view_says_what_appears_why_not_and_which_key() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        text = screen_text(bench.app)
        assert "Here stand the prompts" in text
        assert "No prompts have been made or opened yet" in text
        assert "a  Make prompts" in text


async def test_an_empty_view_says_when_its_operation_is_under_way() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        bench.app.start("prompts.make", {})
        await settle(pilot)
        assert "Step 1 (prompts.make) is running: its first results come soon." in flat(bench.app)
        assert "x  Stop the running step" in screen_text(bench.app)


async def test_the_palette_finds_runs_and_remembers() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, ":", *"history", "enter")
        assert bench.app.view_id == "history"
        await press(pilot, ":")
        assert isinstance(bench.app.screen, PaletteScreen)
        first = screen_text(bench.app).splitlines()[3]
        assert "Show History" in first
        await press(pilot, "escape")
        assert bench.file.view_state["palette.recent"] == ["view.history"]


async def test_the_palette_says_why_an_entry_cannot_be_done() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, ":", *"stop the running")
        assert "Not now: nothing is running." in screen_text(bench.app)


async def test_the_palette_runs_a_whole_command_line() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, ":")
        bench.app.screen.query_one(Input).value = "prompts.make n=7 --seed 3"
        await settle(pilot)
        await press(pilot, "enter")
        assert bench.engine.asked[-1] == ("run", "prompts.make", {"n": 7}, 3)


async def test_a_wrong_command_line_stays_with_its_sentence() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, ":")
        bench.app.screen.query_one(Input).value = "prompts.make m=7"
        await settle(pilot)
        await press(pilot, "enter")
        assert "unknown parameter 'm'; known: task, n" in flat(bench.app)
        assert isinstance(bench.app.screen, PaletteScreen)


async def test_help_lists_the_views_keys_first_searches_and_runs() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "?")
        assert isinstance(bench.app.screen, HelpScreen)
        text = screen_text(bench.app)
        assert "Make a set of prompts or open your own file." in text
        assert text.index("Make prompts") < text.index("Show Model")
        await press(pilot, "/", *"show history", "enter", "enter")
        assert bench.app.view_id == "history"


async def test_jobs_lists_running_and_interrupted_and_resumes() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "J")
        assert isinstance(bench.app.screen, JobsScreen)
        assert "! interrupted" in screen_text(bench.app)
        assert "9/24" in screen_text(bench.app)
        await press(pilot, "c")
        assert ("resume", 6) in bench.engine.asked
        assert "◐ running" in screen_text(bench.app)
        await press(pilot, "x")
        assert ("cancel", 6) in bench.engine.asked


async def test_the_log_keeps_what_was_said() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.say("a passing remark")
        await press(pilot, "D")
        assert isinstance(bench.app.screen, LogScreen)
        bench.app.trouble("a later mistake")
        await settle(pilot)
        text = screen_text(bench.app)
        assert "a passing remark" in text
        assert "✗ a later mistake" in text


async def test_a_note_is_written_changed_and_shown_in_history() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "g", "m")
        assert isinstance(bench.app.screen, NoteScreen)
        await press(pilot, *"fine", "ctrl+j")
        assert [(n.text, n.step) for n in bench.file.notes] == [("fine", 1)]
        assert "✎ fine" in screen_text(bench.app)
        await press(pilot, "m", *"!", "ctrl+j")
        assert [(n.text, n.step) for n in bench.file.notes] == [("fine!", 1)]


async def test_an_unsaved_note_is_not_dropped_by_one_escape() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "m", *"text", "escape")
        assert isinstance(bench.app.screen, NoteScreen)
        assert bench.app.screen.query_one(TextArea).text == "text"
        await press(pilot, "escape")
        assert not isinstance(bench.app.screen, NoteScreen)
        assert bench.file.notes == []


async def test_history_resumes_reruns_and_shows_the_command() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "G")
        assert "iwb run case.iwb circuits.head_sweep model=@1 prompts=@2 ablation=mean" in screen_text(bench.app)
        await press(pilot, "c")
        assert ("resume", 6) in bench.engine.asked
        await press(pilot, "g", "A")
        assert ("rerun", 1) in bench.engine.asked


async def test_choosing_a_step_makes_every_view_show_it() -> None:
    file = investigation()
    again = file.add_step("prompts.make", parameters={"task": "tpp"}, seed=9)
    file.add(again, some_prompts(3))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert bench.app.investigation.selection.now.prompts == 6
        await press(pilot, "7", "g", "j", "enter", "2")
        assert bench.app.investigation.selection.now.prompts == 2
        assert "5 prompts" in screen_text(bench.app)
        await press(pilot, "backspace")
        assert bench.app.investigation.selection.now.prompts == 6


async def test_copying_a_command_writes_it_to_a_file_too(tmp_path: Path) -> None:
    bench = FakeBench(path=tmp_path / "case.iwb")
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "g", "Y")
    command = "iwb run case.iwb models.load source=zoo:tpp"
    assert (tmp_path / "state" / "iwb" / "copied-command.txt").read_text() == command
    assert [p.name for p in tmp_path.glob("*.txt")] == []  # nothing is left beside the session file
    assert bench.app.clipboard == command


async def test_replay_walks_the_past_and_ends_where_it_began() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        before = bench.app.investigation.selection.now
        await press(pilot, "R")
        store = bench.app.investigation.store
        assert store.horizon == 1
        assert "replay" in screen_text(bench.app)
        await press(pilot, ".")
        assert store.horizon == 2
        assert bench.app.view_id == "data"
        await press(pilot, ",")
        assert store.horizon == 1
        await press(pilot, "escape")
        assert store.horizon is None
        assert bench.app.replay is None
        assert bench.app.investigation.selection.now == before


async def test_quitting_asks_only_while_a_step_runs() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.start("prompts.make", {})
        await settle(pilot)
        await press(pilot, "q")
        assert isinstance(bench.app.screen, QuestionScreen)
        assert "goes on in the engine" in screen_text(bench.app)
        await press(pilot, "n")
        assert not isinstance(bench.app.screen, QuestionScreen)
        bench.engine.finish(7, some_prompts())
        await settle(pilot)
        await press(pilot, "q")
    assert bench.engine.closed
    assert bench.app.return_code == 0


async def test_a_small_terminal_says_what_size_is_needed_and_recovers() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        await pilot.resize_terminal(59, 24)
        await settle(pilot)
        assert isinstance(bench.app.screen, SizeScreen)
        assert "iwb needs 60x16, this is 59x24" in screen_text(bench.app)
        await pilot.resize_terminal(60, 16)
        await settle(pilot)
        assert "7 His" in screen_text(bench.app)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (119, 40), (120, 40), (300, 90)])
async def test_header_status_and_hints_are_never_clipped(size: tuple[int, int]) -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=size) as pilot:
        await settle(pilot)
        lines = screen_text(bench.app).splitlines()
        assert len(lines) == size[1]
        assert "case.iwb" in lines[0]
        assert "● ready" in lines[-2]
        assert "Help" in lines[-1] or "Run" in lines[-1]


async def test_sides_stand_beside_the_view_when_wide_and_over_it_when_narrow() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        assert bench.app.context.display
        assert bench.app.inspector.display
        assert bench.app.main.region.x > 0
        await press(pilot, "b", "i")
        assert bench.app.main.region.width == 160
    middle = FakeBench()
    async with middle.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert middle.app.inspector.display
        assert not middle.app.context.display  # both would leave the view less room than it has at 80 columns
        assert middle.app.main.region.width >= 80
        await press(pilot, "b")
        assert middle.app.context.display
    narrow = FakeBench()
    async with narrow.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert not narrow.app.context.display
        await press(pilot, "b")
        assert narrow.app.context.display
        assert "@3 logit difference" in screen_text(narrow.app)
        await press(pilot, "escape")
        assert not narrow.app.context.display


async def test_choosing_in_the_context_changes_what_every_view_stands_on() -> None:
    file = investigation()
    file.add(file.add_step("models.load", parameters={"source": "zoo:two"}), a_model("zoo:two"))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        assert bench.app.investigation.selection.now.model == 6
        await press(pilot, "3")
        bench.app.context.query_one(OptionList).focus()
        await press(pilot, "j", "enter")
        assert bench.app.investigation.selection.now.model == 1
        assert bench.app.view_id == "sweep"  # the view stays, now on the other model


async def test_remapped_keys_work_and_hints_show_them() -> None:
    bench = FakeBench(config=Config({"view.history": ("F",)}))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        assert bench.app.view_id == "model"
        await press(pilot, "F")
        assert bench.app.view_id == "history"


async def test_a_mistake_in_the_config_is_said_at_the_start() -> None:
    bench = FakeBench(config=Config({"view.histroy": ("F",)}))
    async with bench.app.run_test(size=(120, 24)) as pilot:
        await settle(pilot)
        assert "there is no action 'view.histroy'; did you mean 'view.history'?" in screen_text(bench.app)


def test_an_empty_no_color_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    prepare_environment()
    assert "NO_COLOR" not in os.environ
    monkeypatch.setenv("NO_COLOR", "1")
    prepare_environment()
    assert os.environ["NO_COLOR"] == "1"


async def test_over_ssh_nothing_is_animated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert FakeBench().app.animation_level == "none"


async def test_no_cursor_blinks() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert not bench.app.query_one(Input).cursor_blink
        for key in ("r", ":", "?", "m"):
            await press(pilot, key)
            assert not any(field.cursor_blink for field in bench.app.screen.query(Input))
            assert not any(area.cursor_blink for area in bench.app.screen.query(TextArea))
            await press(pilot, "escape")


async def test_everything_is_text_of_ours_and_no_markup_of_theirs() -> None:
    file = FakeFile()
    file.add(file.add_step("models.load", parameters={"source": "[red]x[/]"}), a_model("[red]x[/red"))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        assert "[red]x[/red" in screen_text(bench.app)
        await press(pilot, "7")
        assert bench.app.query_one("#step-text", Static)


async def test_a_partial_result_reaches_the_store_while_the_step_runs() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.start("circuits.head_sweep", {"model": "@1", "prompts": "@2"})
        await settle(pilot)
        bench.engine.progress(7, 3, 24, a_sweep(3))
        await settle(pilot)
        assert bench.app.investigation.store.partials[7].title == "logit difference, zero"


async def test_where_only_ascii_can_be_shown_nothing_else_is_painted() -> None:
    bench = FakeBench(config=Config({}, ascii=True))
    async with bench.app.run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        for key in ("2", "3", "4", "5", "6", "7", "1", "r"):
            await press(pilot, key)
            foreign = {c for c in screen_text(bench.app) if not c.isascii()}
            assert not foreign, (key, foreign)


async def test_an_investigation_is_exported_beside_its_file(tmp_path: Path) -> None:
    from sessions.file import SessionFile

    path = tmp_path / "case.iwb"
    SessionFile.open(path, create=True).close()
    bench = FakeBench(path=path)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "E", "enter")
        assert f"wrote {path.with_suffix('.md')}" in bench.app.message
    assert path.with_suffix(".md").read_text()


async def test_a_theme_is_kept_for_the_next_time() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "T")
        assert bench.app.theme == "iwb-light"
    again = FakeBench(bench.file)
    async with again.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert again.app.theme == "iwb-light"


async def test_jumping_puts_a_letter_on_everything_that_takes_the_focus() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "f", "a")
        assert bench.app.context.has_focus_within


async def test_a_table_is_filtered_and_shown_whole_again() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "/", *"sweep")
        assert "filter 'sweep': 3 of 6" in screen_text(bench.app)
        await press(pilot, "escape")
        assert "row 6 of 6" in screen_text(bench.app)


async def test_a_mistake_of_our_own_is_one_sentence_and_the_app_lives(tmp_path: Path) -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(200, 30)) as pilot:
        await settle(pilot)
        bench.app.open_jobs = lambda: {}["missing"]  # type: ignore[method-assign, return-value]
        await press(pilot, "J")
        assert "Jobs: iwb made a mistake (KeyError: 'missing'); the details are in" in bench.app.message
        await press(pilot, "7")
        assert bench.app.view_id == "history"
    (log,) = (tmp_path / "state").rglob("mistakes.log")
    assert "KeyError" in log.read_text()


async def test_a_field_with_nothing_to_choose_from_says_so_and_takes_keys() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.open_form("circuits.head_sweep")
        await settle(pilot)
        await press(pilot, "tab", "x", "left", "right", "space", "home", "end", "enter", "ctrl+j")
        assert "there are no prompts yet: make or open some in Data (2)" in flat(bench.app)


async def test_a_list_of_references_is_typed_and_sent_as_one() -> None:
    bench = FakeBench()
    models = FieldInfo(name="models", type="artifacts", kind="model", required=True, help="the models")
    info = OperationInfo(
        name="circuits.transfer", title="", summary="", fields=(models,), gives=(), version=1, interactive=False
    )
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        bench.app.push_screen(FormScreen(info, {}))
        await settle(pilot)
        assert "models by their @ID, with commas: @1" in flat(bench.app)
        assert isinstance(bench.app.focused, Input)
        assert bench.app.focused.value == "@1"
        await press(pilot, "end", ",", "ctrl+j")
        assert "give a list of @ID of models, written @1,@2" in flat(bench.app)
        await press(pilot, "@", "9", "ctrl+j")
        assert bench.engine.asked[-1] == ("run", "circuits.transfer", {"models": ["@1", "@9"]}, 0)


async def type_at_once(pilot: Any, *keys: str) -> None:
    """What a slow line does: all keys arrive before the first one has been done."""
    for key in keys:
        printable = " " if key == "space" else key
        event = events.Key(key if len(key) > 1 else textual_key(key), printable if len(printable) == 1 else None)
        pilot.app.post_message(event)
    for _ in range(len(keys)):
        await settle(pilot)


async def test_keys_that_arrive_at_once_reach_the_palette_the_first_one_opens() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        line = "prompts.make n=7 task=ioi"
        await type_at_once(pilot, ":", *("space" if c == " " else c for c in line), "enter", "7", "1", "2")
        assert bench.engine.asked[-1] == ("run", "prompts.make", {"n": 7, "task": "ioi"}, 0)
        assert bench.app.view_id == "data"  # the digits behind it reached the views, in their order


async def test_keys_that_arrive_at_once_reach_the_form_an_entry_opens() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await type_at_once(pilot, "2", "a", "tab", "end", "backspace", "ctrl+j", "7")
        assert bench.engine.asked[-1] == ("run", "prompts.make", {"n": 10}, 0)
        assert bench.app.view_id == "history"


async def test_a_stopped_sweep_goes_on_showing_what_it_had_and_says_how_to_go_on() -> None:
    bench = FakeBench()
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        bench.app.investigation.selection.show("sweep", 3)  # an older result, chosen by hand
        bench.app.start("circuits.head_sweep", {"model": "@1", "prompts": "@2", "ablation": "resample"})
        await settle(pilot)
        step = max(bench.file.steps)
        bench.engine.progress(step, 5, 24, a_sweep(5))
        await press(pilot, "x")
        assert bench.app.pane is not None
        assert bench.app.pane.shown is not None
        assert bench.app.pane.shown.step is not None
        assert bench.app.pane.shown.step.id == step
        assert "what it did is kept: J c goes on with it" in flat(bench.app)
