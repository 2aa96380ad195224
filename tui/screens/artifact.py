"""An artifact that no view draws (a table, a series, a text), over the views."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from sessions.artifacts import Graph, Matrix, Points, Series, Table, Text
from sessions.errors import IwbError
from sessions.steps import Stored
from tui.actions import Scope
from tui.screens.overlay import Overlay

SHORT_CELL, LONG_CELL = 12, 200  # characters: a shorter cell is whole in the table, a longer one is no sentence


class ArtifactScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "artifact"
    DEFAULT_CSS = """
    ArtifactScreen > #box { height: 90%; }
    ArtifactScreen VerticalScroll { height: 1fr; }
    ArtifactScreen RowTable { height: 1fr; }
    ArtifactScreen #row-program { height: 1fr; max-height: 16; border-top: solid $foreground 30%; }
    """

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self._stored = stored
        self._column: int | None = None  # of a table of RASP programs: the one with their texts

    def compose_box(self) -> ComposeResult:
        yield VerticalScroll(id="payload")

    def _programs_of(self, table: Table) -> int | None:
        """The column that holds RASP programs, if this table has one."""
        step = self.bench.investigation.store.step(self._stored.step)
        if step is None or not step.operation.startswith("rasp."):
            return None
        named = {"program", "candidate"}
        return next((i for i, c in enumerate(table.columns) if c.name in named and c.type == "text"), None)

    @property
    def _program(self) -> str:
        """The program of the row under the cursor."""
        from tui.widgets.data_table import RowTable

        for table in self.query(RowTable):
            if self._column is not None and table.row is not None:
                return str(table.model.rows[table.row][self._column] or "")
        return ""

    def _long_cells(self) -> list[str]:
        """What the row says beside its program and may be cut in the table: a verdict, a reason."""
        from tui.widgets.data_table import RowTable

        table = self.query_one(RowTable)
        if table.row is None:
            return []
        pairs = zip(table.model.columns, table.model.rows[table.row])
        return [
            f"{column.name}: {cell}"
            for at, (column, cell) in enumerate(pairs)
            if at != self._column
            and isinstance(cell, str)
            and SHORT_CELL < len(cell) <= LONG_CELL
            and any(letter.isalpha() for letter in cell)
        ]

    def _show_program(self) -> None:
        from tui.widgets.code_view import CodeView, Said

        said = [Said("note", text) for text in self._long_cells()]
        for view in self.query(CodeView):
            view.show(self._program, "rasp", said=said, empty="no program in this row")

    def on_row_table_highlighted(self) -> None:
        self._show_program()

    def cannot_program(self) -> str | None:
        return None if self._program else "this row holds no RASP program"

    async def do_program(self) -> None:
        """Put the row's program into the RASP view's editor."""
        text = self._program
        artifact = self.bench.investigation.store.loaded(self._stored.id)
        facts = artifact.facts if artifact is not None else {}
        self.dismiss(None)
        self.bench.call_later(self.bench.open_in_rasp, text, facts)

    async def on_mount(self) -> None:
        self.query_one("#box").border_title = f"@{self._stored.id} {self._stored.title}"
        place = self.query_one("#payload", VerticalScroll)
        try:
            artifact = await self.bench.investigation.fetch(self._stored.id)
        except IwbError as error:
            await place.mount(Static(str(error), markup=False))
            return
        match artifact:
            case Table():
                from tui.widgets.data_table import RowTable

                table = RowTable()
                await place.mount(table)
                self._column = self._programs_of(artifact)
                if self._column is not None:
                    from tui.widgets.code_view import CodeView

                    await place.mount(CodeView(id="row-program"))
                table.show_table(artifact)
                table.focus()
                self._show_program()
            case Text():
                from textual.widgets import Markdown

                await place.mount(Markdown(artifact.markdown))
                place.focus()
            case Series():
                from tui.widgets.plot import SeriesPlot

                plot = SeriesPlot()
                await place.mount(plot)
                plot.show(artifact)
                plot.focus()
            case Points():
                from tui.widgets.scatter import Scatter

                scatter = Scatter()
                await place.mount(scatter)
                scatter.show(artifact)
                scatter.focus()
            case Graph():
                from tui.widgets.graph_view import GraphView

                graph = GraphView()
                await place.mount(graph)
                graph.show(artifact)
                graph.focus()
            case Matrix() if artifact.values.ndim >= 2:
                from tui.widgets.heatmap import Heatmap

                heatmap = Heatmap()
                await place.mount(heatmap)
                first = artifact.values.reshape(-1, *artifact.values.shape[-2:])[0]
                more = f", the first of {artifact.values[..., 0, 0].size}" if artifact.values.ndim > 2 else ""
                heatmap.show(
                    first, artifact.axes[-2], artifact.axes[-1], scale=artifact.scale, unit=artifact.unit,
                    title=artifact.summary + more,
                )  # fmt: skip
                heatmap.focus()
            case _:
                await place.mount(Static(f"{artifact.kind}\n\n{artifact.summary}", markup=False))
                place.focus()
