"""One stage on the way to a program, opened: its matrices, tables, proof texts, or why it is absent."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from sessions.artifacts import Matrix, Program, Table
from tui.panes.program_stages import Stage, preserved_of
from tui.panes.program_steps import Loop, Walk, row_at
from tui.panes.program_verdicts import proof_in_words
from tui.widgets.code_view import CodeView
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap

MATRICES = TABLES = 3  # of one stage drawn at once


class StagePart(Vertical):
    """Draws the artifacts of a stage below each other. The automaton and the states have drawings of their own."""

    DEFAULT_CSS: ClassVar[str] = """
    StagePart { width: 1fr; height: 1fr; }
    StagePart .stage-words { height: auto; max-height: 6; padding: 0 1; color: $text-muted; }
    StagePart Heatmap, StagePart RowTable, StagePart CodeView { height: 1fr; }
    StagePart RowTable { border-top: solid $foreground 30%; border-title-color: $text; }
    StagePart RowTable:focus { border-top: solid $accent; }
    """

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
        matrices = [a for a in held if isinstance(a, Matrix) and a.values.ndim == 2]
        tables = [a for a in held if isinstance(a, Table)]
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
        words = self._words(stage, [*matrices, *tables])
        line = self.query_one(".stage-words", Static)
        line.display = bool(words)
        line.update("\n".join(words))

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
        more = len([a for _, a in stage.held if isinstance(a, Matrix | Table)]) - len(drawn)
        return [*words, f"and {more} more: b lists all results"] if more > 0 else words

    def _show_proof(self, stage: Stage | None, program: Program | None) -> None:
        view = self.query_one("#stage-proof", CodeView)
        view.display = stage is not None and stage.name == "proof" and stage.there
        if stage is None or program is None or not view.display:
            return
        texts = [artifact for _, artifact in stage.held if isinstance(artifact, Program)]
        proofs = [proof_in_words(proof, program.proofs)._replace(text=str(proof)) for proof in program.proofs]
        view.show(
            "\n\n".join(text.source for text in texts),
            texts[0].language if texts else "smt2",
            said=proofs,
            empty="what was proved stands below; it has not been written out for a solver",
        )
