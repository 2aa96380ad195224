"""The Attention view: where each token looks, one head large or all heads small; it asks for patterns not there yet."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.content import Content

from sessions.artifacts import Matrix, Model, Prompts, Scale
from sessions.components import Component, Head
from sessions.steps import FINISHED, Stored
from tui.panes.attention_slices import (
    OPERATION,
    SCALINGS,
    SIDES,
    Patterns,
    Scaling,
    Side,
    Wanted,
    find,
    patterns_of,
    shown_by,
)
from tui.panes.base import Empty, Pane, Shown
from tui.selection import Selection
from tui.store import Changes
from tui.widgets.heatmap import Heatmap
from tui.widgets.thumbnails import Thumbnails
from tui.widgets.tokens import TokenStrip

GRID_LINES = 12  # with so many lines to spare, all heads stand below the one


class AttentionPane(Pane):
    VIEW: ClassVar[str] = "attention"
    DEFAULT_CSS = """
    AttentionPane Heatmap, AttentionPane Thumbnails { height: 1fr; }
    AttentionPane Thumbnails.-below { border-top: solid $foreground 30%; }
    AttentionPane TokenStrip { height: 6; border-top: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._scaling: Scaling = "per head"
        self._all_heads = False
        self._tokens = False
        self._patterns: Patterns | None = None
        self._asked: set[tuple[int, int, Wanted]] = set()  # an answer that never came is not asked for again

    def compose_body(self) -> ComposeResult:
        yield Heatmap()
        yield Thumbnails()
        yield TokenStrip()

    # ---- what is shown

    def empty(self) -> Empty:
        appears = "Here stands where every token looks: queries down, keys across."
        reason = self._cannot_ask()
        if self.selection.now.model is None:
            return Empty(appears, "No model is loaded yet.", "view.model")
        if self.selection.now.prompts is None:
            return Empty(appears, "There are no prompts yet.", "view.data")
        return Empty(appears, reason or self._failed() or "The patterns are being computed.", "view.run")

    def _failed(self) -> str:
        """What became of the last time these patterns were asked for, when it ended without them."""
        now = self.selection.now
        asked = [s for s in self.store.steps if s.operation == OPERATION]
        last = next((s for s in reversed(asked) if s.inputs.get("model") == now.model), None)
        if last is None or last.inputs.get("prompts") != now.prompts or last.status not in FINISHED:
            return ""
        reason = f": {last.error}" if last.error is not None else ""
        return f"Step {last.id}, which was to compute the patterns, {last.status}{reason}. Press r to ask again."

    def fits_partial(self, artifact: Any, step: Any) -> bool:
        return False  # the operation answers whole

    def choose(self) -> Stored | None:
        """The chosen patterns; where they are not of the chosen model, prompts and row, those that are."""
        named = super().choose()
        if named is None or self.store.horizon is not None:
            return named
        artifact = self.store.loaded(named.id)
        side, average = self._kind_of(named, artifact)
        better = self._find(Wanted(self.selection.now.row, side, average))
        return better or named

    def _kind_of(self, stored: Stored, artifact: Any) -> tuple[Side, bool]:
        step = self.store.step(stored.step)
        if isinstance(artifact, Matrix):
            now = shown_by(artifact, 0)
            return now.side, now.average
        given = step.parameters if step is not None else {}
        side = given.get("side", "clean")
        return (side if side in SIDES else "clean"), bool(given.get("average", False))

    def _find(self, wanted: Wanted) -> Stored | None:
        now = self.selection.now
        model, prompts = self.store.stored(now.model), self.store.stored(now.prompts)
        if model is None or prompts is None:
            return None
        pairs = [(s, step) for s in self.store.artifacts if (step := self.store.step(s.step)) is not None]
        hashes = {s.id: s.sha256 for s in self.store.artifacts}
        return find(wanted, pairs, model.sha256, prompts.sha256, self._rows(), hashes)

    def _rows(self) -> int:
        found = self._prompts()
        return len(found.rows) if found is not None else 0

    def _prompts(self) -> Prompts | None:
        chosen = self.selection.now.prompts
        found = self.store.loaded(chosen) if chosen is not None else None
        return found if isinstance(found, Prompts) else None

    @property
    def matrix(self) -> Matrix | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Matrix) else None

    @property
    def wanted(self) -> Wanted:
        """What the view shows, or would show if it were there. A chosen result counts before it is fetched."""
        row, chosen = self.selection.now.row, super().choose()
        if chosen is not None and chosen.id == self.selection.now.shown.get(self.VIEW):
            return Wanted(row, *self._kind_of(chosen, self.store.loaded(chosen.id)))
        return shown_by(self.matrix, row) if self.matrix is not None else Wanted(row)

    def draw(self, shown: Shown | None) -> None:
        self._write()

    def _write(self) -> None:
        now = self.selection.now
        self._patterns = patterns_of(self.matrix, now.row, self._prompts()) if self.matrix is not None else None
        heatmap, grid, strip = self.query_one(Heatmap), self.query_one(Thumbnails), self.query_one(TokenStrip)
        found = self._patterns
        strip.display = self._tokens and found is not None
        rows = found.values.shape[2] + 5 if found is not None else 0
        both = not self._all_heads and self.size.height - rows - (6 if strip.display else 0) >= GRID_LINES
        heatmap.display, grid.display = not self._all_heads, self._all_heads or both
        heatmap.styles.height = rows if both else "1fr"
        grid.set_class(both, "-below")
        if found is None:
            return
        layers, heads = found.values.shape[:2]
        layer, head = min(now.layer, layers - 1), min(now.head or 0, heads - 1)
        scale: Scale = "diverging" if found.difference else "sequential"
        if grid.display:
            labels = [[f"L{i}H{j}" for j in range(heads)] for i in range(layers)]
            grid.show(found.values, labels, scale=scale, shared=self._scaling != "per head", title=found.title)
            grid.select(layer, head)
        if heatmap.display:
            query, key = found.axes
            names = {"per head": "this head's range", "shared": "all heads", "fixed": "fixed"}
            heatmap.show(
                found.values[layer, head],
                query,
                key,
                scale=scale,
                limits=found.limits(self._scaling),
                limits_name=names[self._scaling],
                unit="attention",
                title="queries down, keys across",
            )
            if now.query is not None and now.key is not None:
                heatmap.move_cursor(now.query, now.key, quiet=True)
        prompts = self._prompts()
        if self._tokens and prompts is not None and now.row < len(prompts.rows):
            strip.show_row(prompts.rows[now.row])

    def heading(self) -> str:
        if self._patterns is None:
            return self.matrix.title if self.matrix is not None else ""
        now = self.selection.now
        head = "all heads" if self._all_heads else f"L{now.layer}H{now.head or 0}"
        note = " (an MLP has no pattern: head 0)" if now.head is None and not self._all_heads else ""
        return f"{head}{note} · {self._patterns.title}"

    def component(self) -> Component | None:
        if self.shown is None:
            return None
        return Head(self.selection.now.layer, self.selection.now.head or 0)  # as the path and the drawing take it

    def selected_path(self) -> str:
        now = self.selection.now
        words = [f"prompt {now.row + 1}", f"L{now.layer}H{now.head or 0}"]
        if now.query is not None and now.key is not None:
            words.append(f"{now.query}→{now.key}")
        return " ".join(words)

    def inspect(self) -> Content | str:
        found = self._patterns
        if found is None:
            return ""
        now = self.selection.now
        layer, head = min(now.layer, found.values.shape[0] - 1), min(now.head or 0, found.values.shape[1] - 1)
        lines = [f"L{layer}H{head}", found.title]
        size = found.values.shape[2]
        if now.query is not None and now.key is not None and now.query < size and now.key < size:
            row = found.values[layer, head, now.query]
            names = found.tokens or tuple(str(i) for i in range(size))
            lines += [f"query {now.query} {names[now.query]!r}", f"key {now.key} {names[now.key]!r}"]
            lines += [f"attention {float(row[now.key]):.6g}", "", "this query looks most at:"]
            best = sorted(range(size), key=lambda k: -abs(float(row[k])))[:6]
            lines += [f"{float(row[k]):7.3f}  {k} {names[k]!r}" for k in best]
        return "\n".join(lines)

    def copy_text(self) -> str:
        return self.query_one(Heatmap).picture.readout()

    def run_values(self) -> dict[str, Any]:
        now = self.selection.now
        named = (("model", now.model), ("prompts", now.prompts))
        return {n: f"@{number}" for n, number in named if number is not None} | {"first": now.row + 1, "count": 1}

    # ---- asking the engine for what is not there

    def _cannot_ask(self) -> str | None:
        """Why patterns cannot be asked for now."""
        now = self.selection.now
        if now.model is None or now.prompts is None:
            return "patterns need a model and prompts"
        model = self.store.loaded(now.model)
        if isinstance(model, Model) and model.family != "transformer":
            kind = "a recurrent network" if model.family == "rnn" else model.architecture.replace("-", " ")
            return f"{model.title} is {kind} and has no attention patterns to ask for"
        if self.store.horizon is not None:
            return "while replaying nothing is computed"
        if self.investigation.client is None or OPERATION not in self.store.catalogue:
            return "the engine is not there yet"
        return None

    def _ensure(self, wanted: Wanted) -> None:
        """Show these patterns: from the file, else by asking the engine, once."""
        stored = self._find(wanted)
        now = self.selection.now
        if stored is not None:
            if self.shown is None or self.shown.stored is None or self.shown.stored.id != stored.id:
                self.selection.show(self.VIEW, stored.id)
            return
        if self._cannot_ask() is not None or now.model is None or now.prompts is None:
            return
        if not isinstance(self.store.loaded(now.model), Model) or self._prompts() is None:
            self.run_worker(self._fetch_inputs(now.model, now.prompts), group="inputs", exclusive=True)
            return
        question = (now.model, now.prompts, wanted)
        if question not in self._asked:
            self._asked.add(question)
            self.app.start(OPERATION, wanted.request(now.model, now.prompts))

    async def _fetch_inputs(self, model: int, prompts: int) -> None:
        await self.investigation.fetch(model)
        await self.investigation.fetch(prompts)

    def store_changed(self, changes: Changes) -> None:
        if changes & {"catalogue", "engine", "artifacts", "loaded", "horizon"}:
            self._ensure(self.wanted)
            if "loaded" in changes:
                self._write()
                self.retitle()

    def on_resize(self) -> None:
        self._write()

    # ---- the selection

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if (before.row, before.model, before.prompts) != (after.row, after.model, after.prompts):
            self._ensure(self.wanted)
            self.refresh_pane()
        if (before.row, before.layer, before.head) != (after.row, after.layer, after.head):
            self._write()
        elif (before.query, before.key) != (after.query, after.key) and after.query is not None:
            self.query_one(Heatmap).move_cursor(after.query, after.key or 0, quiet=True)

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        event.stop()
        self.selection.change(walk=True, query=event.row, key=event.col)

    def on_heatmap_selected(self, event: Heatmap.Selected) -> None:
        event.stop()
        self.selection.change(query=event.row, key=event.col)

    def on_thumbnails_moved(self, event: Thumbnails.Moved) -> None:
        event.stop()
        self.selection.change(walk=True, layer=event.row, head=event.col)

    def on_thumbnails_selected(self, event: Thumbnails.Selected) -> None:
        event.stop()
        self.selection.change(layer=event.row, head=event.col)
        if self._all_heads:
            self.do_grid()

    def on_token_strip_token_moved(self, event: TokenStrip.TokenMoved) -> None:
        event.stop()
        self.selection.change(walk=True, query=event.position, key=self.selection.now.key or 0)

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        if verb in ("side", "average") and self._cannot_ask() is not None and self._next_is_missing(verb):
            return self._cannot_ask()
        if verb in ("side",) and not self._has_corrupt():
            return "these prompts have no corrupt side"
        if verb in ("width", "zoom", "map") and self._all_heads:
            return "only for one head: t shows one"
        return super().unable(verb)

    def _has_corrupt(self) -> bool:
        prompts, row = self._prompts(), self.selection.now.row
        return prompts is None or (row < len(prompts.rows) and bool(prompts.rows[row].corrupt))

    def _following(self, verb: str) -> Wanted:
        now = self.wanted
        if verb == "average":
            return Wanted(now.row, now.side, not now.average)
        return Wanted(now.row, SIDES[(SIDES.index(now.side) + 1) % len(SIDES)], now.average)

    def _next_is_missing(self, verb: str) -> bool:
        return self._find(self._following(verb)) is None

    def _change(self, wanted: Wanted) -> None:
        # A person who asks again wants it tried again.
        now = self.selection.now
        if now.model is not None and now.prompts is not None:
            self._asked.discard((now.model, now.prompts, wanted))
        self._ensure(wanted)

    def do_side(self) -> None:
        self._change(self._following("side"))

    def do_average(self) -> None:
        self._change(self._following("average"))

    def do_grid(self) -> None:
        self._all_heads = not self._all_heads
        self._write()
        self.retitle()
        self.focus_first()

    def do_scale(self) -> None:
        self._scaling = SCALINGS[(SCALINGS.index(self._scaling) + 1) % len(SCALINGS)]
        self._write()
        self.app.say(f"colour scale: {self._scaling}")

    def do_width(self) -> None:
        self.app.say(f"cell width: {self.query_one(Heatmap).cycle_width()}")

    def do_map(self) -> None:
        self.app.say(f"colour map: {self.query_one(Heatmap).cycle_map()}")

    def do_zoom(self, steps: int) -> None:
        self.query_one(Heatmap).zoom(steps)

    def do_tokens(self) -> None:
        self._tokens = not self._tokens
        self._write()

    def state(self) -> dict[str, Any]:
        return {"scaling": self._scaling, "all_heads": self._all_heads, "tokens": self._tokens}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("scaling") in SCALINGS:
            self._scaling = state["scaling"]
        self._all_heads, self._tokens = state.get("all_heads") is True, state.get("tokens") is True
