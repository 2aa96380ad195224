"""The one-line texts: nothing wraps, the middle goes first."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from engine.server.protocol import EngineStatus, Progress
from tui.status import bar, engine_text, fit_line, jobs_text, memory, progress_text, span, truncate_middle


@pytest.mark.parametrize("width", [0, 1, 2, 9, 10, 40])
@pytest.mark.parametrize("text", ["Sweep ▸ L3H2 · gpt2 · ready", "日本語のトークン列" * 3, ""])
def test_a_truncated_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    cut = truncate_middle(text, width)
    assert cell_len(cut) <= width
    if 10 <= width < cell_len(text):
        assert cut[0] == text[0]
        assert cut.rstrip()[-1] == text[-1]
        assert "…" in cut


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.4, "12 s"), (59.7, "1:00"), (185, "3:05"), (7385, "2:03:05")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(512, "512 B"), (2 * 2**20, "2 MiB"), (3.5 * 2**30, "3.5 GiB")])
def test_memory(count: float, text: str) -> None:
    assert memory(count) == text


def test_time_left_is_told_only_when_known() -> None:
    early = Progress(step=1, done=1, total=144, elapsed=0.4)
    assert progress_text(early) == "1/144 · 0.4 s"
    later = Progress(step=1, done=37, total=144, elapsed=4.2, remaining=12.0, note="layer 3")
    assert progress_text(later) == "37/144 · 4.2 s · 12 s left · layer 3"


def test_bars_are_as_wide_as_asked() -> None:
    assert bar(0, 10, 8) == "░" * 8
    assert bar(10, 10, 8) == "█" * 8
    assert bar(1, 0, 4) == "░" * 4


def test_the_engine_is_a_word_and_a_glyph() -> None:
    assert engine_text(EngineStatus(state="lost")) == "✗ lost"
    assert engine_text(EngineStatus(state="busy", memory_bytes=2**20)) == "1 MiB · ◐ busy"
    assert jobs_text(None, None, 0) == "no jobs"


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (43, " Sweep · tpp float32 · ioi seed 1 · no jobs"),
        (42, " Sweep · tpp float32 · ioi seed 1"),
        (32, " Sweep · tpp · ioi seed 1"),
        (24, " Sweep · tpp · ioi"),
        (17, " Sweep ·…pp · ioi"),
    ],
)
def test_whole_parts_go_before_a_line_is_cut(width: int, line: str) -> None:
    parts = ("Sweep", "tpp float32", "ioi seed 1", "no jobs")
    assert fit_line(parts, ((3, ""), (1, "tpp"), (2, "ioi")), width) == line
