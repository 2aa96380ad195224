"""What came of a RASP program: its variables, the values of one input, or its selectors beside their heads."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from sessions.artifacts import Table
from sessions.components import Head, Mlp, parse_component
from sessions.errors import CallError
from tui.panes.rasp_draft import arranged
from tui.panes.rasp_trace import Pair, Trace, outcome
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap
from tui.widgets.thumbnails import Thumbnails

Part = Literal["variables", "values", "matrices"]
PARTS: tuple[Part, ...] = ("variables", "values", "matrices")


class RaspResults(Vertical):
    """Draws one part at a time, below what the program made of the input. It moves nothing but its own cursors."""

    DEFAULT_CSS: ClassVar[str] = """
    RaspResults #rasp-outcome { height: auto; max-height: 2; padding: 0 1; }
    RaspResults RowTable { height: 1fr; }
    RaspResults #rasp-matrices { height: 1fr; }
    RaspResults #rasp-pair { height: 1fr; }
    RaspResults Heatmap { width: 1fr; height: 1fr; }
    RaspResults #rasp-pattern { border-left: solid $foreground 30%; }
    RaspResults Thumbnails { height: 12; border-top: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__(id="rasp-right")
        self.part: Part = "variables"
        self.trace = Trace()
        self.chosen = 0  # the pair shown, among the trace's
        self._checked: Table | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="rasp-outcome", markup=False)
        yield RowTable(id="rasp-variables")
        yield RowTable(id="rasp-values")
        with Vertical(id="rasp-matrices"):
            with Horizontal(id="rasp-pair"):
                yield Heatmap(id="rasp-selector")
                yield Heatmap(id="rasp-pattern")
            yield Thumbnails(id="rasp-all")

    @property
    def variables(self) -> RowTable:
        return self.query_one("#rasp-variables", RowTable)

    @property
    def selector(self) -> Heatmap:
        return self.query_one("#rasp-selector", Heatmap)

    @property
    def pattern(self) -> Heatmap:
        return self.query_one("#rasp-pattern", Heatmap)

    # ---- the variables

    def show_checked(self, checked: Table | None, *, wrong: bool, line: int) -> None:
        """The variables, those of a line marked. While a mistake stands, the last good ones stay."""
        self._checked = checked
        if checked is not None and not wrong:
            of = arranged(checked)
            self.variables.show(of.columns, of.rows, empty="no variables", marked=rows_of_line(of, line))
        elif checked is None or not self.variables.model.rows:
            self.variables.show((), (), empty="the variables of the program stand here as soon as it can be read")

    def mark_line(self, line: int, *, follow: bool) -> None:
        """Mark the variables of a line. `follow`: the cursor goes to the first of them."""
        table = self.variables
        marked = rows_of_line(arranged(self._checked), line) if self._checked is not None else ()
        if frozenset(marked) != table.marked:
            table.marked = frozenset(marked)
            table.refresh()
        if follow and marked:
            table.move_to(marked[0], quiet=True)

    # ---- one input: the values, and the matrices

    def show_trace(self, trace: Trace) -> None:
        """Another input is to be drawn, with the pair at the same place as before."""
        self.trace = trace
        self.chosen = min(self.chosen, max(0, len(trace.pairs) - 1))

    def draw_trace(self) -> None:
        values = self.query_one("#rasp-values", RowTable)
        if self.trace.values is not None:
            values.show_table(self.trace.values)
        else:
            values.show((), (), empty="every s-op's values stand here")
        self._draw_pair()

    def draw_outcome(self, *, outdated: str, key: str) -> None:
        """What the input gave. `outdated`: why that is not about the draft; `key` runs an input."""
        said = outcome(self.trace)
        if not said and self.part != "variables":
            said, outdated = f"no input has been run yet: {key} runs it", ""
        elif self.part == "matrices" and not self.trace.pairs:
            said += "; the program has no selectors"
        parts: list[Content] = [Content(said)] if said else []
        if said and outdated:
            parts = [Content.styled(f"{outdated}: ", Style(dim=True)), *parts]
        self.query_one("#rasp-outcome", Static).update(Content.assemble(*parts))
        self.query_one("#rasp-outcome").display = bool(said)

    @property
    def pair(self) -> Pair | None:
        pairs = self.trace.pairs
        return pairs[self.chosen] if self.chosen < len(pairs) else None

    def go_to_pair(self, at: int) -> bool:
        """Show another pair; False if there is none, or it is shown already."""
        if at == self.chosen or not 0 <= at < len(self.trace.pairs):
            return False
        self.chosen = at
        self._draw_pair()
        return True

    def _draw_pair(self) -> None:
        """One selector beside its head's pattern, and all of them small."""
        left, right = self.selector, self.pattern
        pair = self.pair
        selector = self.trace.selector(pair) if pair is not None else None
        pattern = self.trace.pattern(pair) if pair is not None else None
        left.display, right.display = selector is not None, pattern is not None
        if pair is not None and selector is not None:
            left.show(*selector, limits=(0.0, 1.0), limits_name="selected", title=f"selector {pair.name}")
        if pair is not None and pattern is not None:
            right.show(*pattern, limits=(0.0, 1.0), limits_name="fixed", unit="attention", title=f"head {pair.head}")
        grid = self.query_one("#rasp-all", Thumbnails)
        if self.trace.pairs:
            grid.show(*self.trace.thumbnails(), shared=True, title="all selectors and their heads")
            grid.select(0, self.chosen)

    def follow(self, moved: Heatmap, row: int, col: int) -> tuple[int, int] | None:
        """The cursors of the selector and of the pattern stand on the same pair of tokens: its query and its key."""
        pair = self.pair
        if pair is None:
            return None
        by = self.trace.offset(pair)
        if moved is self.selector:
            other, there = self.pattern, (row + by, col + by)
            tokens = there
        else:
            other, there = self.selector, (row - by, col - by)
            tokens = (row, col)
        if min(there) >= 0 and other.display:
            other.move_cursor(*there, quiet=True)
        return tokens

    def cycle_width(self) -> str:
        """Another width of the cells; its name."""
        return [heatmap.cycle_width() for heatmap in self.query(Heatmap)][-1]

    def cycle_map(self) -> str:
        """Another colour map; its name."""
        return [heatmap.cycle_map() for heatmap in self.query(Heatmap)][-1]

    # ---- which part

    def next_part(self) -> None:
        """The variables, the values of an input, the matrices."""
        self.part = PARTS[(PARTS.index(self.part) + 1) % len(PARTS)]

    def fit(self, *, tall: bool) -> None:
        """Show the part's widgets. `tall`: there is room for all matrices below the two."""
        self.query_one("#rasp-variables").display = self.part == "variables"
        self.query_one("#rasp-values").display = self.part == "values"
        matrices = self.part == "matrices"
        self.query_one("#rasp-matrices").display = matrices
        self.query_one("#rasp-all").display = matrices and tall and len(self.trace.pairs) > 1

    def main(self) -> Widget | None:
        """What takes the keys of the part; None where nothing of it is drawn."""
        names = {"variables": "#rasp-variables", "values": "#rasp-values", "matrices": "#rasp-selector"}
        widget = self.query_one(names[self.part])
        if not widget.display and self.part == "matrices":
            widget = self.pattern
        return widget if widget.display else None

    def told(self, query: int | None, key: int | None) -> list[str]:
        """The exact numbers under the cursor, and what the input gave."""
        lines: list[str] = []
        table = self.variables
        if self.part == "matrices" and (pair := self.pair) is not None:
            lines += self.trace.told(pair, query, key)
        elif table.row is not None:
            names = [column.name for column in table.model.columns]
            lines += [f"{n}: {v}" for n, v in zip(names, table.model.rows[table.row]) if v not in (None, "")]
        if said := outcome(self.trace):
            lines += ["", said]
        return lines


def rows_of_line(table: Table, line: int) -> tuple[int, ...]:
    """The variables that a line of the program defines."""
    at = next((i for i, column in enumerate(table.columns) if column.name == "line"), None)
    return tuple(i for i, row in enumerate(table.rows) if at is not None and row[at] == line)


def part_of_model(named: str) -> Head | Mlp | None:
    """The first head or MLP that a cell names."""
    for word in named.replace(",", " ").split():
        try:
            component = parse_component(word)
        except CallError:
            continue
        if isinstance(component, Head | Mlp):
            return component
    return None
