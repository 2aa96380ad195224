"""The widgets in a running app: focus, messages, and what a step writes to the terminal."""

import numpy as np
import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Region

from sessions.artifacts import Axis, Column
from tests.tui.widgets.graphs import small_circuit
from tui.widgets import partial_paint
from tui.widgets.code_view import CodeView
from tui.widgets.data_table import RowTable
from tui.widgets.graph_view import GraphView
from tui.widgets.heatmap import Heatmap
from tui.widgets.inks import changed_spans
from tui.widgets.line_widget import LineWidget
from tui.widgets.thumbnails import Thumbnails
from tui.widgets.tokens import TokenStrip


class Stage(App[None]):
    """One widget and the messages it posts."""

    def __init__(self, widget: LineWidget, depth: str = "truecolor") -> None:
        super().__init__()
        self.widget, self.colour_depth = widget, depth
        self.heard: list = []

    def compose(self):
        yield self.widget

    def on_heatmap_cursor_moved(self, event):
        self.heard.append(("moved", event.row, event.col))

    def on_heatmap_selected(self, event):
        self.heard.append(("selected", event.row, event.col))

    def on_row_table_highlighted(self, event):
        self.heard.append(("row", event.row))

    def on_row_table_selected(self, event):
        self.heard.append(("chosen", event.row))

    def on_thumbnails_moved(self, event):
        self.heard.append(("head", event.row, event.col))

    def on_graph_view_node_moved(self, event):
        self.heard.append(("node", event.node))

    def on_graph_view_edge_moved(self, event):
        self.heard.append(("edge", event.source, event.target))

    def on_token_strip_token_moved(self, event):
        self.heard.append(("token", event.position))

    def on_code_view_line_moved(self, event):
        self.heard.append(("line", event.line))


def noise(size: int = 144) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(size, size))


async def test_a_heatmap_posts_where_the_cursor_is_and_what_was_chosen():
    stage = Stage(Heatmap())
    async with stage.run_test(size=(80, 24)) as pilot:
        stage.widget.show(noise(6), Axis("layer"), Axis("head"))
        for way in ("down", "right", "right", "up", "last"):
            stage.widget.moved(way)
        stage.widget.action_choose()
        stage.widget.move_cursor(1, 1, quiet=True)
        await pilot.pause()
    assert stage.heard == [
        ("moved", 1, 0), ("moved", 1, 1), ("moved", 1, 2), ("moved", 0, 2), ("moved", 5, 5), ("selected", 5, 5),
    ]  # fmt: skip


async def test_a_pooled_cell_opens_before_it_is_chosen():
    stage = Stage(Heatmap())
    async with stage.run_test(size=(80, 24)) as pilot:
        stage.widget.show(noise(300), Axis("query"), Axis("key"))
        assert stage.widget.picture.layout.is_pooled
        presses = 0
        while not stage.heard:
            stage.widget.action_choose()
            await pilot.pause()
            presses += 1
            assert presses < 10
    assert presses > 1


@pytest.mark.parametrize(("depth", "budget"), [("truecolor", 2000), ("256", 2000), ("none", 2000), ("ascii", 2000)])
async def test_a_cursor_step_writes_less_than_two_kilobytes(depth, budget, monkeypatch):
    """The whole road from refresh to escape codes, in the worst place: noise, far right, a large terminal."""
    stage = Stage(Heatmap(), depth)
    written: list[str] = []
    async with stage.run_test(size=(148, 74)) as pilot:
        stage.widget.show(noise(), Axis("query"), Axis("key"), scale="diverging")
        stage.widget.move_cursor(70, 140)
        await pilot.pause()
        regions: list[Region] = []
        original = stage.widget.refresh

        def refresh(*given, **options):
            regions.extend(given)
            assert given, "the whole widget is repainted"
            return original(*given, **options)

        monkeypatch.setattr(stage.widget, "refresh", refresh)
        stage.widget.moved("right")
        monkeypatch.undo()
        compositor = stage.screen._compositor
        offset = stage.widget.content_region.offset
        update = compositor.render_partial_update() if compositor._dirty_regions else None
        if update is None:
            compositor._dirty_regions.update(region.translate(offset) for region in regions)
            update = compositor.render_partial_update()
        written.append(partial_paint.render_segments(update, stage.console))
        assert 0 < len("".join(written).encode()) < budget
        assert sum(r.area for r in regions) < 120


async def test_only_the_dirty_cells_of_a_line_are_written():
    stage = Stage(Heatmap())
    async with stage.run_test(size=(148, 74)) as pilot:
        stage.widget.show(noise(), Axis("query"), Axis("key"), scale="diverging")
        await pilot.pause()
        compositor = stage.screen._compositor
        compositor._dirty_regions = {Region(140, 20, 1, 1)}
        update = compositor.render_partial_update()
        ours = partial_paint.render_segments(update, stage.console)
        assert len(ours.encode()) < 120
        full = "".join(
            strip.crop(0, 140).render(stage.console) for strip in update.chops[20].values() if strip is not None
        )
        assert len(full.encode()) > 10 * len(ours.encode())


async def test_a_table_keeps_its_row_when_sorted_and_says_what_a_filter_left():
    stage = Stage(RowTable())
    rows = [(f"L{i}", float((i * 37) % 100)) for i in range(100)]
    async with stage.run_test(size=(60, 20)) as pilot:
        table = stage.widget
        table.show((Column("head", "text"), Column("effect", "float")), rows)
        table.moved("down")
        table.moved("page_down")
        kept = table.row
        table.action_sort_next()
        table.action_sort_next()
        assert table.row == kept
        assert table.model.sort_column == 1
        assert table.filter("effect > 97") == 2
        await pilot.pause()
        footing = "".join(t for t, _ in table.pieces(19))
        assert "2 of 100" in footing
        table.action_choose()
        assert table.filter("nothing like it") == 0
        assert table.row is None
        table.action_choose()
        await pilot.pause()
    assert [h for h in stage.heard if h[0] == "chosen"] == [("chosen", rows.index(("L54", 98.0)))]


async def test_a_new_table_of_the_same_columns_keeps_sorting_and_filter():
    stage = Stage(RowTable())
    columns = (Column("head", "text"), Column("effect", "float"))
    async with stage.run_test(size=(60, 20)):
        table = stage.widget
        table.show(columns, [("a", 2.0), ("b", 1.0)])
        table.sort_by(1)
        table.show(columns, [("a", 2.0), ("b", 3.0), ("c", 1.0)])
        assert [table.model.rows[i][0] for i in table.model.order] == ["c", "a", "b"]


async def test_a_graph_follows_the_strongest_edge_and_walks_a_nodes_list():
    stage = Stage(GraphView())
    async with stage.run_test(size=(80, 24)) as pilot:
        view = stage.widget
        view.show(small_circuit())
        view.moved("down")
        for _ in range(2):
            view.action_level(1)
        view.moved("down")
        view.moved("down")
        view.action_choose()
        await pilot.pause()
    assert stage.heard == [("node", "mlp0"), ("edge", "L0H3", "mlp0"), ("edge", "mlp0", "L5H0"), ("node", "L5H0")]


async def test_a_graphs_matrix_names_the_edge_under_the_cursor():
    stage = Stage(GraphView())
    async with stage.run_test(size=(80, 24)) as pilot:
        stage.widget.show(small_circuit())
        stage.widget.action_matrix()
        stage.widget.moved("right")
        await pilot.pause()
    assert stage.heard == [("edge", "embed", "mlp0")]


async def test_thumbnails_move_by_layer_and_head():
    stage = Stage(Thumbnails())
    values = np.tril(np.random.default_rng(0).random((3, 4, 9, 9)))
    async with stage.run_test(size=(80, 24)) as pilot:
        stage.widget.show(values, [[f"L{i}H{j}" for j in range(4)] for i in range(3)])
        for way in ("down", "right", "right", "last", "up"):
            stage.widget.moved(way)
        await pilot.pause()
        lines = ["".join(t for t, _ in stage.widget.pieces(y)) for y in range(24)]
    assert stage.heard == [("head", 1, 0), ("head", 1, 1), ("head", 1, 2), ("head", 2, 3), ("head", 1, 3)]
    assert any("[L1H3]" in line for line in lines)


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none", "ascii"])
async def test_thumbnails_of_large_patterns_scroll_and_stay_in_bounds(depth):
    stage = Stage(Thumbnails(), depth)
    values = np.random.default_rng(0).random((12, 12, 64, 64))
    async with stage.run_test(size=(80, 24)) as pilot:
        stage.widget.show(values, [[f"L{i}H{j}" for j in range(12)] for i in range(12)])
        stage.widget.select(11, 11)
        await pilot.pause()
        lines = ["".join(t for t, _ in stage.widget.pieces(y)) for y in range(24)]
    assert any("[L11H11]" in line for line in lines)
    assert "pooled" in lines[0]
    assert all(len(line) <= 81 for line in lines)


async def test_tokens_are_walked_across_and_between_lines():
    stage = Stage(TokenStrip())
    async with stage.run_test(size=(40, 12)) as pilot:
        stage.widget.show([f" token{i}" for i in range(10)])
        stage.widget.moved("right")
        stage.widget.moved("down")
        stage.widget.moved("last")
        await pilot.pause()
    assert stage.heard[0] == ("token", 1)
    assert stage.heard[1][1] > 2
    assert stage.heard[2] == ("token", 9)


async def test_code_scrolls_with_its_cursor_and_sideways():
    stage = Stage(CodeView())
    source = "\n".join(f"value_{i} = {i}" + "  # long" * 20 for i in range(100))
    async with stage.run_test(size=(60, 20)) as pilot:
        stage.widget.show(source)
        stage.widget.moved("last")
        stage.widget.moved("right")
        await pilot.pause()
        lines = ["".join(t for t, _ in stage.widget.pieces(y)) for y in range(20)]
    assert stage.heard == [("line", 100)]
    assert any(line.startswith("▸100") for line in lines)
    assert "column 9" in lines[-1]


@pytest.mark.parametrize("theme", ["textual-light", "textual-dark"])
async def test_a_theme_change_redraws_with_its_own_colours(theme):
    stage = Stage(Heatmap())
    async with stage.run_test(size=(60, 20)) as pilot:
        stage.widget.show(np.array([[-1.0, 0.0, 1.0]]), Axis("a"), Axis("b"), scale="diverging")
        stage.theme = theme
        await pilot.pause()
        await pilot.pause()
        assert stage.widget.picture.inks.dark == (theme == "textual-dark")


async def test_a_step_in_a_graph_repaints_the_cells_that_changed_and_no_others():
    stage = Stage(GraphView())
    async with stage.run_test(size=(120, 40)) as pilot:
        view = stage.widget
        view.show(small_circuit())
        await pilot.pause()
        for way in ("down", "down", "left", "right", "down", "up"):
            before = {y: [(c, s.style) for s in line for c in s.text] for y, line in view._painted.items()}
            view.moved(way)
            dirty = {(x, r.y) for r in view._repaint_regions for x in range(r.x, r.right)}
            await pilot.pause()
            after = {y: [(c, s.style) for s in line for c in s.text] for y, line in view._painted.items()}
            changed = {
                (x, y)
                for y in after
                for x in range(max(len(before[y]), len(after[y])))
                if before[y][x : x + 1] != after[y][x : x + 1]
            }
            assert changed <= dirty
            assert len(dirty) < 120 * 40 / 8


def test_spans_that_differ_are_found_and_near_ones_joined():
    plain, bold = Style(), Style(bold=True)
    old = [Segment("abcdefghijklmnopqrstuvwxyz", plain)]
    new = [Segment("abXdeYghijklmno", plain), Segment("p", bold), Segment("qrstuvwxyz!", plain)]
    assert changed_spans(old, new) == [(2, 4), (15, 1), (26, 1)]
    assert changed_spans(old, old) == []
