"""Stepping through an input: the field it is written in, and the ribbon of its positions."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from sessions.parameters import OperationInfo
from tui.panes.program_steps import Walk, as_written
from tui.widgets.step_ribbon import StepRibbon

STEP = "synthesis.step"
LEAST, MOST = 5, 14  # lines of the ribbon beside that of the positions
SHARE = 3  # of the view's height, one part in so many


class WalkPart(Vertical):
    """The lowest lines of the Program view. Nothing of it is drawn until an input is asked for."""

    DEFAULT_CSS: ClassVar[str] = """
    WalkPart { height: auto; }
    WalkPart #walk-line { height: 1; display: none; }
    WalkPart.-asking #walk-line { display: block; }
    WalkPart Static { width: auto; padding: 0 1; color: $text-muted; }
    WalkPart #walk-input { width: 1fr; }
    WalkPart StepRibbon { display: none; border-top: solid $foreground 30%; border-title-color: $text-muted; }
    WalkPart StepRibbon:focus { border-top: solid $accent; }
    WalkPart.-walking StepRibbon { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="program-walk")
        self.walk: Walk | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="walk-line"):
            yield Static("input", markup=False)
            yield Input(placeholder="like 0 1 1 0, or 0 1 | 1 1 for two; enter steps through it", id="walk-input")
        yield StepRibbon()

    def on_mount(self) -> None:
        self.field.cursor_blink = False

    @property
    def field(self) -> Input:
        return self.query_one("#walk-input", Input)

    @property
    def ribbon(self) -> StepRibbon:
        return self.query_one(StepRibbon)

    def ask(self) -> None:
        """Open the field."""
        self.add_class("-asking")
        self.field.focus(scroll_visible=False)

    def asked(self) -> None:
        """Close it."""
        self.remove_class("-asking")

    def show(self, walk: Walk | None, position: int, height: int) -> None:
        """Draw the positions of an input; `height` is the view's."""
        new = walk is not self.walk
        self.walk = walk
        self.set_class(walk is not None, "-walking")
        if walk is None:
            return
        most = max(LEAST, min(MOST, height // SHARE - 2))
        rows = walk.rows(most)
        self.ribbon.styles.height = len(rows) + 2
        wrong = [i for i in range(walk.length) if walk.agrees(i) is False]
        self.ribbon.show([(row.name, row.cells) for row in rows], walk.length, position, wrong)
        at = walk.first_difference()
        self.ribbon.border_title = (
            "network and program agree at every position" if at is None else f"they differ first at position {at + 1}"
        )
        if new and not self.field.value:
            self.field.value = as_written(walk.table.facts.get("inputs"))


def values_for(
    info: OperationInfo, sequences: object, *, program: int, model: int | None, graph: int | None
) -> dict[str, Any]:
    """What the stepping operation is given: its parameters by the names that it has."""
    values: dict[str, Any] = {}
    for field in info.fields:
        if field.kind == "program":
            values[field.name] = f"@{program}"
        elif field.kind == "model" and model is not None:
            values[field.name] = f"@{model}"
        elif field.kind == "graph" or field.name == "machine":
            values |= {field.name: f"@{graph}"} if graph is not None else {}
        elif field.name in ("inputs", "input", "sequence", "sequences"):
            values[field.name] = sequences
    return values
