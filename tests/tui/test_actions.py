"""The one table of actions: documented, reachable, without clashes; every row's method exists; reasons are words."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.tui.fake import FakeBench, FakeFile, settle
from tui.actions import ACTIONS, BY_ID, Action, keys_as_markdown
from tui.actions.action import OVERLAY_SCOPES, SCOPE_TITLES, VIEW_SCOPES
from tui.keymap import Keymap, textual_key
from tui.views import VIEWS

PLAIN = {
    "tab", "enter", "escape", "space", "backspace", "home", "end", "left", "right", "up", "down", "pageup", "pagedown",
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.id)
def test_every_action_is_documented_and_in_a_known_scope(action: Action) -> None:
    assert action.title
    assert action.help.endswith((".", "…"))
    assert action.scope in SCOPE_TITLES


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(ACTIONS)


def test_no_key_is_bound_twice_in_a_scope() -> None:
    assert Keymap().warnings == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.id)
def test_every_action_has_a_plain_key_or_is_in_the_palette(action: Action) -> None:
    in_palette = action.scope not in (*OVERLAY_SCOPES, "overlay")
    plain = any(len(key) == 1 or key in PLAIN for key in action.keys)
    writing = action.scope in ("form", "note", "palette")  # letters belong to the text there
    assert plain or in_palette or writing


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.id)
def test_keys_avoid_what_terminals_cannot_tell_apart(action: Action) -> None:
    eaten = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+a", "ctrl+b", "ctrl+enter", "shift+enter", "ctrl+shift+c"}
    assert not eaten & set(action.keys)
    assert not any(key.startswith("alt+") for key in action.keys)


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.id)
def test_every_row_of_a_view_names_a_method_of_its_pane(view: object) -> None:
    module, name = view.pane.split(":")  # type: ignore[attr-defined]
    pane = getattr(import_module(module), name)
    for action in ACTIONS:
        if action.scope == view.id:  # type: ignore[attr-defined]
            verb = action.handler.__closure__  # type: ignore[attr-defined]
            names = [cell.cell_contents for cell in verb or () if isinstance(cell.cell_contents, str)]
            assert any(hasattr(pane, f"do_{word}") for word in names), action.id


async def test_every_action_of_a_view_gives_none_or_a_reason_in_words() -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        for view in VIEWS:
            await bench.app.show_view(view.id)
            await settle(pilot)
            for action in ACTIONS:
                reason = action.enabled(bench.app)
                assert reason is None or (reason and not reason.endswith(".")), action.id


REASONS = [
    ("job.cancel", "nothing is running"),
    ("engine.restart", "the engine is there"),
    ("replay.next", "not replaying: R starts it"),
    ("replay.start", "there are no steps yet"),
    ("history.resume", "only in the History view"),
    ("copy.command", "nothing here was made by a step"),
    ("select.back", "the trail begins here"),
]


@pytest.mark.parametrize(("action", "reason"), REASONS)
async def test_what_cannot_be_done_says_why(action: str, reason: str) -> None:
    bench = FakeBench(FakeFile())
    async with bench.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await bench.app.do(BY_ID[action])
        await settle(pilot)
        assert BY_ID[action].enabled(bench.app) == reason
        assert bench.app.message == f"{BY_ID[action].title}: {reason}"


def test_the_documented_keys_are_those_of_the_table() -> None:
    document = Path(__file__).parents[2] / "docs" / "keys.md"
    assert document.read_text() == keys_as_markdown()


def test_view_scopes_are_the_views() -> None:
    assert [view.id for view in VIEWS] == list(VIEW_SCOPES)


def test_keys_are_translated_to_textuals_words() -> None:
    assert textual_key("[") == "left_square_bracket"
    assert textual_key("J") == "J"
    assert textual_key("ctrl+d") == "ctrl+d"
