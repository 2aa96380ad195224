"""The Sweep, Attention, Circuit and Program views, by keys, against a scripted engine."""

from typing import Any

import msgspec
import numpy as np
import pytest

from engine.operations import FieldInfo, OperationInfo
from sessions.artifacts import Axis, Column, Curve, Matrix, Points, Program, Series, Table, Verdict
from tests.tui import fake
from tests.tui.fake import FakeBench, FakeFile, a_model, a_sweep, settle, some_prompts
from tests.tui.test_app import press, screen_text
from tests.tui.widgets.graphs import division_by_three, random_circuit, small_circuit
from tui.screens.artifact import ArtifactScreen
from tui.selection import Selection
from tui.widgets.code_view import CodeView
from tui.widgets.graph_view import GraphView
from tui.widgets.heatmap import Heatmap
from tui.widgets.thumbnails import Thumbnails

LAYERS = Axis("layer", tuple(f"L{i}" for i in range(4)))
PATTERNS = OperationInfo(
    name="circuits.attention_patterns", title="Attention patterns", summary="", gives=("matrix",), version=1,
    interactive=True, fields=(FieldInfo(name="model", type="artifact", kind="model", required=True),),
)  # fmt: skip
AT: dict[str, Any] = {"parameters": {"model": "@1", "prompts": "@2"}, "inputs": {"model": 1, "prompts": 2}}


@pytest.fixture(autouse=True)
def _patterns_are_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "CATALOGUE", (*fake.CATALOGUE, PATTERNS))


def ready() -> FakeFile:
    file = FakeFile()
    file.add(file.add_step("models.load", parameters={"source": "zoo:tpp"}), a_model())
    file.add(file.add_step("prompts.make", parameters={"task": "ioi", "n": 5}, seed=1), some_prompts())
    return file


def head_matrix(done: int = 24) -> Matrix:
    made = a_sweep(done)
    axes = (LAYERS, Axis("head", tuple(f"H{i}" for i in range(6))))
    return Matrix(title="head ablation (zero)", values=made.values, axes=axes, scale="diverging", unit="logits")


def mlp_matrix() -> Matrix:
    values = np.array([[-9.0], [0.5], [0.25], [0.125]])
    axes = (LAYERS, Axis("mlp", ("mlp",)))
    return Matrix(title="MLP ablation (zero)", values=values, axes=axes, scale="diverging", unit="logits")


def swept() -> FakeFile:
    file = ready()
    step = file.add_step("circuits.head_sweep", **AT)
    rows = (("mlp0", -9.0, 0.7), ("L2H3", -1.5, 0.2))
    columns = (Column("component", "text"), Column("change", "float"), Column("standard error", "float"))
    for artifact in (head_matrix(), mlp_matrix(), Table(title="ranking", columns=columns, rows=rows)):
        file.add(step, artifact)
    return file


def patterns(side: str = "clean", first: int = 1, n: int = 5, average: bool = False) -> Matrix:
    values = np.tril(np.random.default_rng(first).random((1 if average else n, 4, 6, 11, 11)))
    tokens = [list(row.clean_tokens) for row in some_prompts().rows]
    labels = some_prompts().rows[0].clean_tokens
    return Matrix(
        title=f"Attention patterns, {side}", values=values, scale="diverging" if side == "difference" else "sequential",
        axes=(Axis("prompt"), LAYERS, Axis("head"), Axis("query", labels), Axis("key", labels)),
        facts={"side": side, "first": first, "n": n, "average": average, "tokens": tokens},
    )  # fmt: skip


def selected(bench: FakeBench) -> Selection:
    return bench.app.investigation.selection.now


# ---- Data


async def test_the_rows_a_file_could_not_give_are_told_with_line_and_reason() -> None:
    file = FakeFile()
    file.add(file.add_step("models.load", parameters={"source": "zoo:tpp"}), a_model())
    reasons = tuple(f"line {line}: the prompt is empty" for line in (4, 6, 7, 9, 12))
    prompts = msgspec.structs.replace(some_prompts(), rejected=reasons)
    file.add(file.add_step("prompts.open", parameters={"path": "own.csv"}), prompts)
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        shown = screen_text(bench.app)
        assert "5 rows rejected" in shown
        assert all(reason in shown for reason in reasons[:3])
        assert "and 2 more: i shows them" in shown


# ---- Sweep


async def test_a_sweep_shows_heads_mlps_and_its_ranking() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        shown = screen_text(bench.app)
        assert "mlp" in shown.splitlines()[4] + shown.splitlines()[5]
        assert "-9.00" in shown
        assert "standard error" in shown
        assert "scale of the heads" in shown


async def test_the_cursor_of_a_sweep_selects_the_head_everywhere() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "j", "l", "l")
        assert (selected(bench).layer, selected(bench).head) == (1, 2)
        await press(pilot, "l", "l", "l", "l")
        assert (selected(bench).layer, selected(bench).head) == (1, None)
        bench.app.investigation.selection.change(layer=3, head=4)
        await settle(pilot)
        assert bench.app.query_one(Heatmap).cursor == (3, 4)


async def test_a_row_of_the_ranking_selects_its_component() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "tab", "j")
        assert (selected(bench).layer, selected(bench).head) == (2, 3)
        assert bench.app.query_one(Heatmap).cursor == (2, 3)


async def test_a_running_sweep_fills_in_and_says_the_time_left() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "No sweep has been run" in screen_text(bench.app)
        accepted = await bench.engine.run("circuits.head_sweep", dict(AT["parameters"]))
        bench.engine.progress(accepted.step, 9, 24, head_matrix(9))
        await settle(pilot)
        shown = screen_text(bench.app)
        assert "9/24" in shown
        assert "9 of 24 computed" in shown
        assert "15 s left" in shown
        bench.engine.progress(accepted.step, 18, 24, head_matrix(18))
        await settle(pilot)
        assert "18 of 24 computed" in screen_text(bench.app)
        bench.engine.finish(accepted.step, head_matrix(), mlp_matrix())
        await settle(pilot)
        assert "computed" not in screen_text(bench.app)
        assert "-9.00" in screen_text(bench.app)


async def test_what_a_cancelled_sweep_had_stays() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        accepted = await bench.engine.run("circuits.head_sweep", dict(AT["parameters"]))
        bench.engine.progress(accepted.step, 9, 24, head_matrix(9))
        await press(pilot, "3", "x")
        assert "9 of 24 computed" in screen_text(bench.app)
        assert "cancelled" in screen_text(bench.app)


async def test_enter_opens_a_head_in_attention_and_an_mlp_in_circuit() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "enter")
        assert bench.app.view_id == "attention"
        bench.app.investigation.selection.change(head=None)
        await press(pilot, "3", "enter")
        assert bench.app.view_id == "circuit"


async def test_a_sweep_shows_its_parts_one_by_one() -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "v")
        assert "standard error" not in screen_text(bench.app)
        await press(pilot, "v")
        assert "standard error" in screen_text(bench.app)
        assert "0 in the middle" not in screen_text(bench.app)


@pytest.mark.parametrize("chosen", [None, 3, 4])
async def test_the_number_beside_a_sweep_is_of_the_heatmap_drawn(chosen: int | None) -> None:
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        if chosen is not None:
            bench.app.investigation.selection.show("sweep", chosen)
        await press(pilot, "3")
        assert bench.app.pane is not None
        assert bench.app.pane.noted() == {"artifact": 3}
        assert "@3 from step 3" in screen_text(bench.app)
        assert "-9.00" in screen_text(bench.app)


# ---- Attention


async def test_attention_asks_for_patterns_once_and_shows_them() -> None:
    bench = FakeBench(ready())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        asked = [a for a in bench.engine.asked if a[1] == "circuits.attention_patterns"]
        assert [a[2] for a in asked] == [{"model": "@1", "prompts": "@2", "side": "clean", "first": 1, "count": 8}]
        bench.engine.finish(len(bench.file.steps), patterns())
        await settle(pilot)
        shown = screen_text(bench.app)
        assert "Mary" in shown
        assert "query 0 '<bos>'" in shown
        assert "prompt 1, clean" in shown
        await press(pilot, "3", "4")
        assert len([a for a in bench.engine.asked if a[1] == "circuits.attention_patterns"]) == 1


def with_patterns(*sides: str) -> FakeFile:
    file = ready()
    for side in sides:
        at = {"parameters": {**AT["parameters"], "side": side, "first": 1, "count": 8}, "inputs": AT["inputs"]}
        file.add(file.add_step("circuits.attention_patterns", **at), patterns(side))
    return file


async def test_the_attention_cursor_reads_the_number_and_selects_the_pair() -> None:
    bench = FakeBench(with_patterns("clean"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "j", "j", "j", "l", "l")
        assert (selected(bench).query, selected(bench).key) == (3, 2)
        value = patterns().values[0, 0, 0, 3, 2]
        assert f"query 3 'Mary' · key 2 = {value:.6g}" in screen_text(bench.app).replace(" '0'", "")


async def test_layer_head_and_prompt_keys_change_the_pattern() -> None:
    bench = FakeBench(with_patterns("clean"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(
            pilot, "4", "right_square_bracket", "right_curly_bracket", "right_curly_bracket", "greater_than_sign"
        )
        heatmap = bench.app.query_one(Heatmap)
        assert np.array_equal(heatmap.picture.data.values, patterns().values[1, 1, 2])
        assert "L1H2" in screen_text(bench.app)
        assert "prompt 2" in screen_text(bench.app)


async def test_d_goes_through_the_sides_and_asks_for_the_missing_one() -> None:
    bench = FakeBench(with_patterns("clean", "corrupt"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert "prompt 1, clean" in screen_text(bench.app)
        await press(pilot, "d")
        assert "prompt 1, corrupt" in screen_text(bench.app)
        assert not bench.engine.asked
        await press(pilot, "d")
        assert bench.engine.asked[-1][2]["side"] == "difference"
        bench.engine.finish(len(bench.file.steps), patterns("difference"))
        await settle(pilot)
        assert "clean minus corrupt" in screen_text(bench.app)
        assert "0 in the middle" in screen_text(bench.app)
        await press(pilot, "d")
        assert "prompt 1, clean" in screen_text(bench.app)


@pytest.mark.parametrize("number", [3, 4])
async def test_a_result_chosen_before_the_view_was_opened_is_the_one_shown(number: int) -> None:
    bench = FakeBench(with_patterns("difference", "corrupt", "clean"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        stored = bench.app.investigation.store.stored(number)
        assert stored is not None
        await bench.app.show_artifact(stored)
        await settle(pilot)
        assert selected(bench).shown["attention"] == number
        assert ("clean minus corrupt" if number == 3 else "prompt 1, corrupt") in screen_text(bench.app)
        assert not bench.engine.asked


async def test_a_averages_over_the_set() -> None:
    bench = FakeBench(with_patterns("clean"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "A")
        assert bench.engine.asked[-1][2] == {"model": "@1", "prompts": "@2", "side": "clean", "average": True}
        bench.engine.finish(len(bench.file.steps), patterns(average=True))
        await settle(pilot)
        assert "mean of 5 prompts" in screen_text(bench.app)
        await press(pilot, "A")
        assert "prompt 1, clean" in screen_text(bench.app)


async def test_all_heads_stand_in_a_grid_and_enter_opens_one() -> None:
    bench = FakeBench(with_patterns("clean"))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "t")
        assert "[L0H0]" in screen_text(bench.app)
        await press(pilot, "j", "l")
        assert (selected(bench).layer, selected(bench).head) == (1, 1)
        assert "[L1H1]" in screen_text(bench.app)
        await press(pilot, "enter")
        assert not bench.app.query_one(Thumbnails).display
        assert "L1H1" in screen_text(bench.app)


async def test_a_tall_screen_shows_one_head_and_all() -> None:
    bench = FakeBench(with_patterns("clean"))
    async with bench.app.run_test(size=(120, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert "query 0" in screen_text(bench.app)
        assert "[L0H0]" in screen_text(bench.app)


async def test_while_replaying_nothing_is_asked_for() -> None:
    file = ready()
    file.add(file.add_step("circuits.head_sweep", **AT), head_matrix())
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bench.app.investigation.store.set_horizon(2)
        await press(pilot, "4")
        assert not bench.engine.asked
        assert "nothing is computed" in screen_text(bench.app)


# ---- Circuit


def with_circuit(graph: Any) -> FakeFile:
    file = swept()
    file.add(file.add_step("circuits.greedy_sweep", **AT), graph)
    return file


async def test_a_circuit_is_walked_and_its_head_selected_everywhere() -> None:
    bench = FakeBench(with_circuit(small_circuit()))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "5", "g", "j", "j")
        assert selected(bench).node == "L5H0"
        assert (selected(bench).layer, selected(bench).head) == (5, 0)
        await press(pilot, "plus", "plus")
        assert "weight" in screen_text(bench.app)
        await press(pilot, "j")
        assert selected(bench).edge == ("L5H0", "L8H3")


async def test_a_head_selected_elsewhere_is_selected_in_the_circuit() -> None:
    bench = FakeBench(with_circuit(small_circuit()))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bench.app.investigation.selection.change(layer=8, head=9)
        await press(pilot, "5")
        assert bench.app.query_one(GraphView).selected == "L8H9"


async def test_threshold_focus_and_matrix_by_keys() -> None:
    bench = FakeBench(with_circuit(small_circuit()))
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "5", "full_stop", "full_stop", "full_stop")
        assert "of 12 edges" in screen_text(bench.app)
        assert "12 of 12" not in screen_text(bench.app)
        await press(pilot, "comma", "comma", "comma", "g", "j", "o")
        assert "only around" in screen_text(bench.app)
        await press(pilot, "o", "M")
        assert "12 of" in screen_text(bench.app)
        assert "are edges" in screen_text(bench.app)


async def test_a_dense_circuit_opens_as_a_matrix() -> None:
    bench = FakeBench(with_circuit(random_circuit(6, 8, 400)))
    async with bench.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        assert "· matrix" in screen_text(bench.app)


# ---- Program


SOURCE = "def f(s):\n    k = 0\n    for x in s:\n        k = (2 * k + x) % 3\n    return k\n"


def with_program() -> FakeFile:
    file = ready()
    verdict = Verdict(
        against="the network", agreed=1024, tested=1024, exhaustive=True, domain="all bit strings of length 10"
    )
    for source in (SOURCE.replace("2 * k", "k + k"), SOURCE):
        step = file.add_step("synthesis.extract", parameters={"model": "@1"}, inputs={"model": 1})
        file.add(step, Program(title="Program Div_3", source=source, verdicts=(verdict,)))
        file.add(step, division_by_three())
        file.add(step, Points(title="states", xy=np.eye(3), colour=np.arange(3.0)))
    return file


async def test_a_program_stands_with_its_verdict_its_automaton_and_its_states() -> None:
    bench = FakeBench(with_program())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        shown = screen_text(bench.app)
        assert "✓ network: all 1,024 (all bit strings of length 10)" in shown
        assert "k = (2 * k + x) % 3" in shown
        await press(pilot, "v")
        assert "3 points" in screen_text(bench.app)
        await press(pilot, "v")
        assert "↺ 0/1" in screen_text(bench.app)
        assert "reads 0" in screen_text(bench.app)


async def test_a_large_screen_shows_all_parts_of_a_program() -> None:
    bench = FakeBench(with_program())
    async with bench.app.run_test(size=(200, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        shown = screen_text(bench.app)
        assert all(part in shown for part in ("def f(s)", "↺ 0/1", "3 points"))


async def test_what_changed_since_the_program_before() -> None:
    bench = FakeBench(with_program())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "d", "enter")
        changes = [line.change for line in bench.app.query_one(CodeView).lines]
        assert changes.count("+") == changes.count("-") == 1
        await press(pilot, "d", "t")
        assert "k + k" in screen_text(bench.app)


async def test_a_model_that_disagrees_says_so() -> None:
    file = ready()
    verdict = Verdict(
        against="the network", agreed=9, tested=10, exhaustive=False, domain="10 drawn", counterexample="0110 gives 1"
    )
    step = file.add_step("synthesis.extract", parameters={"model": "@1"}, inputs={"model": 1})
    file.add(step, Program(title="p", source=SOURCE, verdicts=(verdict,)))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert "✗ network: 9 of 10 agree (10 drawn); first difference: 0110 gives 1" in screen_text(bench.app)
        assert "0 of 1 checks hold" in screen_text(bench.app)


# ---- all of them


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none", "ascii"])
async def test_every_view_is_drawn_in_every_colour_depth(depth: str) -> None:
    file = with_program()
    step = file.add_step("circuits.head_sweep", **AT)
    for artifact in (head_matrix(), mlp_matrix()):
        file.add(step, artifact)
    file.add(file.add_step("circuits.greedy_sweep", **AT), small_circuit())
    at = {"parameters": {**AT["parameters"], "first": 1, "count": 8}, "inputs": AT["inputs"]}
    file.add(file.add_step("circuits.attention_patterns", **at), patterns())
    bench = FakeBench(file)
    bench.app.colour_depth = depth
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for key in "3456":
            await press(pilot, key)
            body = "".join(screen_text(bench.app).splitlines()[4:-3])
            assert body.strip()
            if depth == "ascii":
                drawn = body.translate({ord(c): None for c in "─━│┃·…▸"})
                assert drawn.isascii(), [c for c in drawn if not c.isascii()]


async def test_marked_components_go_into_the_what_if(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = (
        FieldInfo(name="components", type="str", required=True),
        FieldInfo(name="row", type="int", default=1),
        FieldInfo(name="model", type="artifact", kind="model", required=True),
        FieldInfo(name="prompts", type="artifact", kind="prompts", required=True),
    )
    what_if = OperationInfo(
        name="circuits.what_if",
        title="What if",
        summary="",
        gives=("table",),
        version=1,
        interactive=True,
        fields=fields,
    )
    monkeypatch.setattr(fake, "CATALOGUE", (*fake.CATALOGUE, what_if))
    bench = FakeBench(swept())
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "space", "j", "G", "space")
        assert screen_text(bench.app).count("•") == 2
        await press(pilot, "a", "ctrl+j")
        assert bench.engine.asked[-1][1:3] == (
            "circuits.what_if",
            {"components": "L0H0,mlp3", "model": "@1", "prompts": "@2"},
        )


async def test_a_series_is_drawn_as_a_plot_over_the_views() -> None:
    file = ready()
    curves = (Curve("accuracy", np.linspace(1, 0, 9)),)
    step = file.add_step("circuits.greedy_sweep", **AT)
    file.add(step, Series(title="as heads go", x=np.arange(9.0), x_name="removed", curves=curves))
    bench = FakeBench(file)
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bench.app.push_screen(ArtifactScreen(file.stored[3]))
        await settle(pilot)
        assert "removed 8:  accuracy 0" in screen_text(bench.app)
        await press(pilot, "h")
        assert "removed 7:  accuracy 0.125" in screen_text(bench.app)
