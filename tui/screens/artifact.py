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


class ArtifactScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "artifact"
    DEFAULT_CSS = "ArtifactScreen > #box { height: 90%; } ArtifactScreen VerticalScroll { height: 1fr; }"

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self._stored = stored

    def compose_box(self) -> ComposeResult:
        yield VerticalScroll(id="payload")

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
                table.show_table(artifact)
                table.focus()
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
