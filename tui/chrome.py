"""What stands around the views: header, tab strip, banner, status line, key hints. One line each, never wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.actions import ACTIONS, Action
from tui.keymap import shown_key
from tui.status import (
    engine_text,
    fit_line,
    jobs_text,
    model_text,
    progress_text,
    prompts_text,
    truncate_end,
    truncate_middle,
)
from tui.views import VIEWS

if TYPE_CHECKING:
    from tui.app import IwbApp

MAX_HINTS = 8
ALWAYS = ("app.palette", "app.help", "app.quit")  # whatever else there is room for


class Line(Widget):
    """One line of text made anew whenever it is refreshed."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"
    can_focus = False

    @property
    def bench(self) -> IwbApp:
        return cast("IwbApp", self.app)

    def render(self) -> Content:
        return Content(truncate_end(self.text(self.size.width), self.size.width))

    def text(self, width: int) -> str:
        return ""


class Header(Line):
    """Program and file; at the right what runs."""

    def text(self, width: int) -> str:
        app = self.bench
        store = app.investigation.store
        left = f" iwb  {app.investigation.path.name}"
        front = store.front_job()
        right = ""
        if app.replay is not None:
            right = app.replay.text
        elif front is not None:
            progress = store.progress.get(front.id)
            right = f"{front.operation} {progress_text(progress) if progress else front.status}"
        elif (steps := store.all_steps) and steps[-1].status == "interrupted":
            last, keymap = steps[-1], app.keymap
            at = f" at {last.done}/{last.total}" if last.total else ""
            keys = f"{keymap.shown('app.jobs')} {keymap.shown('jobs.resume')}"
            right = f"step {last.id} interrupted{at}: {keys} goes on with it"
        room = width - cell_len(left) - 3
        right = truncate_middle(right, max(0, room))
        return left + " " * max(1, width - cell_len(left) - cell_len(right) - 1) + right


class TabStrip(Line):
    """The views with their keys; the one shown is bold, underlined and bracketed."""

    def render(self) -> Content:
        app = self.bench
        chosen = Style(bold=True, underline=True)
        parts: list[str | tuple[str, Style]] = []
        needed = sum(len(view.title) + 4 for view in VIEWS)
        short = self.size.width < needed
        gap = " " if short or self.size.width >= needed + len(VIEWS) else ""
        for view in VIEWS:
            title = f"{view.key} {view.title[:3] if short else view.title}"
            if view.id == app.view_id and app.pane is not None:
                parts += [("[" + title + "]", chosen), gap]
            else:
                parts += [f" {title} ", gap]
        return Content.assemble(*parts)


class Banner(Line):
    """What must not be overlooked: the engine is lost. Hidden otherwise."""

    def text(self, width: int) -> str:
        app = self.bench
        reason = app.investigation.store.goodbye
        key = app.keymap.shown("engine.restart")
        text = f" ✗ The engine is lost{f' ({reason})' if reason else ''}. Nothing finished is lost."
        end = f" {key} starts it again."
        return truncate_middle(text, max(0, width - len(end))) + end


class StatusLine(Line):
    """View and selection · model · prompts · jobs · memory and engine state."""

    def text(self, width: int) -> str:
        app = self.bench
        store, now = app.investigation.store, app.investigation.selection.now
        model = store.loaded(now.model) if now.model is not None else None
        prompts = store.loaded(now.prompts) if now.prompts is not None else None
        held = store.stored(now.prompts)
        front = store.front_job()
        path = app.pane.selected_path() if app.pane is not None else ""
        where = " ▸ ".join(part for part in (app.view.title, path) if part) if app.pane is not None else "opening"
        parts = [
            where,
            model_text(model),
            prompts_text(prompts, store.step(held.step) if held else None),
            jobs_text(front, store.progress.get(front.id) if front else None, len(store.running())),
            engine_text(store.engine),
        ]
        # What says least goes first, whole; what is selected and how the engine is stay.
        shorter = [
            *([(3, "")] if front is None else []),
            (1, model_text(model, dtype=False)),
            (2, prompts_text(prompts, None)),
            (4, engine_text(store.engine, used_memory=False)),
            (1, model_text(model, dtype=False, device=False)),
            (2, ""),
            (1, ""),
            (3, ""),  # what runs stands in the header too
        ]
        return fit_line(parts, shorter, width)


class Notice(Widget):
    """A message too long for the last line, whole, above it; hidden otherwise."""

    DEFAULT_CSS = "Notice { display: none; height: auto; max-height: 4; } Notice.-shown { display: block; }"
    can_focus = False
    text: reactive[str] = reactive("", layout=True)

    def render(self) -> Content:
        return Content(" " + self.text)


class Hints(Line):
    """The keys that can be pressed here and now, ordered by use; or the last message, until the next key."""

    def render(self) -> Content:
        app = self.bench
        width = self.size.width
        if self.screen is not app.screen:
            return Content("")  # what lies over the views has hints of its own
        if app.message:
            fits = cell_len(app.message) < width
            return Content.styled(" " + app.message, Style(bold=True)) if fits else Content("")
        parts: list[str | tuple[str, Style]] = []
        used = 0
        words = [(a.id, key, a.title.rstrip("…")) for a in hinted(app) if (key := _key_now(app, a))]
        sizes = {id: cell_len(key) + cell_len(title) + 3 for id, key, title in words}
        always = sum(size for id, size in sizes.items() if id in ALWAYS)
        full = False
        for id, key, title in words:
            room = width if id in ALWAYS else width - always
            full = full or (id not in ALWAYS and used + sizes[id] > room)
            if (full and id not in ALWAYS) or used + sizes[id] > width:
                continue
            used += sizes[id]
            always -= sizes[id] if id in ALWAYS else 0
            parts += [" ", (key, Style(bold=True)), " " + title + " "]
        return Content.assemble(*parts)


def hinted(app: IwbApp) -> list[Action]:
    """The actions to hint at now: those of a special state first, then the view's, then everybody's."""
    scopes = app.scopes()
    found: dict[str, Action] = {}
    for index, scope in enumerate(scopes):
        for action in ACTIONS:
            keys = app.keymap.keys(action.id)
            if action.scope != scope or not action.hint or not keys or action.enabled(app) is not None:
                continue
            winner = app.keymap.lookup(_textual(keys[0]), scopes[: index + 1])
            if winner is action:
                found[action.id] = action
    rank = {scope: 0 if scope in ("lost", "replay") else 1 for scope in scopes}
    ordered = sorted(found.values(), key=lambda a: (rank[a.scope], a.hint))
    if app.writing and (out := app.actions.get("pane.out")) is not None:
        ordered.insert(0, out)
    kept, last = (
        ordered[:MAX_HINTS],
        [a for a in ordered[MAX_HINTS:] if a.id in ALWAYS],
    )
    return kept + last


def _key_now(app: IwbApp, action: Action) -> str:
    """The key to press for it, as a person reads it: while a text is written, one that is no part of a text."""
    if not app.writing:
        return app.keymap.shown(action.id)
    return next((shown_key(key) for key in app.keymap.keys(action.id) if len(key) > 1 and key != "enter"), "")


def _textual(key: str) -> str:
    from tui.keymap import textual_key

    return textual_key(key)
