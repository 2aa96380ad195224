"""The one-line texts around the views, as plain functions: status line, memory, times, truncation in the middle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from engine.server.protocol import EngineStatus, Progress
from sessions.steps import Step

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact


ENGINE_GLYPHS = {"starting": "◌ starting", "ready": "● ready", "busy": "◐ busy", "lost": "✗ lost"}
STATUS_GLYPHS = {
    "queued": "· queued", "running": "◐ running", "cancelling": "◑ cancelling", "done": "✓ done",
    "failed": "✗ failed", "cancelled": "– cancelled", "interrupted": "! interrupted",
}  # fmt: skip


def truncate_middle(text: str, width: int) -> str:
    """At most `width` cells: what is lost is the middle, since both ends say most."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    left = (width - 1) // 2
    right = width - 1 - left
    tail = text[::-1]
    return set_cell_size(text, left) + "…" + set_cell_size(tail, right)[::-1]


def fit_line(parts: Sequence[str], shorter: Iterable[tuple[int, str]], width: int) -> str:
    """The parts in one line of `width` cells. Where they do not fit, one part after the other gives way, in the order
    of `shorter`: (which part, its shorter text; empty leaves it out). What still does not fit loses its middle."""
    now = list(parts)
    line = _joined(now)
    for place, text in shorter:
        if cell_len(line) <= width:
            break
        now[place] = text
        line = _joined(now)
    return truncate_middle(line, width)


def _joined(parts: Sequence[str]) -> str:
    return " " + " · ".join(part for part in parts if part)


def truncate_end(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""


def memory(count: float) -> str:
    """Bytes as a person reads them, in powers of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def span(seconds: float) -> str:
    """A duration: `0.4 s`, `12 s`, `3:05`, `2:03:05`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_text(progress: Progress) -> str:
    """`37/144 · 4.2 s · 25 s left`; the time left only once it can be told."""
    parts = [f"{progress.done}/{progress.total}", span(progress.elapsed)]
    if progress.remaining is not None:
        parts.append(f"{span(progress.remaining)} left")
    if progress.note:
        parts.append(progress.note)
    return " · ".join(parts)


def bar(done: int, total: int, width: int) -> str:
    """A bar of `width` cells."""
    filled = round(width * min(1.0, done / total)) if total > 0 else 0
    return "█" * filled + "░" * (width - filled)


def model_text(model: AnyArtifact | None, *, dtype: bool = True, device: bool = True) -> str:
    if model is None:
        return "no model"
    from sessions.artifacts import Model  # brings numpy, which the first paint does not wait for

    if not isinstance(model, Model):
        return "no model"
    named = model.title if model.source.startswith("session:") else model.source  # the rest of it is a hash
    return " ".join((named, *([model.dtype] if dtype else []), *([model.device] if device else [])))


def prompts_text(prompts: AnyArtifact | None, step: Step | None) -> str:
    if prompts is None:
        return "no prompts"
    from sessions.artifacts import Prompts

    if not isinstance(prompts, Prompts):
        return "no prompts"
    seed = f" seed {step.seed}" if step is not None else ""
    return f"{prompts.task or 'prompts'} n={len(prompts.rows)}{seed}"


def jobs_text(front: Step | None, progress: Progress | None, waiting: int) -> str:
    """What runs and how far it is; how many wait."""
    if front is None:
        return "no jobs"
    more = f" +{waiting - 1}" if waiting > 1 else ""
    if progress is None:
        return f"{front.operation} {front.status}{more}"
    left = f" {span(progress.remaining)} left" if progress.remaining is not None else ""
    return f"{front.operation} {progress.done}/{progress.total}{left}{more}"


def engine_text(status: EngineStatus, *, used_memory: bool = True) -> str:
    used = f"{memory(status.memory_bytes)} · " if used_memory and status.memory_bytes else ""
    return used + ENGINE_GLYPHS[status.state]
