"""Ranking the palette's entries and reading a typed command line."""

from __future__ import annotations

import pytest

from sessions.errors import CallError
from tests.tui.fake import CATALOGUE
from tui.palette import RECENT, CommandLine, Entry, is_command, names_only, parse_command, ranked, remembered

KNOWN = {info.name: info for info in CATALOGUE}
ENTRIES = [
    Entry("view.sweep", "Show Sweep", ""),
    Entry("app.help", "Help", ""),
    Entry("job.cancel", "Stop the running step", "", reason="nothing is running"),
]


def test_without_letters_the_recent_come_first_and_what_cannot_be_done_last() -> None:
    assert [e.id for e in ranked(ENTRIES, "", ("app.help",))] == ["app.help", "view.sweep", "job.cancel"]


def test_letters_find_fuzzily_in_title_and_id() -> None:
    assert ranked(ENTRIES, "swp", ())[0].id == "view.sweep"
    assert ranked(ENTRIES, "cancel", ())[0].id == "job.cancel"
    assert ranked(ENTRIES, "zzz", ()) == []


def test_recent_ids_are_kept_once_and_bounded() -> None:
    recent: tuple[str, ...] = ()
    for number in range(RECENT + 5):
        recent = remembered(recent, f"a{number}")
    assert len(recent) == RECENT
    assert remembered(recent, recent[3])[0] == recent[3]
    assert len(set(remembered(recent, recent[3]))) == RECENT


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("models.load source=zoo:tpp", CommandLine("models.load", {"source": "zoo:tpp"})),
        ("prompts.make n=7 --seed 3", CommandLine("prompts.make", {"n": 7}, 3)),
        ("iwb run my.iwb prompts.make n=7 --seed=3", CommandLine("prompts.make", {"n": 7}, 3)),
        ("models.load source='a b.safetensors'", CommandLine("models.load", {"source": "a b.safetensors"})),
    ],
)
def test_a_command_line_is_read_as_the_shell_would(text: str, line: CommandLine) -> None:
    assert parse_command(text, KNOWN) == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models.lod source=x", "did you mean 'models.load'?"),
        ("models.load sauce=x", "unknown parameter 'sauce'; did you mean 'source'?"),
        ("models.load", "parameter 'source' is missing"),
        ("prompts.make n=0", "n=0 is out of range"),
        ("prompts.make seven", "'seven' is not name=value"),
        ("prompts.make n=7 --seed x", "is not a seed"),
        ("models.load source='x", "cannot be read"),
    ],
)
def test_a_wrong_line_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(CallError) as caught:
        parse_command(text, KNOWN)
    assert said in str(caught.value)


def test_letters_are_told_from_command_lines() -> None:
    assert is_command("models.load", KNOWN)
    assert is_command("models.lod source=x", KNOWN)
    assert not is_command("sweep", KNOWN)
    assert not is_command("", KNOWN)


def test_an_operation_named_alone_asks_for_its_form() -> None:
    assert names_only("models.load")
    assert not names_only("models.load source=x")
