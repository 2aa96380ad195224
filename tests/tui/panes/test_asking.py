"""Keys about the head under the cursor, the curve beside a circuit, two circuits compared, and cells that open."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from engine.operations import FieldInfo, OperationInfo
from sessions.artifacts import Axis, Column, Curve, Matrix, Series, Table
from tests.tui import fake
from tests.tui.fake import FakeBench, FakeFile, a_graph, a_sweep, settle
from tests.tui.panes.test_analysis_panes import AT, ready, selected, swept
from tests.tui.test_app import press, screen_text
from tests.tui.widgets.graphs import small_circuit
from tui.screens.answer import AnswerScreen
from tui.screens.choose import ChooseScreen
from tui.widgets.graph_view import GraphView

NAMES = ("circuits.what_if", "circuits.head_classes", "circuits.compare", "circuits.evaluate", "circuits.acdc")


@pytest.fixture(autouse=True)
def _in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    field = FieldInfo(name="model", type="artifact", kind="model", required=True)
    more = (
        OperationInfo(name=name, title=name, summary="", gives=("table",), version=1, interactive=True, fields=(field,))
        for name in NAMES
    )
    monkeypatch.setattr(fake, "CATALOGUE", (*fake.CATALOGUE, *more))


def lost(value: float = -1.5) -> Table:
    columns = (Column("metric", "text"), Column("change", "float"))
    return Table(title="What if L1H2 were gone", columns=columns, rows=(("logit difference", value),))


def curve(end: float) -> Series:
    y = np.linspace(1.0, end, 5)
    return Series(title="accuracy as edges go", x=np.arange(5.0), x_name="edges cut", curves=(Curve("held out", y),))


async def test_one_key_asks_what_the_head_is_worth_and_the_view_keeps_what_it_showed() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "j", "l", "l", "W")
        assert isinstance(bench.app.screen, AnswerScreen)
        _, operation, values, _ = bench.engine.asked[-1]
        assert operation == "circuits.what_if"
        assert values == {"model": "@1", "prompts": "@2", "components": "L1H2", "row": 1}
        before = selected(bench).shown
        bench.engine.finish(max(bench.file.steps), lost())
        await settle(pilot)
        assert "-1.5" in screen_text(bench.app)
        assert "answered in" in screen_text(bench.app)
        assert selected(bench).shown == before
        await press(pilot, "escape")
        assert "answered in" not in screen_text(bench.app)


async def test_an_answer_in_the_file_is_shown_without_asking_again() -> None:
    file = swept()
    step = file.add_step("circuits.head_classes", **{**AT, "parameters": {**AT["parameters"], "circuit": None}})
    columns = (Column("head", "text"), Column("class", "text"))
    file.add(step, Table(title="Head classes", columns=columns, rows=(("L0H0", "previous"), ("L0H1", ""))))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "C")
        shown = screen_text(bench.app)
        assert "previous" in shown
        assert "from the file" in shown
        assert not [asked for asked in bench.engine.asked if asked[0] == "run"]


async def test_what_went_wrong_is_said_where_the_answer_would_stand() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "W")
        bench.engine.finish(max(bench.file.steps), status="cancelled")
        await settle(pilot)
        assert "cancelled" in screen_text(bench.app)


@pytest.mark.parametrize(("size", "beside"), [((160, 50), True), ((80, 24), False)])
async def test_the_curve_stands_beside_the_circuit_where_there_is_room_and_one_key_away_elsewhere(
    size: tuple[int, int], beside: bool
) -> None:
    file = ready()
    step = file.add_step("circuits.acdc", **AT)
    file.add(step, small_circuit())
    file.add(step, curve(0.5))
    bench = FakeBench(file)
    async with bench.app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        assert ("edges cut 4:" in screen_text(bench.app)) is beside
        assert "L5H0" in screen_text(bench.app)
        await press(pilot, "c")
        assert ("edges cut 4:" in screen_text(bench.app)) is not beside
        await press(pilot, "c")
        assert "L5H0" in screen_text(bench.app)


async def test_edges_fall_away_and_the_curve_grows_while_a_discovery_runs() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        accepted = await bench.engine.run("circuits.acdc", dict(AT["parameters"]))
        whole = small_circuit()
        bench.engine.progress(accepted.step, 1, 12, whole)
        bench.engine.progress(accepted.step, 1, 12, curve(0.9))
        await settle(pilot)
        assert "12 of 12 edges" in screen_text(bench.app)
        edges = tuple(msgspec.structs.replace(e, kept=i > 2) for i, e in enumerate(whole.edges))
        bench.engine.progress(accepted.step, 3, 12, msgspec.structs.replace(whole, edges=edges))
        bench.engine.progress(accepted.step, 3, 12, curve(0.25))
        await settle(pilot)
        shown = screen_text(bench.app)
        assert "9 of 12 edges" in shown
        assert "edges cut 4:" in shown


async def test_two_circuits_are_compared_by_a_key_and_the_chosen_one() -> None:
    file = ready()
    for graph in (a_graph(), small_circuit()):
        file.add(file.add_step("circuits.acdc", **AT), graph)
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "5", "d")
        assert isinstance(bench.app.screen, ChooseScreen)
        await press(pilot, "enter")
        assert bench.engine.asked[-1][1:3] == ("circuits.compare", {"circuits": ["@4", "@3"]})
        nodes = tuple(msgspec.structs.replace(n, side="first") for n in small_circuit().nodes)
        both = msgspec.structs.replace(small_circuit(), nodes=nodes)
        bench.engine.finish(max(bench.file.steps), both)
        await settle(pilot)
        assert "A only 10, 0" in screen_text(bench.app)
        assert bench.app.pane.unable("compare") == "only from a finished circuit"  # type: ignore[union-attr]


def transferred() -> FakeFile:
    file = ready()
    told = {"rows": [None, {"circuit": "@7"}], "columns": [{"model": "@1"}], "shared": {"prompts": "@2"}}
    facts = {"cell_operation": "circuits.evaluate", "cell_parameters": told}
    axes = (Axis("circuit", ("whole model", "of a")), Axis("model", ("a",)))
    file.add(file.add_step("circuits.transfer"), Matrix(title="t", values=np.eye(2)[:, :1], axes=axes, facts=facts))
    return file


async def test_a_cell_of_the_transfer_matrix_opens_its_evaluation() -> None:
    bench = FakeBench(transferred())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "enter")
        assert "no single step stands behind" in bench.app.message
        await press(pilot, "j", "enter")
        assert bench.engine.asked[-1][1:3] == (
            "circuits.evaluate", {"prompts": "@2", "circuit": "@7", "model": "@1"},
        )  # fmt: skip
        bench.engine.finish(max(bench.file.steps), lost(0.125))
        await settle(pilot)
        assert "0.125" in screen_text(bench.app)
        assert "circuit of a" in screen_text(bench.app)


async def test_slices_of_a_result_with_more_axes_are_gone_through() -> None:
    file = ready()
    values = np.stack([a_sweep().values + i for i in range(3)])
    axes: tuple[Axis, ...] = (Axis("prompt"), Axis("layer"), Axis("query"))
    file.add(file.add_step("circuits.activation_patching", **AT), Matrix(title="p", values=values, axes=axes))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "prompt 0 (1 of 3)" in screen_text(bench.app)
        await press(pilot, ".")
        assert "prompt 1 (2 of 3)" in screen_text(bench.app)


async def test_embeddings_are_no_head_to_ask_about() -> None:
    file = ready()
    file.add(file.add_step("circuits.acdc", **AT), small_circuit())
    bench = FakeBench(file)
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        bench.app.investigation.selection.change(node="embed")
        await settle(pilot)
        assert bench.app.query_one(GraphView).selected == "embed"
        await press(pilot, "W")
        assert "no head or MLP is selected here" in bench.app.message


async def test_attention_to_the_answer_is_a_matrix_of_models_and_heads_and_not_a_pattern() -> None:
    file = ready()
    axes = (Axis("model", ("base", "base, fine-tuned")), Axis("head", ("L0H0", "L1H2")))
    values = np.array([[0.1, 0.2], [0.3, 0.8]])
    file.add(
        file.add_step("circuits.attention_to_answer", **AT), Matrix(title="to the answer", values=values, axes=axes)
    )
    bench = FakeBench(file)
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "j", "l")
        shown = screen_text(bench.app)
        assert "to the answer" in shown
        assert "base, fine-tuned" in shown
        assert str(bench.app.pane.component()) == "L1H2"  # type: ignore[union-attr]


async def test_the_curves_of_a_running_step_are_one_key_away_and_the_hint_says_so() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "Live curves" not in screen_text(bench.app)
        accepted = await bench.engine.run("circuits.acdc", dict(AT["parameters"]))
        bench.engine.progress(accepted.step, 3, 12, curve(0.25))
        await settle(pilot)
        assert "U Live curves" in screen_text(bench.app)
        await press(pilot, "U")
        assert "edges cut 4:" in screen_text(bench.app)  # the newest, not the first


async def test_an_operation_named_alone_in_the_palette_opens_its_form() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, ":")
        bench.app.screen.query_one("Input").value = "circuits.acdc"  # type: ignore[attr-defined]
        await press(pilot, "enter")
        await settle(pilot)
        assert "circuits.acdc" in str(bench.app.screen.query_one("#box").border_title)


async def test_a_result_that_comes_elsewhere_says_which_view_shows_it() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "1")
        accepted = await bench.app.investigation.run("circuits.acdc", dict(AT["parameters"]))
        bench.engine.finish(accepted.step, a_graph())
        await settle(pilot)
        assert [said.title for said in bench.app._notifications] == ["Done · 5 Circuit shows it"]
