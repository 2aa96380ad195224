"""The Program view by keys: its stages, an input stepped through, another program beside it, the benchmark's rows."""

from __future__ import annotations

from typing import Any

import pytest

from engine.server.protocol import StepChanged
from sessions.artifacts import AnyArtifact
from tests.tui import fake
from tests.tui.fake import FakeBench, FakeFile, settle
from tests.tui.panes import program_content as content
from tests.tui.snapshots import content as elsewhere
from tests.tui.test_app import press, screen_text
from tui.panes.program import ProgramPane

SIZES = {"80x24": (80, 24), "160x50": (160, 50)}


@pytest.fixture(autouse=True)
def _the_engine_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "CATALOGUE", (*elsewhere.OPERATIONS, content.STEP))


def extracted(*artifacts: AnyArtifact) -> FakeFile:
    """A network, another network's program, and what was extracted."""
    file = FakeFile()
    file.add(file.add_step("models.load", parameters={"source": "zoo:rnn/Binary_Addition"}), elsewhere.network())
    of = {"parameters": {"model": "@1"}, "inputs": {"model": 1}}
    file.add(file.add_step("synthesis.extract", **of), content.program(content.OTHER, "not proved"))
    step = file.add_step("synthesis.extract", **of)
    for artifact in artifacts or content.extracted():
        file.add(step, artifact)
    return file


def main_program(file: FakeFile) -> int:
    return next(s.id for s in reversed(file.stored.values()) if s.title.startswith("Program"))


async def opened(bench: FakeBench, pilot: Any, *keys: str) -> ProgramPane:
    await settle(pilot)
    await press(pilot, "6", *keys)
    pane = bench.app.panes["program"]
    assert isinstance(pane, ProgramPane)
    return pane


async def test_a_program_stands_for_the_proof_that_was_kept_beside_it() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await opened(bench, pilot)
        assert pane.shown is not None
        assert pane.shown.stored is not None
        assert pane.shown.stored.id == main_program(bench.file)
        bench.app.investigation.selection.show("program", len(bench.file.stored))  # the proof, chosen by itself
        await settle(pilot)
        assert pane.shown.stored.id == main_program(bench.file)


@pytest.mark.parametrize("size", ["80x24", pytest.param("160x50", marks=pytest.mark.slow)])
async def test_every_stage_opens(size: str) -> None:
    bench = FakeBench(extracted())
    signs = {
        "weights": "f: 2 hidden numbers", "normal form": "preserved: the outputs", "states": "60 points",
        "machine": "↺ 00/0", "formulas": "Truth table", "proof": "(check-sat)",
    }  # fmt: skip
    async with bench.app.run_test(size=SIZES[size]) as pilot:
        await opened(bench, pilot, *"[[[[[[")
        for stage in ("weights", "normal form", "states", "machine", "formulas", "program", "proof"):
            shown = screen_text(bench.app)
            assert f"[{stage}]" in shown
            assert signs.get(stage, "def f(s, t)") in shown, stage
            await press(pilot, "]")
        assert bench.app.mistakes == []


async def test_an_absent_stage_opens_on_its_reason_and_v_passes_it_by() -> None:
    main = content.program(**{"stage reasons": {"machine": "the states keep growing"}})
    rest = [a for a in content.extracted("machine") if not a.title.startswith("Program")]
    bench = FakeBench(extracted(*rest, main))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await opened(bench, pilot, *"[[[")
        assert pane.parts.opened == "states"
        assert "(machine)" in screen_text(bench.app)
        await press(pilot, "]")
        assert "machine: absent. The states keep growing." in screen_text(bench.app)
        await press(pilot, "[", "v")
        assert pane.parts.opened == "formulas"


async def test_the_strip_takes_keys_and_the_pointer() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await opened(bench, pilot)
        pane.query_one("StageStrip").focus()
        await press(pilot, "h", "h")
        assert pane.parts.opened == "machine"
        await pilot.click("StageStrip", offset=(2, 0))
        await settle(pilot)
        assert pane.parts.opened == "weights"


async def stepping(bench: FakeBench, pilot: Any, wrong_from: int | None = None) -> ProgramPane:
    """An input written, and the engine's answer."""
    pane = await opened(bench, pilot, "a", *"0110", "space", "vertical_line", *"1101", "enter")
    running = next(s.id for s in bench.file.steps.values() if s.status == "running")
    bench.engine.finish(running, content.side_by_side(wrong_from))
    await settle(pilot)
    return pane


async def test_an_input_that_is_written_goes_to_the_engine_with_the_program() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot, "a", *"01", "vertical_line", "1", "enter")
        assert bench.engine.asked == []
        assert bench.app.message.startswith("the input: the sequences have 2 and 1 numbers")
        assert bench.app.panes["program"].query_one("#walk-input").has_focus  # what was written is still there
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await stepping(bench, pilot)
        program = f"@{main_program(bench.file)}"
        assert bench.engine.asked[-1][:3] == (
            "run", "synthesis.step", {"program": program, "inputs": [[0, 1, 1, 0], [1, 1, 0, 1]]},
        )  # fmt: skip


@pytest.mark.parametrize("size", ["80x24", pytest.param("160x50", marks=pytest.mark.slow)])
async def test_network_machine_and_program_move_together(size: str) -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=SIZES[size]) as pilot:
        pane = await stepping(bench, pilot)
        parts, ribbon = pane.parts, pane.walk_part.ribbon
        assert ribbon.has_focus
        assert "network and program agree at every position" in screen_text(bench.app)
        table = content.side_by_side()
        for position in range(len(table.rows)):
            row = table.rows[position]
            assert ribbon.position == position
            assert parts.graph_view.selected == str(row[7])
            assert parts.scatter.picture.here == pytest.approx(row[3:5])
            assert parts.scatter.picture.group == row[7]
            assert parts.code.notes[8] == f"puts out {row[8]}"
            assert bench.app.investigation.selection.now.node == str(row[7])
            await press(pilot, "l")
        assert ribbon.position == len(table.rows) - 1
        await press(pilot, "comma")
        assert ribbon.position == len(table.rows) - 2
        await press(pilot, *"[[", "full_stop")  # the keys work with every stage opened
        assert ribbon.position == len(table.rows) - 1
        assert bench.app.mistakes == []


async def test_where_network_and_program_part_is_said() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await stepping(bench, pilot, wrong_from=3)
        assert "they differ first at position 4" in screen_text(bench.app)
        assert pane.walk_part.ribbon.wrong == {3, 4, 5, 6, 7}


async def test_another_programs_input_is_not_shown_beside_this_one() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await stepping(bench, pilot)
        await press(pilot, "t")
        assert not pane.walk_part.has_class("-walking")
        assert pane.parts.code.notes == {}


async def test_a_state_chosen_in_the_automaton_or_among_the_points_is_chosen_in_both() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(160, 50)) as pilot:
        pane = await opened(bench, pilot)
        pane.parts.graph_view.focus()
        await press(pilot, "l")
        assert bench.app.investigation.selection.now.node == "1"
        assert pane.parts.scatter.picture.group == 1
        pane.parts.scatter.focus()
        await press(pilot, "l")  # from the leftmost point, of state 0
        assert pane.parts.graph_view.selected == "0"
        assert pane.parts.scatter.picture.group == 0


@pytest.mark.parametrize(("size", "columns"), [("80x24", False), ("160x50", True)])
async def test_another_networks_program_is_chosen_and_compared(size: str, columns: bool) -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=SIZES[size]) as pilot:
        pane = await opened(bench, pilot, "d", "enter")
        code = pane.parts.code
        assert code.diff
        assert code.two_columns == columns
        shown = screen_text(bench.app)
        assert "@2 Program" in shown
        assert "k = 1 - (p + q + 1 - k)" in shown
        assert "c = (p + q + c) // 2" in shown
        await press(pilot, "d")
        assert not code.diff
        assert bench.app.mistakes == []


async def test_the_lattice_is_drawn_and_left_out_by_a_key() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await opened(bench, pilot, *"[[[")
        assert "dots: the lattice" in screen_text(bench.app)
        await press(pilot, "number_sign")
        assert "dots: the lattice" not in screen_text(bench.app)


async def test_a_running_benchmark_fills_its_rows_and_keeps_order_and_cursor() -> None:
    bench = FakeBench(extracted())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await opened(bench, pilot)
        step = bench.file.add_step("synthesis.benchmark", "running", seconds=0.0)
        bench.engine.say(StepChanged(step=step))
        bench.engine.progress(step.id, 2, 62, content.benchmark(2))
        await settle(pilot)
        assert "2 of 62 done, 2 solved" in screen_text(bench.app)
        assert pane.rows.has_focus
        await press(pilot, "j", "j")
        bench.engine.progress(step.id, 5, 62, content.benchmark(5))
        await settle(pilot)
        assert "5 of 62 done, 4 solved" in screen_text(bench.app)
        assert pane.rows.row == 2
        await press(pilot, "enter")
        assert "when the benchmark has ended" in bench.app.message
        bench.engine.finish(step.id, content.benchmark(5), content.programs_text(), content.program())
        await settle(pilot)
        await press(pilot, "g", "enter")
        assert "c = (p + q + c) // 2" in screen_text(bench.app)
        assert pane.parts.code.has_focus
        await press(pilot, "backspace")
        await press(pilot, "g", "j", "enter")  # this row's program is in the text of all of them
        assert type(bench.app.screen).__name__ == "ListingScreen"
        assert "c = (p + q + c) // 2" in screen_text(bench.app)
        await press(pilot, "escape")
        assert "5 of 62 done, 4 solved" in screen_text(bench.app)
        assert bench.app.mistakes == []


async def test_an_older_file_without_stages_opens_as_it_did() -> None:
    bench = FakeBench(elsewhere.investigation())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        pane = await opened(bench, pilot)
        assert [s.name for s in pane.parts.stages if s.there] == ["states", "machine", "program"]
        await press(pilot, "v")
        assert "48 points" in screen_text(bench.app)
