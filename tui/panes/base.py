"""What every view is: a titled pane that follows the store and the selection, and knows why it is empty.

A view subclasses `Pane` and says what it draws:

- `compose_body` yields its widgets; `draw` fills them from the artifact to show (or `None`: then `empty` is shown).
- Which artifact: the one the selection names for this view, else the newest that `View.fits`; while a step runs whose
  partial result `fits_partial`, that. Views that draw no single artifact override `refresh_pane`.
- `selection_changed(before, after)`: move your cursors. Call `self.selection.change(layer=..., head=...)` for your own
  moves (`walk=True` for cursor keys); every view, this one too, then hears of it. Compare before you redraw.
- An action `on_pane("sweep.columns", ..., verb="columns")` of `tui/actions/` calls `self.do_columns()`, after
  `self.unable("columns")` said None. Movement keys call `action_cursor_left/right/up/down`, `action_cursor_first/last`,
  `action_page_up/down` and `action_half_page_up/down` of the focused widget, so h j k l work wherever arrows do.
- Work goes through `self.app.start(operation, values)` or `self.app.open_form(operation, values)`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.server.protocol import Progress
from sessions.errors import IwbError
from sessions.steps import FINISHED, Step, Stored
from tui.investigation import Investigation
from tui.selection import Selection, SelectionTrail
from tui.store import EVERYTHING, Changes, Store
from tui.views import VIEW_OF, View

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact, Artifact
    from sessions.components import Component
    from tui.app import IwbApp


class Empty(NamedTuple):
    """Why a pane shows nothing: what appears here, why it is empty now, and the action whose key fills it."""

    appears: str
    why: str
    action: str  # id of an action of the table


class Shown(NamedTuple):
    """The artifact a pane draws and where it is from. `stored` is None for a running step's partial result."""

    artifact: AnyArtifact
    stored: Stored | None
    step: Step | None
    progress: Progress | None = None
    stale: str = ""  # why this is not about the chosen model or prompts; empty: it is

    @property
    def live(self) -> bool:
        return self.stored is None

    def same_drawing(self, other: Shown | None) -> bool:
        """Whether the other would be drawn alike. By identity: comparing arrays costs more than drawing them."""
        return (
            other is not None
            and self.artifact is other.artifact
            and (self.stored, self.step, self.stale) == (other.stored, other.step, other.stale)
        )


class Pane(Vertical):
    """The base of all views. `VIEW` is its id in the table of views."""

    VIEW: ClassVar[str]
    NEEDS: ClassVar[str] = ""  # the family of models that the view's operation works on; empty: any

    DEFAULT_CSS = """
    Pane { height: 1fr; border-top: solid $foreground 30%; border-title-color: $text-muted; padding: 0; }
    Pane:focus-within { border-top: heavy $accent; border-title-color: $accent; border-title-style: bold; }
    Pane > .pane-empty { display: none; padding: 1 2; max-width: 100; height: auto; }
    Pane.-empty > .pane-empty { display: block; }
    Pane.-empty > .pane-body { display: none; }
    Pane > .pane-body { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id=f"view-{self.VIEW}")
        self.shown: Shown | None = None
        self._changes: Changes = frozenset()
        self._refresh_waits = False
        self._failure = ""
        self._title_written = ""
        self._ready = False  # mounted, with its widgets

    # ---- what a view says about itself

    @property
    def view(self) -> View:
        return VIEW_OF[self.VIEW]

    def compose_body(self) -> ComposeResult:
        """The view's widgets. The first that can be focused gets the focus."""
        yield from ()

    def draw(self, shown: Shown | None) -> None:
        """Fill the widgets. Called when the artifact, its partial result or its staleness changed."""

    def empty(self) -> Empty:
        """What to say when there is nothing to draw."""
        return Empty(self.view.purpose.split(". ")[0] + ".", "Nothing has been run yet.", "view.run")

    def heading(self) -> str:
        """The title line: what is shown, under which conditions."""
        return self.shown.artifact.title if self.shown else ""

    def inspect(self) -> Content | str:
        """What the inspector says about the selected thing: exact numbers. Markup-free text or Content."""
        return self.shown.artifact.summary if self.shown else ""

    def selected_path(self) -> str:
        """The selection as the status line's first part shows it, after the view's name."""
        return ""

    def selection_changed(self, before: Selection, after: Selection) -> None:
        """The shared selection moved. Only called while the view is shown; on showing, `before` is the empty one."""

    def store_changed(self, changes: Changes) -> None:
        """Something in the store changed. Only called while the view is shown, changes of one moment taken together."""

    def unable(self, verb: str) -> str | None:
        """Why the view's action `verb` cannot be done now; None when it can."""
        return "nothing is shown here yet" if self.shown is None else None

    def fits_partial(self, artifact: AnyArtifact, step: Step) -> bool:
        """Whether a running step's partial result is for this view."""
        probe = Stored(id=0, step=step.id, kind=_kind(artifact), title="", summary="", sha256="", bytes=0)
        return self.view.fits(probe, step)

    def noted(self) -> dict[str, int]:
        """What a note written here is about: `artifact` or `step`; empty for the whole investigation."""
        return {"artifact": self.shown.stored.id} if self.shown is not None and self.shown.stored is not None else {}

    def made_by(self) -> Step | None:
        """The step whose command line `Y` copies."""
        return self.shown.step if self.shown is not None else None

    def component(self) -> Component | None:
        """The head or MLP under the cursor, which the keys of the scope "head" ask about."""
        return None

    def copy_text(self) -> str:
        """What `y` copies."""
        return self.shown.artifact.summary or self.shown.artifact.title if self.shown else ""

    def state(self) -> dict[str, Any]:
        """What of the view's own settings (palette, sort order) is kept in the session file, as plain values."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave, perhaps from another version: ignore what does not fit."""

    def run_values(self) -> dict[str, Any]:
        """The values that the form of this view's operation starts with."""
        return {}

    # ---- what a view has at hand

    @property
    def app(self) -> IwbApp:  # type: ignore[override]  # every view lives in this app
        return cast("IwbApp", super().app)

    @property
    def investigation(self) -> Investigation:
        return self.app.investigation

    @property
    def store(self) -> Store:
        return self.app.investigation.store

    @property
    def selection(self) -> SelectionTrail:
        return self.app.investigation.selection

    def model_family(self) -> str:
        """`transformer`, `rnn`, or nothing while no model's handle is loaded."""
        chosen = self.selection.now.model
        model = self.store.loaded(chosen) if chosen is not None else None
        return str(getattr(model, "family", ""))

    def model_shape(self) -> tuple[int, int] | None:
        """(layers, heads) of the chosen transformer, when its handle is loaded."""
        chosen = self.selection.now.model
        model = self.store.loaded(chosen) if chosen is not None else None
        config: dict[str, Any] = getattr(model, "config", {})
        layers, heads = config.get("n_layers"), config.get("n_heads")
        return (layers, heads) if isinstance(layers, int) and isinstance(heads, int) else None

    # ---- which artifact, and drawing it

    def choose(self) -> Stored | None:
        """The stored artifact to show."""
        named = self.store.stored(self.selection.now.shown.get(self.VIEW))
        if named is not None and named in self.store.artifacts:
            return named
        for stored in reversed(self.store.artifacts):
            step = self.store.step(stored.step)
            if step is not None and self.view.fits(stored, step):
                return stored
        return None

    def live_step(self, chosen: Stored | None) -> Step | None:
        """The step whose partial result is to be shown: newest first, never older than the chosen artifact's."""
        if self.store.horizon is not None:
            return None
        for step_id in sorted(self.store.partials, reverse=True):
            step = self.store.step(step_id)
            if step is None or (chosen is not None and step_id < chosen.step and step.status in FINISHED):
                continue
            named = self.store.stored(self.selection.now.shown.get(self.VIEW))
            if step.status in FINISHED and named is not None and chosen is not None and named.step == chosen.step:
                continue  # the person went back to a stored result
            if self._partial(step) is not None:
                return step
        return None

    def _partial(self, step: Step) -> AnyArtifact | None:
        """The first of a step's partial results that is for this view."""
        return next((part for part in self.store.partials_of(step.id) if self.fits_partial(part, step)), None)

    def staleness(self, step: Step | None) -> str:
        """Why a result of `step` is not about what is chosen now, in words."""
        for kind, chosen in (("model", self.selection.now.model), ("prompts", self.selection.now.prompts)):
            used = self.store.stored(step.inputs.get(kind)) if step else None
            now = self.store.stored(chosen)
            if used is not None and now is not None and used.sha256 != now.sha256:
                return f"of {kind} @{used.id}, chosen is @{now.id}"
        return ""

    def refresh_pane(self) -> None:
        """Choose what to show and draw it, fetching it first if it is not in memory."""
        chosen = self.choose()
        live = self.live_step(chosen)
        if live is not None and (part := self._partial(live)) is not None:
            progress = self.store.progress.get(live.id)
            self._show(Shown(part, None, live, progress, self.staleness(live)))
        elif chosen is None:
            self._show(None)
        elif (payload := self.store.loaded(chosen.id)) is not None:
            step = self.store.step(chosen.step)
            self._show(Shown(payload, chosen, step, None, self.staleness(step)))
        else:
            self.app.behind(partial(self._fetch, chosen.id), group=f"fetch.{self.VIEW}", exclusive=True)

    async def _fetch(self, artifact: int) -> None:
        try:
            await self.investigation.fetch(artifact)  # the store then says `loaded`, and the pane draws
        except IwbError as error:
            self._failure = str(error)
            self._show(None)

    def _show(self, shown: Shown | None) -> None:
        if shown is not None:
            self._failure = ""
        previous, self.shown = self.shown, shown
        if shown is None or not shown.same_drawing(previous):
            self.set_class(shown is None, "-empty")
            if shown is None:
                self.query_one(".pane-empty", Static).update(self._empty_text())
            self.draw(shown)
        self.retitle()
        self.app.tells_anew(self)

    def retitle(self) -> None:
        """Write the title line: focus marker, view, heading, `stale` mark, progress."""
        parts = [self.view.title]  # what a short title must still say comes first
        if self.shown and self.shown.live and self.shown.step:
            step = self.shown.step
            done = self.shown.progress or step
            parts.append(f"{step.status} {done.done}/{done.total}")
        if self.shown and self.shown.stale:
            parts.append(f"stale: {self.shown.stale}")
        if self.store.horizon is not None:
            parts.append(f"replay at step {self.store.horizon}")
        parts.append(_without(self.view.title, self.heading()))
        marker = "▶ " if self.has_focus_within else "  "
        title = marker + " · ".join(p for p in parts if p)
        if title != self._title_written:  # setting it, even to the same, makes Textual render the whole view again
            self._title_written = title
            self.border_title = Content(title)

    def _empty_text(self) -> Content:
        if self._failure:
            return Content(f"This result cannot be shown.\n\n{self._failure}\n\n7 opens the history.")
        appears, why, action = self.empty()
        if self.NEEDS and self.model_family() not in ("", self.NEEDS):
            why = (
                f"The chosen model (@{self.selection.now.model}) is no {self.NEEDS}: choose or load one "
                "in Model, or choose one in the context pane (b)."
            )
            action = "view.model"
        under_way = next((step for step in self.store.running() if step.operation == self.view.operation), None)
        if under_way is not None:
            why = f"Step {under_way.id} ({under_way.operation}) is {under_way.status}: its first results come soon."
            action = "job.cancel"
        if self.store.engine.state == "starting" and not self.store.artifacts:
            why += " (The engine is still starting.)"
        key = self.app.keymap.shown(action)
        title = self.app.actions[action].title
        return Content(f"{appears}\n\n{why}\n\n{key}  {title}")

    # ---- following

    def compose(self) -> ComposeResult:
        yield Static(classes="pane-empty", markup=False)
        with Vertical(classes="pane-body"):
            yield from self.compose_body()

    def on_mount(self) -> None:
        self._ready = True
        self.set_state(self.investigation.view_state.get(f"view.{self.VIEW}", {}))
        self._stop = (self.store.listen(self._store_told), self.selection.listen(self._selection_told))
        self.revealed()

    def on_unmount(self) -> None:
        self._ready = False
        for stop in self._stop:
            stop()

    @property
    def on_top(self) -> bool:
        """Whether this view is the one shown (an overlay may lie over it)."""
        return self.app.view_id == self.VIEW

    def revealed(self) -> None:
        """The view came to the front: catch up with what happened meanwhile."""
        self._changes = EVERYTHING
        self._catch_up()
        self.selection_changed(Selection(), self.selection.now)

    def _store_told(self, changes: Changes) -> None:
        self._changes |= changes
        if self.on_top and not self._refresh_waits:
            self._refresh_waits = True
            self.call_later(self._catch_up)

    def _selection_told(self, before: Selection, after: Selection) -> None:
        if not self.on_top or not self._ready:
            return
        if (before.shown, before.model, before.prompts) != (after.shown, after.model, after.prompts):
            self.refresh_pane()
        self.selection_changed(before, after)
        self.retitle()

    def _catch_up(self) -> None:
        self._refresh_waits = False
        if not self._ready:
            return
        changes, self._changes = self._changes, frozenset()
        if changes & {"steps", "artifacts", "loaded", "partials", "progress", "horizon", "engine"}:
            self.refresh_pane()
        self.store_changed(changes)

    def on_descendant_focus(self) -> None:
        self.retitle()

    def on_descendant_blur(self) -> None:
        self.call_after_refresh(self.retitle)

    def focus_first(self) -> None:
        """Give the focus to the view's main widget."""
        for widget in self.query(Widget):
            if widget.focusable and widget.display:
                widget.focus(scroll_visible=False)
                return

    def leave_field(self) -> None:
        """`esc` in a text field of the view: give the focus to something that takes keys."""
        for widget in self.query(Widget):
            if widget.focusable and widget.display and not isinstance(widget, Input):
                widget.focus(scroll_visible=False)
                return
        self.screen.set_focus(None)

    # ---- what the keys of every view do; views override what means something else to them

    def do_run(self) -> None:
        """Open the form of this view's operation."""
        self.app.open_form(self.view.operation, self.run_values())

    def do_coarse(self, step: int) -> None:
        """`[` and `]`: a layer up or down."""
        shape = self.model_shape()
        if shape is not None:
            self.selection.change(walk=True, layer=max(0, min(shape[0] - 1, self.selection.now.layer + step)))

    def do_fine(self, step: int) -> None:
        """`{` and `}`: a head to the left or right."""
        shape = self.model_shape()
        if shape is not None:
            head = self.selection.now.head if self.selection.now.head is not None else -1
            self.selection.change(walk=True, head=max(0, min(shape[1] - 1, head + step)))

    def do_prompt(self, step: int) -> None:
        """`<` and `>`: the previous or next prompt."""
        chosen = self.selection.now.prompts
        prompts = self.store.loaded(chosen) if chosen is not None else None
        rows: tuple[Any, ...] = getattr(prompts, "rows", ())
        if rows:
            self.selection.change(walk=True, row=max(0, min(len(rows) - 1, self.selection.now.row + step)))


def _kind(artifact: Artifact) -> str:
    return artifact.kind


def _without(title: str, heading: str) -> str:
    """`Program Div_3` as `Div_3` behind the title `Program`; `Circuit of 4 heads` as it is."""
    rest = heading.removeprefix(f"{title} ")
    return heading if rest[:1].islower() else rest
