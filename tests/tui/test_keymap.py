"""Remapping keys in the config file, and what its mistakes become."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.keymap import Config, Keymap, read_config, shown_key


def test_a_remapped_action_answers_to_the_new_key_only() -> None:
    keymap = Keymap({"view.run": ("f5",)})
    assert keymap.lookup("f5", ("everywhere",)).id == "view.run"  # type: ignore[union-attr]
    assert keymap.lookup("r", ("everywhere",)) is None
    assert keymap.shown("view.run") == "f5"
    assert keymap.warnings == []


def test_an_action_without_keys_is_shown_as_in_the_palette() -> None:
    assert Keymap({"view.run": ()}).shown("view.run") == ":"


def test_an_unknown_id_is_named_with_the_nearest() -> None:
    (warning,) = Keymap({"view.ruin": ("r",)}).warnings
    assert warning == "config: there is no action 'view.ruin'; did you mean 'view.run'?"


def test_a_clash_names_both_actions_and_the_first_keeps_the_key() -> None:
    keymap = Keymap({"app.theme": ("r",)})
    assert keymap.warnings == ["key 'r' is claimed by 'view.run' and 'app.theme': 'view.run' keeps it"]
    assert keymap.lookup("r", ("everywhere",)).id == "view.run"  # type: ignore[union-attr]


def test_the_nearest_scope_wins() -> None:
    keymap = Keymap()
    assert keymap.lookup("r", ("lost", "everywhere")).id == "engine.restart"  # type: ignore[union-attr]
    assert keymap.lookup("enter", ("history", "everywhere")).id == "history.open"  # type: ignore[union-attr]


def test_a_missing_config_is_an_empty_one(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml") == Config({})


def test_keys_are_read_as_text_or_list(tmp_path: Path) -> None:
    place = tmp_path / "config.toml"
    place.write_text('[keys]\n"view.run" = "f5"\n"app.theme" = []\n[screen]\ntheme = "nord"\nascii = true\n')
    assert read_config(place) == Config({"view.run": ("f5",), "app.theme": ()}, "nord", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[kyes]\n", "did you mean 'keys'?"),
        ("[keys\n", "cannot be read"),
        ('[keys]\n"view.run" = 3\n', 'the keys of "view.run" must be text or a list of text'),
        ("[screen]\ntheem = 'x'\n", "did you mean 'theme'?"),
    ],
)
def test_each_mistake_is_one_sentence_naming_the_file(tmp_path: Path, text: str, said: str) -> None:
    place = tmp_path / "config.toml"
    place.write_text(text)
    (problem,) = read_config(place).problems
    assert said in problem
    assert str(place) in problem


def test_keys_are_shown_short() -> None:
    assert [shown_key(k) for k in ("ctrl+d", "escape", "left", "J")] == ["^d", "esc", "←", "J"]
