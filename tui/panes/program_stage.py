"""One stage on the way to a program, opened: its matrices, tables, proof texts, or why it is absent."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from sessions.artifacts import Matrix, Program, Table
from tui.panes.program_stages import Stage, preserved_of, sliced
from tui.panes.program_steps import Loop, Walk, row_at
from tui.panes.program_verdicts import proof_in_words
from tui.widgets.code_view import CodeView
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap

MATRICES = TABLES = 3  # of one stage drawn at once
HEATMAP_FRAME = 5  # lines of a heatmap beside its rows
LEAST_TABLE, MOST_SAID = 5, 8


class StagePart(Vertical):
    """Draws the artifacts of a stage below each other. The automaton and the states have drawings of their own."""

    DEFAULT_CSS: ClassVar[str] = """
    StagePart { width: 1fr; height: 1fr; }
    StagePart .stage-words { height: auto; max-height: 6; padding: 0 1; color: $text-muted; }
    StagePart Heatmap, StagePart RowTable, StagePart CodeView { height: 1fr; }
    StagePart RowTable { border-top: solid $foreground 30%; border-title-color: $text; }
    StagePart RowTable:focus { border-top: solid $accent; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[int] = []  # of each matrix drawn
        self._said: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(classes="stage-words", markup=False)
        for _ in range(MATRICES):
            yield Heatmap()
        for _ in range(TABLES):
            yield RowTable()
        yield CodeView(id="stage-proof")

    @property
    def tables(self) -> list[RowTable]:
        """Those that are drawn."""
        return [table for table in self.query(RowTable) if table.display]

    def show(self, stage: Stage | None, program: Program | None) -> None:
        """Draw this stage of the program; a stage that is absent says why."""
        held = [artifact for _, artifact in stage.held] if stage is not None else []
        matrices = [part for a in held if isinstance(a, Matrix) for part in _last_slices(a)]
        matrices = matrices[:MATRICES]
        tables = [a for a in held if isinstance(a, Table)]
        self._rows = [len(matrix.values) for matrix in matrices]
        for at, heatmap in enumerate(self.query(Heatmap)):
            heatmap.display = at < len(matrices)
            if heatmap.display:
                matrix = matrices[at]
                heatmap.show(
                    matrix.values,
                    *matrix.axes,
                    scale=matrix.scale,
                    unit=matrix.unit,
                    marks=matrix.marks,
                    title=matrix.title,
                )
        for at, table in enumerate(self.query(RowTable)):
            table.display = at < len(tables)
            if table.display:
                table.border_title = tables[at].title
                table.show_table(tables[at])
        self._show_proof(stage, program)
        self._said = self._words(stage, [*matrices, *tables])
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """What has room: of several matrices the first goes first, of what is said all but the first line."""
        height = self.size.height
        tables = sum(table.display for table in self.query(RowTable))
        room = height - tables * LEAST_TABLE
        heatmaps = list(self.query(Heatmap))[: len(self._rows)]
        needed = [rows + HEATMAP_FRAME for rows in self._rows]
        for at, heatmap in enumerate(heatmaps):
            heatmap.display = at == len(heatmaps) - 1 or sum(needed[at:]) + 1 <= room
            heatmap.styles.height = needed[at] if needed[at] <= room // max(1, len(heatmaps)) or tables else "1fr"
        left = room - sum(n for n, heatmap in zip(needed, heatmaps) if heatmap.display)
        said = self._said if not (heatmaps or tables) else self._said[: max(1, min(MOST_SAID, left))]
        line = self.query_one(".stage-words", Static)
        line.display = bool(said)
        line.update("\n".join(said))

    def follow(self, walk: Walk | None, position: int, loop: Loop | None) -> None:
        """The row of a truth table that an input's position is."""
        if walk is None:
            return
        for table in self.tables:
            row = row_at(table.model.columns, table.model.rows, walk, position, loop)
            if row is not None:
                table.move_to(row, quiet=True)

    def _words(self, stage: Stage | None, drawn: list[Matrix | Table]) -> list[str]:
        if stage is None:
            return []
        if not stage.there:
            return [f"{stage.name}: absent. {stage.reason[:1].upper()}{stage.reason[1:]}."]
        words = [artifact.summary for artifact in drawn if artifact.summary]
        for artifact in drawn:
            if isinstance(artifact, Matrix):
                words += preserved_of(artifact)
        return list(dict.fromkeys(words))

    def _show_proof(self, stage: Stage | None, program: Program | None) -> None:
        view = self.query_one("#stage-proof", CodeView)
        view.display = stage is not None and stage.name == "proof" and stage.there
        if stage is None or program is None or not view.display:
            return
        texts = [artifact for _, artifact in stage.held if isinstance(artifact, Program)]
        proofs = [proof_in_words(proof, program.proofs)._replace(text=str(proof), short="") for proof in program.proofs]
        view.show(
            "\n\n".join(text.source for text in texts),
            texts[0].language if texts else "smt2",
            said=proofs,
            empty="what was proved stands below; it has not been written out for a solver",
        )


def _last_slices(matrix: Matrix) -> list[Matrix]:
    """A matrix as it is drawn; of one with a slice for each step, the first and the last: before and after."""
    if matrix.values.ndim == 2:
        return [matrix]
    if matrix.values.ndim != 3 or not len(matrix.values):
        return []
    last = len(matrix.values) - 1
    return [sliced(matrix, at) for at in dict.fromkeys((0, last))]
