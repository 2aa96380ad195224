"""The Sweep view: what ablating each head and MLP does, as a heatmap that fills in and a ranking beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from sessions.artifacts import Matrix, Table
from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError, IwbError
from sessions.steps import Stored
from tui.asking import cell_values, open_cell
from tui.panes.base import Empty, Pane, Shown
from tui.panes.matrix_cells import component_at, entry_words, slice_at, slices
from tui.panes.sweep_table import SweepGrid, about_components, ranking, sweep_grid, time_left
from tui.selection import Selection
from tui.store import Changes
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap

WIDE = 92  # columns from which the ranking stands beside the heatmap and not below it
RANKING_WIDTH = 44
RANKING_FRAME = 4  # its line above, two of headings and its foot
WHAT_IF = "circuits.what_if"


class SweepPane(Pane):
    VIEW: ClassVar[str] = "sweep"
    NEEDS: ClassVar[str] = "transformer"
    DEFAULT_CSS = """
    SweepPane #sweep-parts { layout: vertical; height: 1fr; }
    SweepPane #sweep-parts.-beside { layout: horizontal; }
    SweepPane Heatmap { height: 1fr; width: 1fr; }
    SweepPane RowTable { height: 1fr; border-top: solid $foreground 30%; }
    SweepPane .-beside RowTable { width: 44; border-top: none; border-left: solid $foreground 30%; }
    SweepPane .-no-map Heatmap { display: none; }
    SweepPane .-no-ranking RowTable { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._grid: SweepGrid | None = None
        self._slice = 0  # of a matrix with more than two axes: the one drawn
        self._parts = "both"  # or "map" or "ranking"
        self._marked: set[tuple[int, int]] = set()  # places in the grid, chosen for a what-if

    def compose_body(self) -> ComposeResult:
        with Container(id="sweep-parts"):
            yield Heatmap()
            yield RowTable()

    # ---- what is shown

    def empty(self) -> Empty:
        if self.selection.now.model is None or self.selection.now.prompts is None:
            return Empty(
                "Here every head and MLP is ablated in turn, and a heatmap shows what the metric loses.",
                "A sweep needs a model (view 1) and prompts (view 2).",
                "view.data" if self.selection.now.model is not None else "view.model",
            )
        return Empty(
            "Here every head and MLP is ablated in turn, and a heatmap shows what the metric loses.",
            "No sweep has been run on this model and these prompts yet.",
            "view.run",
        )

    def choose(self) -> Stored | None:
        """The heads' matrix stands for the MLPs' of its step: notes and the @ID told are then of what is drawn."""
        chosen = super().choose()
        if chosen is None or chosen in (others := self._others()):
            return chosen
        return next((stored for stored in others if stored.step == chosen.step), chosen)

    @property
    def matrix(self) -> Matrix | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Matrix) else None

    @property
    def heads(self) -> Matrix | None:
        """The heads' matrix: the one shown, or, when the MLPs' is shown, the one its step left beside it."""
        shown = self.matrix
        if shown is None or not about_components(shown) or shown.axes[1].name == "head":
            return shown
        return self._beside("head") or shown

    @property
    def mlps(self) -> Matrix | None:
        shown = self.matrix
        if shown is None or not about_components(shown):
            return None
        return shown if shown.axes[1].name == "mlp" else self._beside("mlp")

    def _beside(self, axis: str) -> Matrix | None:
        for stored in self._of_same_step("matrix"):
            found = self.store.loaded(stored.id)
            if isinstance(found, Matrix) and about_components(found) and found.axes[1].name == axis:
                return found
        return None

    def _of_same_step(self, kind: str) -> tuple[Stored, ...]:
        step = self.shown.step if self.shown and not self.shown.live else None
        return tuple(s for s in self.store.of_step(step.id) if s.kind == kind) if step is not None else ()

    @property
    def grid(self) -> SweepGrid | None:
        return self._grid

    def draw(self, shown: Shown | None) -> None:
        self._grid = None
        heads = self.heads
        if heads is None:
            return
        missing = [
            s.id for kind in ("matrix", "table") for s in self._of_same_step(kind) if not self.store.loaded(s.id)
        ]
        if missing:
            self.run_worker(self._fetch_beside(missing), group="beside", exclusive=True)
        heatmap, table = self.query_one(Heatmap), self.query_one(RowTable)
        if not about_components(heads) or heads.axes[1].name != "head":
            self._slice = min(self._slice, slices(heads) - 1)
            part = slice_at(heads, self._slice)
            conditions = self._conditions(heads)
            heatmap.show(
                part.values,
                part.rows,
                part.columns,
                scale=heads.scale,
                unit=heads.unit,
                marks=part.marks,
                edges={part.rows.name, part.columns.name} == {"source", "target"},
                title=f"{part.words} ({self._slice + 1} of {slices(heads)}) {conditions}" if part.words else conditions,
            )
            table.show((), ())
            self._arrange()
            return
        grid = self._grid = sweep_grid(heads, self.mlps)
        heatmap.show(
            grid.values,
            grid.layers,
            grid.columns,
            scale=heads.scale,
            limits=grid.limits,
            limits_name="scale of the heads" if grid.limits else "",
            unit=heads.unit,
            marks=grid.marks | self._marked,
            title=self._conditions(heads),
        )
        ranked = self._ranking_table()
        if ranked is not None:
            table.show(ranked.columns, ranked.rows)
        else:
            table.show(*ranking(grid, heads.unit))
        self._arrange()
        self._follow(self.selection.now)

    def _ranking_table(self) -> Table | None:
        """The sweep's own table of components, with standard errors, once it is there."""
        for stored in self._of_same_step("table"):
            found = self.store.loaded(stored.id)
            if isinstance(found, Table) and found.columns and found.columns[0].name == "component":
                return found
        return None

    async def _fetch_beside(self, ids: list[int]) -> None:
        try:
            for number in ids:
                await self.investigation.fetch(number)
        except IwbError as error:
            self.app.trouble(str(error))
            return
        if self.shown is not None:
            self.draw(self.shown)
            self.retitle()

    def heading(self) -> str:
        heads = self.heads
        if heads is None:
            return ""
        words = [heads.title]
        if self.shown and self.shown.progress:
            words.append(time_left(self.shown.progress.remaining))
        return " · ".join(w for w in words if w)

    def _conditions(self, heads: Matrix) -> str:
        """What the numbers depend on, in a line over the heatmap."""
        facts = heads.facts
        words = [f"{name} {facts[name]}" for name in ("metric", "ablation") if name in facts]
        if isinstance(facts.get("clean"), float):
            words.append(f"clean {facts['clean']:.4g}")
        words += [f"{name} {_of_all(facts[name])}" for name in ("n", "weights") if name in facts]
        return (" | " if self.query_one(Heatmap).picture.inks.depth == "ascii" else " · ").join(words)

    def store_changed(self, changes: Changes) -> None:
        if "progress" in changes:
            self.retitle()

    def component(self) -> Component | None:
        if self._grid is not None:
            return self.selection.now.component
        heads = self.heads
        return component_at(heads, self._slice, *self.query_one(Heatmap).cursor) if heads is not None else None

    def selected_path(self) -> str:
        if self._grid is None and self.heads is not None and self._ready:
            return entry_words(self.heads, self._slice, *self.query_one(Heatmap).cursor)
        return str(self.selection.now.component)

    def inspect(self) -> Content | str:
        heads, grid = self.heads, self._grid
        if heads is not None and grid is None:
            heatmap = self.query_one(Heatmap)
            where = entry_words(heads, self._slice, *heatmap.cursor, between="\n")
            opens = ["enter opens the evaluation"] if cell_values(heads, *heatmap.cursor) is not None else []
            return "\n".join([where, heatmap.picture.readout(), *opens, "", heads.summary])
        if heads is None or grid is None:
            return super().inspect()
        now = self.selection.now
        value = grid.value(now.layer, now.head)
        number = "not computed yet" if value != value else f"{value:+.6g} {heads.unit}"
        lines = [str(now.component), f"change: {number}"]
        if (rank := grid.rank(now.layer, now.head)) is not None:
            lines.append(f"rank {rank[0]} of {rank[1]} by size")
        return "\n".join([*lines, "", heads.summary])

    def copy_text(self) -> str:
        return self.query_one(Heatmap).picture.readout()

    def run_values(self) -> dict[str, Any]:
        now = self.selection.now
        named = (("model", now.model), ("prompts", now.prompts))
        return {name: f"@{number}" for name, number in named if number is not None}

    # ---- the selection

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if (before.layer, before.head) != (after.layer, after.head):
            self._follow(after)

    def _follow(self, now: Selection) -> None:
        grid = self._grid
        if grid is None:
            return
        place = grid.place(now.layer, now.head)
        if place is not None:
            self.query_one(Heatmap).move_cursor(*place, quiet=True)
        name = str(now.component)
        table = self.query_one(RowTable)
        row = next((i for i, r in enumerate(table.model.rows) if r and r[0] == name), None)
        if row is not None:
            table.move_to(row, quiet=True)

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        event.stop()
        if self._grid is not None:
            head = event.col if event.col < self._grid.heads else None
            self.selection.change(walk=True, layer=event.row, head=head)
            return
        component = self.component()
        if isinstance(component, Head):
            self.selection.change(walk=True, layer=component.layer, head=component.head)
        elif isinstance(component, Mlp):
            self.selection.change(walk=True, layer=component.layer, head=None)
        self.app.tells_anew(self)
        self.app.refresh_lines("status")

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        event.stop()
        if self._grid is None or not event.table.has_focus:
            return
        try:
            component = parse_component(str(event.table.model.rows[event.row][0]))
        except CallError:
            return
        if isinstance(component, Head):
            self.selection.change(walk=True, layer=component.layer, head=component.head)
        elif isinstance(component, Mlp):
            self.selection.change(walk=True, layer=component.layer, head=None)

    async def on_heatmap_selected(self, event: Heatmap.Selected) -> None:
        event.stop()
        await self._open_component()

    async def on_row_table_selected(self, event: RowTable.Selected) -> None:
        event.stop()
        await self._open_component()

    async def _open_component(self) -> None:
        """A head opens in Attention; an MLP has no pattern and opens in Circuit."""
        if self._grid is not None:
            self.app.call_later(self.app.show_view, "circuit" if self.selection.now.head is None else "attention")
            return
        heads = self.heads
        if heads is None:
            return
        cursor = self.query_one(Heatmap).cursor
        if "cell_operation" in heads.facts:
            open_cell(self.app, heads, *cursor, entry_words(heads, self._slice, *cursor))
        elif isinstance(self.component(), Head):
            self.app.call_later(self.app.show_view, "attention")
        else:
            self.app.say("nothing opens from this entry")

    # ---- layout and what its keys do

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Heatmap and ranking beside each other where there is room, else one over the other, else one of them."""
        parts = self.query_one("#sweep-parts")
        heatmap, table = self.query_one(Heatmap), self.query_one(RowTable)
        width, height = self.size.width, self.size.height - 1
        rows = heatmap.picture.data.values.shape[0]
        below = height - (rows + 5)
        # Below the heatmap the ranking has all its columns; beside it, all its rows.
        beside = width >= WIDE and below < len(table.model.rows) + RANKING_FRAME
        room_below = below >= 5
        ranked = bool(table.model.rows)
        show_ranking = ranked and (self._parts == "ranking" or (self._parts == "both" and (beside or room_below)))
        parts.set_class(beside, "-beside")
        parts.set_class(self._parts == "ranking" and ranked, "-no-map")
        parts.set_class(not show_ranking, "-no-ranking")
        under = show_ranking and not beside and self._parts == "both"
        heatmap.styles.height = rows + 5 if under else "1fr"
        table.styles.width = RANKING_WIDTH if beside and self._parts == "both" else "1fr"

    def unable(self, verb: str) -> str | None:
        if verb == "other" and len(self._others()) < 2:
            return "this is the only result of its kind"
        if verb == "slice" and (self.heads is None or self._grid is not None or slices(self.heads) < 2):
            return "this result has no slices"
        if verb in ("mark", "what_if") and self._grid is None:
            return "this result is not about heads and MLPs"
        if verb == "what_if" and WHAT_IF not in self.store.catalogue:
            return "the engine is not there yet"
        if verb == "parts" and self._grid is None:
            return "there is no ranking here"
        return super().unable(verb)

    def _others(self) -> list[Stored]:
        """The results this view can draw: of a step that left heads and MLPs, the heads alone."""
        out: list[Stored] = []
        for stored in self.store.artifacts:
            step = self.store.step(stored.step)
            if step is None or not self.view.fits(stored, step):
                continue
            if not stored.title.startswith("MLP"):
                out.append(stored)
        return out

    def do_parts(self) -> None:
        order = ("both", "map", "ranking")
        self._parts = order[(order.index(self._parts) + 1) % len(order)]
        self._arrange()
        self.focus_first()

    def do_other(self) -> None:
        others = self._others()
        now = self.shown.stored.id if self.shown and self.shown.stored else None
        numbers = [s.id for s in others]
        following = numbers[(numbers.index(now) + 1) % len(numbers)] if now in numbers else numbers[-1]
        self.selection.show(self.VIEW, following)

    def do_slice(self, by: int) -> None:
        """The next or previous picture of a matrix with more than two axes."""
        if self.heads is not None:
            self._slice = (self._slice + by) % slices(self.heads)
            self.draw(self.shown)
            self.app.tells_anew(self)

    def do_mark(self) -> None:
        """Mark or unmark the component under the cursor for a what-if."""
        if self._grid is not None:
            self._marked ^= {self.query_one(Heatmap).cursor}
            self.draw(self.shown)

    def do_what_if(self) -> None:
        """Ask what the metric and one prompt's predictions become without the marked components or the selected one."""
        if self._grid is None:
            return
        places = sorted(self._marked) or [self.query_one(Heatmap).cursor]
        names = ",".join(str(self._grid.component(*place)) for place in places)
        self.app.open_form(WHAT_IF, {**self.run_values(), "components": names, "row": self.selection.now.row + 1})

    def do_width(self) -> None:
        self.app.say(f"cell width: {self.query_one(Heatmap).cycle_width()}")

    def do_map(self) -> None:
        self.app.say(f"colour map: {self.query_one(Heatmap).cycle_map()}")

    def state(self) -> dict[str, Any]:
        return {"parts": self._parts}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("parts") in ("both", "map", "ranking"):
            self._parts = state["parts"]


def _of_all(fact: Any) -> str:
    """A condition in words; one that was told of several models: once where it is the same for all."""
    if not isinstance(fact, Mapping):
        return str(fact)
    said = {str(value) for value in fact.values()}
    return said.pop() if len(said) == 1 else ", ".join(f"{name} {value}" for name, value in fact.items())
