"""The form of an operation, made from its fields; mistakes are shown at the field."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from sessions.errors import CallError, IwbError
from sessions.parameters import FieldInfo, OperationInfo, plural
from tui.actions import Scope
from tui.form import FormField, Read, field_named, fields_of, read
from tui.screens.overlay import Overlay
from tui.widgets.chooser import Chooser
from tui.widgets.rasp_editor import RaspEditor

SEED = FieldInfo(name="seed", type="int", help="seed of the step's random numbers", default=0, minimum=0)


class FormScreen(Overlay[None]):
    """Fill in, then ctrl+j (or enter in the last field) runs. `esc` closes and starts nothing."""

    SCOPE: ClassVar[Scope] = "form"
    DEFAULT_CSS = """
    FormScreen #fields { height: auto; max-height: 100%; }
    FormScreen .line { height: 1; }
    FormScreen .name { width: 24; }
    FormScreen .line:focus-within .name { color: $accent; text-style: bold; }
    FormScreen .line > Input:focus, FormScreen .line > Chooser:focus { background: $accent 35%; }
    FormScreen .line > Input, FormScreen .line > Chooser { width: 1fr; }
    FormScreen .line.-tall { height: 6; }
    FormScreen RaspEditor { width: 1fr; height: 6; background: $foreground 10%; }
    FormScreen .error { color: $text-error; padding: 0 0 0 24; height: auto; display: none; }
    FormScreen .error.-shown { display: block; }
    FormScreen #about { height: auto; max-height: 4; color: $text-muted; margin: 0 0 1 0; }
    FormScreen #help { height: 2; margin: 1 0 0 0; color: $text-muted; }
    FormScreen #failure { height: auto; color: $text-error; }
    """

    def __init__(self, info: OperationInfo, values: dict[str, Any], seed: int = 0) -> None:
        super().__init__()
        self._info, self._given, self._seed = info, values, seed
        self._fields: tuple[FormField, ...] = ()
        self._sending = False

    def compose_box(self) -> ComposeResult:
        investigation = self.bench.investigation
        self._fields = (
            *fields_of(
                self._info,
                self._given,
                investigation.store,
                investigation.selection.now,
                self.bench.model_sources(),
            ),
            FormField(SEED, str(self._seed)),
        )
        source = f" ({self._info.source})" if self._info.source else ""
        yield Static(self._info.summary + source, id="about", markup=False)
        with VerticalScroll(id="fields", can_focus=False):
            for field in self._fields:
                with Horizontal(classes="line -tall" if "\n" in field.start else "line"):
                    yield Static(field.info.name + ("*" if field.info.required else ""), classes="name", markup=False)
                    yield self._widget(field)
                yield Static(classes="error", id=f"error-{field.info.name}", markup=False)
        yield Static(id="failure", markup=False)
        yield Static(id="help", markup=False)

    def _widget(self, field: FormField) -> Widget:
        name = f"field-{field.info.name}"
        if field.info.type == "artifacts":
            return Input(field.start, placeholder=_brief(field.info), id=name)
        if field.choices or field.info.type == "artifact":
            return Chooser(field.choices, field.start, id=name)
        if "\n" in field.start:  # a program of several lines, which a field of one line would garble
            return RaspEditor(text=field.start, id=name)
        return Input(field.start, placeholder=_brief(field.info), id=name)

    def on_mount(self) -> None:
        self.query_one("#box").border_title = f"{self._info.title} · {self._info.name}"
        for field in self.query(Input):
            field.cursor_blink = False
        first = next(iter(self.focus_chain), None)
        if first is not None:
            first.focus()

    def texts(self) -> dict[str, str]:
        """What stands in each field now."""
        found = {}
        for field in self._fields:
            widget = self.query_one(f"#field-{field.info.name}")
            assert isinstance(widget, Input | Chooser | RaspEditor)
            found[field.info.name] = widget.text if isinstance(widget, RaspEditor) else widget.value
        return found

    def on_descendant_focus(self) -> None:
        name = (self.focused.id or "").removeprefix("field-") if self.focused else ""
        field = next((f for f in self._fields if f.info.name == name), None)
        if field is not None:
            what = Content.assemble(field.info.help, "\n", (_hint(field), Style(dim=True)))
            self.query_one("#help", Static).update(what)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """enter: the next field; in the last one, run."""
        event.stop()
        last = self._fields[-1].info.name
        if event.input.id == f"field-{last}":
            await self.do_run()
        else:
            self.focus_next()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._mark((event.input.id or "").removeprefix("field-"), "")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self._mark((event.text_area.id or "").removeprefix("field-"), "")

    def on_chooser_changed(self, event: Chooser.Changed) -> None:
        self._mark((event.chooser.id or "").removeprefix("field-"), "")

    def do_next(self) -> None:
        self.focus_next()

    def do_previous(self) -> None:
        self.focus_previous()

    def read(self) -> Read:
        """The values to send and what is wrong with the others."""
        texts = self.texts()
        values, errors = read(self._info, texts)
        seed = read(
            OperationInfo(
                name=self._info.name, title="", summary="", fields=(SEED,), gives=(), version=1, interactive=False
            ),
            {"seed": texts["seed"] or "0"},
        )
        return Read({**values, "seed": seed.values.get("seed", 0)}, {**errors, **seed.errors})

    async def do_run(self) -> None:
        if self._sending:
            return
        values, errors = self.read()
        for field in self._fields:
            self._mark(field.info.name, errors.get(field.info.name, ""))
        if errors:
            self.query_one(f"#field-{next(iter(errors))}").focus()
            return
        seed = values.pop("seed")
        self._sending = True
        try:
            accepted = await self.bench.investigation.run(self._info.name, values, seed=seed)
        except IwbError as error:
            self._refused(error)
            return
        finally:
            self._sending = False
        if accepted.cached:
            self.bench.say(f"step {accepted.step} has done exactly this before: shown from the file")
        else:
            self.bench.say(f"step {accepted.step} {self._info.name} is under way: J shows it, x stops it")
        self.dismiss(None)

    def _refused(self, error: IwbError) -> None:
        name = field_named(self._info, error.what) if isinstance(error, CallError) else None
        if name is not None:
            self._mark(name, f"{error.what}; {error.remedy}" if error.remedy else error.what)
            self.query_one(f"#field-{name}").focus()
        else:
            self.query_one("#failure", Static).update(str(error))

    def _mark(self, name: str, sentence: str) -> None:
        for place in self.query(f"#error-{name}").results(Static):
            place.update(sentence)
            place.set_class(bool(sentence), "-shown")
        self.query_one("#failure", Static).update("")


def _brief(field: FieldInfo) -> str:
    """What may stand in an empty field, in the few words that fit into it."""
    low = "" if field.minimum is None else f"{field.minimum:g}"
    high = "" if field.maximum is None else f"{field.maximum:g}"
    span = f"{low} to {high}" if low and high else f"{low} or more" if low else f"up to {high}" if high else ""
    words = {"int": "a whole number", "float": "a number", "str": "text", "list": "a JSON list"}.get(field.type, "")
    words = "a program, a library name, @FILE or @ID" if field.text else words
    words = f"{plural(field.kind)}: @ID,@ID" if field.type == "artifacts" else words
    return (span or words) + (" (may stay empty)" if field.optional else "")


def _hint(field: FormField) -> str:
    """What may stand in a field; for a list of references, those there are."""
    if field.info.type != "artifacts":
        return _expected(field.info)
    there = "; ".join(choice.label for choice in field.choices) or f"there are no {plural(field.info.kind)} yet"
    return f"{plural(field.info.kind)} by their @ID, with commas: {there}"


def _expected(field: FieldInfo) -> str:
    """What may stand in a field, in words."""
    words = {
        "int": "a whole number", "float": "a number", "str": "text", "list": "a JSON list", "bool": "yes or no (← →)",
        "choice": "← → or a first letter choose", "artifact": f"a {field.kind}: ← → or a first letter choose",
        "artifacts": f"{plural(field.kind)} by their @ID, with commas",
    }[field.type]  # fmt: skip
    if field.text:
        words = "the text, a name of the library (sort), @FILE, or @ID of a program"
    if field.minimum is not None:
        words += f", at least {field.minimum:g}"
    if field.maximum is not None:
        words += f", at most {field.maximum:g}"
    if field.default not in (None, ""):
        words += f"; default {field.default}"
    return words + ("; may stay empty" if field.optional else "")
