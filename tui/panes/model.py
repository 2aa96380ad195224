"""The Model view: what can be loaded on the left, the chosen model's card on the right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sessions.steps import FINISHED
from tui.panes.base import Empty, Pane, Shown
from tui.selection import Selection
from tui.status import memory
from tui.store import Changes

if TYPE_CHECKING:
    from sessions.artifacts import Model


LOADED, SOURCE = "loaded:", "source:"
DECOMPILE = "rasp.decompile"
COMPILED = ("rasp", "transformer")  # architectures of compiled models: ours, and a folder's that names none


class ModelPane(Pane):
    VIEW: ClassVar[str] = "model"
    DEFAULT_CSS = """
    ModelPane #sources { width: 40%; max-width: 50; }
    ModelPane OptionList { height: 1fr; border: none; background: $background; }
    ModelPane #card { width: 1fr; padding: 0 1; }
    ModelPane #source-label { height: 1; color: $text-muted; padding: 0 1; }
    """

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="sources"):
                yield OptionList(id="models", markup=False, compact=True)
                yield Static("a  Hugging Face name, folder or file:", id="source-label", markup=False)
                yield Input(id="source", placeholder="gpt2, ./checkpoint, net.safetensors")
            with VerticalScroll(id="card", can_focus=False):
                yield Static(id="card-text", markup=False)

    def __init__(self) -> None:
        super().__init__()
        self._listed: object = None
        self._decompiling: int | None = None  # the step that this view started

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    def empty(self) -> Empty:
        return Empty("Here stands the model's card.", "No model is loaded yet.", "model.load")

    def heading(self) -> str:
        return self.shown.artifact.title if self.shown else "none loaded yet"

    def selected_path(self) -> str:
        return self.shown.artifact.title if self.shown else ""

    def unable(self, verb: str) -> str | None:
        if verb == "open" and self._chosen_source() is None:
            return "no model is under the cursor"
        if verb == "decompile":
            return self._cannot_decompile()
        if verb == "use" and not (self._option_id() or "").startswith(LOADED):
            return "this model is not loaded yet: enter loads it"
        return None

    def inspect(self) -> str:
        model = _model(self.shown)
        if model is None:
            return "No model is loaded yet."
        return "\n".join(f"{name} {value}" for name, value in _card(model))

    # ---- drawing

    def refresh_pane(self) -> None:
        """The card of the chosen model. The list beside it is always there, so the pane is never empty as a whole."""
        chosen = self.store.stored(self.selection.now.model)
        payload = self.store.loaded(chosen.id) if chosen is not None else None
        if chosen is not None and payload is None:
            self.app.behind(partial(self._fetch, chosen.id), group="fetch.model", exclusive=True)
            return
        step = self.store.step(chosen.step) if chosen is not None else None
        self.shown = Shown(payload, chosen, step) if payload is not None else None
        self._list()
        self.draw(self.shown)
        self.retitle()
        self.app.tells_anew(self)

    def _show(self, shown: Shown | None) -> None:
        if shown is None and self._failure:
            self.query_one("#card-text", Static).update(self._failure)
        self.retitle()

    def draw(self, shown: Shown | None) -> None:
        self.query_one("#card-text", Static).update(self._card_text(shown))

    def _card_text(self, shown: Shown | None) -> Content:
        loading = [s for s in self.store.running() if s.operation == "models.load"]
        busy = [Content(f"loading {s.parameters.get('source', '')}: {s.status}\n\n") for s in loading]
        model = _model(shown)
        if model is None:
            appears, why, action = self.empty()
            state = " The engine is still starting." if self.store.engine.state == "starting" else ""
            key = self.app.keymap.shown(action)
            return Content.assemble(*busy, f"{appears}\n\n{why}{state}\n\n{key} loads the model under the cursor.")
        rows = [Content.assemble((f"{name:<12}", Style(dim=True)), value + "\n") for name, value in _card(model)]
        title = Content.styled(model.title + "\n\n", Style(bold=True))
        return Content.assemble(*busy, title, *rows)

    def store_changed(self, changes: Changes) -> None:
        if changes & {"artifacts", "catalogue", "horizon"}:
            self._list()
        if "steps" in changes:
            self.draw(self.shown)
            self._show_decompiled()

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if before.model != after.model:
            self._list()

    def _list(self) -> None:
        known: list[dict[str, Any]] = self.app.models_known.get("models", [])
        loaded = self.store.of_kind("model")
        listed = (loaded, len(known), self.selection.now.model, self.store.engine.state)
        if listed == self._listed or not self._ready:
            return
        self._listed = listed
        options = self.query_one(OptionList)
        at = self._option_id()
        options.clear_options()
        groups: list[tuple[str, list[Option]]] = [
            (
                "Loaded in this investigation",
                [
                    Option(
                        f"{'•' if a.id == self.selection.now.model else ' '} @{a.id} {a.title}", id=f"{LOADED}{a.id}"
                    )
                    for a in reversed(loaded)
                ],
            ),
            ("Bundled", [_source(m) for m in known if m.get("bundled", True)]),
            ("In this machine's Hugging Face cache", [_source(m) for m in known if not m.get("bundled", True)]),
        ]
        for title, entries in groups:
            if entries:
                options.add_option(Option(Content.styled(title, Style(bold=True)), disabled=True))
                options.add_options(entries)
        if not known:
            waiting = (
                "the engine is still starting" if self.app.investigation.client is None else "the list is on its way"
            )
            options.add_option(Option(f"bundled models: {waiting}", disabled=True))
        ids = [options.get_option_at_index(i).id for i in range(options.option_count)]
        options.highlighted = (
            ids.index(at)
            if at is not None and at in ids
            else next((i for i, x in enumerate(ids) if x is not None), None)
        )

    # ---- doing

    def _option_id(self) -> str | None:
        options = self.query_one(OptionList)
        if options.highlighted is None or options.highlighted >= options.option_count:
            return None
        return options.get_option_at_index(options.highlighted).id

    def _chosen_source(self) -> str | None:
        chosen = self._option_id()
        if chosen is None:
            return None
        if chosen.startswith(SOURCE):
            return chosen.removeprefix(SOURCE)
        stored = self.store.stored(int(chosen.removeprefix(LOADED)))
        step = self.store.step(stored.step) if stored else None
        return str(step.parameters.get("source", "")) if step else None

    def run_values(self) -> dict[str, Any]:
        source = self._chosen_source()
        return {"source": source} if source else {}

    def do_open(self) -> None:
        """A source: its loading form. One that is loaded already: make it the chosen one."""
        if (self._option_id() or "").startswith(LOADED):
            self.do_use()
        else:
            self.app.open_form("models.load", self.run_values())

    def do_use(self) -> None:
        stored = self.store.stored(int((self._option_id() or LOADED + "0").removeprefix(LOADED)))
        if stored is not None:
            self.investigation.show_results((stored,))

    def _cannot_decompile(self) -> str | None:
        chosen = _model(self.shown)
        if chosen is None:
            return "no model is chosen: enter loads one"
        if chosen.family != "transformer":
            return f"{chosen.title} is no transformer: r in Program extracts a program from it"
        if chosen.architecture not in COMPILED:
            return f"{chosen.title} was not compiled from RASP"
        if DECOMPILE not in self.store.catalogue:
            return (
                "the engine is not there yet" if self.investigation.client is None else "this engine cannot decompile"
            )
        return None

    async def do_decompile(self) -> None:
        """Have the chosen model decompiled; Program comes up with the result, if the person is still here then."""
        accepted = await self.investigation.run(DECOMPILE, {"model": f"@{self.selection.now.model}"})
        self._decompiling = accepted.step
        if not accepted.cached:
            self.app.say(f"step {accepted.step} {DECOMPILE} is under way: the program appears in Program")
        self._show_decompiled()

    def _show_decompiled(self) -> None:
        step = self.store.step(self._decompiling)
        if step is not None and step.status in FINISHED:
            self._decompiling = None
            if step.status == "done" and self.on_top:
                self.app.call_later(self.app.show_view, "program")

    def do_source(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        source = event.value.strip()
        if source:
            self.app.open_form("models.load", {"source": source})

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.do_open()


def _source(model: dict[str, Any]) -> Option:
    count = f" {model['parameters']:,} parameters" if model.get("parameters") else ""
    return Option(f"  {model['source']}{count}", id=f"{SOURCE}{model['source']}")


def _model(shown: Shown | None) -> Model | None:
    if shown is None:
        return None
    from sessions.artifacts import Model  # brings numpy, which the first paint does not wait for

    return shown.artifact if isinstance(shown.artifact, Model) else None


def _card(model: Model) -> list[tuple[str, str]]:
    """What the card says of a model, as (name, value)."""
    shape = [
        f"{model.config[name]} {word}"
        for name, word in (("n_layers", "layers"), ("n_heads", "heads"), ("d_model", "d_model"), ("d_head", "d_head"),
                           ("d_mlp", "d_mlp"), ("n_ctx", "context"), ("d_vocab", "words"), ("hidden", "hidden units"))
        if model.config.get(name)
    ]  # fmt: skip
    need = memory(model.bytes_needed) if model.bytes_needed else "not measured"
    free = f", {memory(model.bytes_free)} were free" if model.bytes_free else ""
    rows = [
        ("source", "the weights are in this file" if model.source.startswith("session:") else model.source),
        ("family", f"{model.family}, {model.architecture}"), ("shape", " · ".join(shape)),
        ("parameters", f"{model.parameters:,}"), ("memory", f"{need} needed{free}"), ("device", model.device),
        ("dtype", model.dtype), ("weights", str(model.processing)), ("sha256", model.sha256[:16]),
    ]  # fmt: skip
    if model.revision:
        rows.append(("revision", model.revision))
    return [(name, value) for name, value in rows if value]
