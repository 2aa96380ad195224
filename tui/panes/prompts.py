"""The Data view: a set of prompts as a table; the row under the cursor as the model's tokens, clean over corrupt."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from sessions.artifacts import Column, PromptRow, Prompts
from tui.panes.base import Empty, Pane, Shown
from tui.panes.model import COMPILED
from tui.selection import Selection
from tui.widgets.data_table import RowTable

FEW_REJECTED = 3  # told under the chosen prompt
OF_COMPILED = "rasp.prompts"


class PromptsPane(Pane):
    VIEW: ClassVar[str] = "data"
    DEFAULT_CSS = """
    PromptsPane RowTable { height: 1fr; min-height: 5; }
    PromptsPane #row { height: auto; max-height: 65%; border-top: solid $foreground 30%; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._side_by_side = True

    def compose_body(self) -> ComposeResult:
        yield RowTable(id="prompts")
        with VerticalScroll(id="row", can_focus=False):
            yield Static(id="tokens", markup=False)

    def empty(self) -> Empty:
        return Empty(
            "Here stand the prompts: clean and corrupt, with their answers, and the chosen one token by token.",
            "No prompts have been made or opened yet (o opens a file of your own).",
            "data.make",
        )

    @property
    def prompts(self) -> Prompts | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Prompts) else None

    @property
    def row(self) -> PromptRow | None:
        rows = self.prompts.rows if self.prompts else ()
        return rows[self.selection.now.row] if self.selection.now.row < len(rows) else None

    def unable(self, verb: str) -> str | None:
        if verb in ("make", "file"):
            return None if self.investigation.client is not None else "the engine is not there yet"
        if self.prompts is None:
            return "there are no prompts here yet"
        if verb == "check" and not any(row.problem for row in self.prompts.rows):
            tokenizer = self.prompts.tokenizer
            return f"every prompt can be used with {tokenizer}" if tokenizer else "no model has looked at these prompts"
        if verb == "next_set" and len(self.store.of_kind("prompts")) < 2:
            return "this is the only set"
        return None

    def choose(self) -> Any:
        """The chosen prompts: this view shows exactly what the other views use."""
        return self.store.stored(self.selection.now.prompts)

    def heading(self) -> str:
        prompts = self.prompts
        if prompts is None:
            return ""
        unusable = sum(bool(row.problem) for row in prompts.rows)
        count = f"{len(prompts.rows):,} prompts"
        parts = [prompts.title] if prompts.title.endswith(count) else [prompts.title, count]
        parts += [f"{unusable} cannot be used"] if unusable else []
        parts += [f"{len(prompts.rejected)} rows rejected"] if prompts.rejected else []
        return " · ".join(parts)

    def selected_path(self) -> str:
        return f"prompt {self.selection.now.row + 1}" if self.prompts else ""

    def draw(self, shown: Shown | None) -> None:
        prompts = self.prompts
        if prompts is None:
            return
        columns = [Column("clean", "text")]
        if self._side_by_side and any(row.corrupt for row in prompts.rows):
            columns.append(Column("corrupt", "text"))
        columns += [Column("answer", "text"), Column("foil", "text"), Column("group", "text")]
        if any(row.problem for row in prompts.rows):
            columns.append(Column("problem", "text"))
        table = self.query_one(RowTable)
        table.show(columns, [_cells(row, [c.name for c in columns]) for row in prompts.rows])
        table.move_to(self.selection.now.row, quiet=True)
        self._write_row()

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if before.row != after.row:
            self.query_one(RowTable).move_to(after.row, quiet=True)
        if (before.row, before.query, before.key) != (after.row, after.query, after.key):
            self._write_row()

    def _write_row(self) -> None:
        row, prompts = self.row, self.prompts
        if row is None or prompts is None:
            self.query_one("#tokens", Static).update("")
            return
        shown = token_lines(row, prompts, max(20, self.size.width - 4))
        if prompts.rejected:
            shown = Content("\n").join((shown, Content(self._rejected(prompts.rejected))))
        self.query_one("#tokens", Static).update(shown)

    def _rejected(self, reasons: tuple[str, ...]) -> str:
        """The file's rows that were not taken, with line and reason; the inspector has more of them."""
        lines = ["rejected rows of the file:", *reasons[:FEW_REJECTED]]
        if len(reasons) > FEW_REJECTED:
            lines.append(
                f"and {len(reasons) - FEW_REJECTED} more: {self.app.keymap.shown('pane.inspector')} shows them"
            )
        return "\n".join(lines)

    def on_resize(self) -> None:
        self._write_row()

    def inspect(self) -> Content | str:
        row, prompts = self.row, self.prompts
        if row is None or prompts is None:
            return ""
        lines = [f"prompt {self.selection.now.row + 1} of {len(prompts.rows)}", f"clean: {row.clean}"]
        lines += [f"corrupt: {row.corrupt}"] if row.corrupt else []
        lines += [f"answers: {' | '.join(row.answers)}"] if row.answers else []
        lines += [f"foils: {' | '.join(row.foils)}"] if row.foils else []
        lines += [f"problem: {row.problem}"] if row.problem else []
        lines += ["", "rejected rows:", *prompts.rejected[:20]] if prompts.rejected else []
        return "\n".join(lines)

    def copy_text(self) -> str:
        row = self.row
        return "\t".join((row.clean, row.corrupt, "|".join(row.answers))) if row else ""

    def run_values(self) -> dict[str, Any]:
        return {"model": f"@{self.selection.now.model}"} if self.selection.now.model is not None else {}

    def state(self) -> dict[str, Any]:
        return {"side_by_side": self._side_by_side}

    def set_state(self, state: dict[str, Any]) -> None:
        self._side_by_side = state.get("side_by_side", True) is True

    # ---- doing

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        event.stop()
        self.selection.change(walk=True, row=event.row, query=None, key=None)

    def do_make(self) -> None:
        self.app.open_form(self._making(), self.run_values())

    def do_run(self) -> None:
        self.do_make()

    def _making(self) -> str:
        """The operation that makes prompts: a compiled model knows no words, and takes inputs of its own."""
        chosen = self.selection.now.model
        model = self.store.loaded(chosen) if chosen is not None else None
        compiled = self.model_family() == "transformer" and getattr(model, "architecture", "") in COMPILED
        return OF_COMPILED if compiled and OF_COMPILED in self.store.catalogue else self.view.operation

    def do_file(self) -> None:
        self.app.open_form("prompts.open", self.run_values())

    def do_side(self) -> None:
        self._side_by_side = not self._side_by_side
        self.draw(self.shown)

    def do_check(self) -> None:
        """To the next row with a problem, round the end."""
        rows = self.prompts.rows if self.prompts else ()
        here = self.selection.now.row
        order = [*range(here + 1, len(rows)), *range(here + 1)]
        found = next((i for i in order if rows[i].problem), None)
        if found is not None:
            self.selection.change(row=found)
            self.app.say(f"prompt {found + 1}: {rows[found].problem}")

    def do_next_set(self) -> None:
        sets = [stored.id for stored in self.store.of_kind("prompts")]
        now = self.selection.now.prompts
        following = sets[(sets.index(now) + 1) % len(sets)] if now in sets else sets[0]
        self.selection.change(prompts=following, row=0, query=None, key=None)


def _cells(row: PromptRow, columns: list[str]) -> tuple[str, ...]:
    values = {
        "clean": row.clean, "corrupt": row.corrupt, "answer": "|".join(row.answers), "foil": "|".join(row.foils),
        "group": row.group, "problem": row.problem,
    }  # fmt: skip
    return tuple(values[name] for name in columns)


def token_lines(row: PromptRow, prompts: Prompts, width: int) -> Content:
    """The row's tokens, clean over corrupt, a column per position; names of positions above, differences `≠` below."""
    clean = row.clean_tokens or tuple(row.clean.split(" "))
    corrupt = row.corrupt_tokens or (tuple(row.corrupt.split(" ")) if row.corrupt else ())
    names = {at: name for name, at in row.positions.items()} if row.clean_tokens else {}
    parts: list[Content | str | tuple[str, Style]] = []
    if not row.clean_tokens:
        why = f"{prompts.tokenizer} cannot read this prompt" if prompts.tokenizer else "no model has looked at it yet"
        parts.append((f"words, not tokens: {why}\n", Style(dim=True)))
    count = max(len(clean), len(corrupt))
    cells = []
    for at in range(count):
        above = clean[at] if at < len(clean) else ""
        below = corrupt[at] if at < len(corrupt) else ""
        texts = (names.get(at, ""), _token(above), _token(below) if corrupt else "")
        cells.append((max(map(len, texts)), *texts, bool(corrupt) and above != below))
    start = 0
    while start < count:
        end, used = start, 0
        while end < count and (used + cells[end][0] + 1 <= width or end == start):
            used += cells[end][0] + 1
            end += 1
        block = cells[start:end]
        if any(cell[1] for cell in block):
            parts += [("".join(f"{cell[1]:<{cell[0] + 1}}" for cell in block) + "\n", Style(dim=True))]
        parts += ["".join(f"{cell[2]:<{cell[0] + 1}}" for cell in block), "\n"]
        if corrupt:
            for cell in block:
                parts.append((f"{cell[3]:<{cell[0]}} ", Style(bold=True, underline=True) if cell[4] else Style()))
            parts.append("\n")
            parts.append(
                (
                    "".join(("≠" if cell[4] else " ").ljust(cell[0] + 1) for cell in block).rstrip() + "\n",
                    Style(dim=True),
                )
            )
        start = end
    if corrupt and row.clean_tokens and len(clean) != len(corrupt):
        parts.append((f"misaligned: {len(clean)} clean tokens, {len(corrupt)} corrupt\n", Style(bold=True)))
    if row.problem:
        parts.append((f"cannot be used: {row.problem}\n", Style(bold=True)))
    answers = f"answers {' '.join(map(_token, row.answers))}" if row.answers else ""
    foils = f"   foils {' '.join(map(_token, row.foils))}" if row.foils else ""
    parts.append((answers + foils, Style(dim=True)))
    return Content.assemble(*parts)


def _token(text: str) -> str:
    """A token with its blanks and line ends visible."""
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
