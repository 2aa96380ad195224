"""An artifact that no view draws (a table, a series, a text), over the views."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from sessions.artifacts import Series, Table, Text
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
                head = " ".join([artifact.x_name, *(curve.name for curve in artifact.curves)])
                rows = [
                    " ".join([f"{x:g}", *(f"{curve.y[i]:.6g}" for curve in artifact.curves)])
                    for i, x in enumerate(artifact.x)
                ]
                await place.mount(Static("\n".join([artifact.summary, head, *rows]), markup=False))
                place.focus()
            case _:
                await place.mount(Static(f"{artifact.kind}\n\n{artifact.summary}", markup=False))
                place.focus()
