"""Progress on standard error: a bar that redraws itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys

from engine.server.protocol import Event, LogLine, Progress, StepChanged

BAR = 24  # cells


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class ProgressBar:
    """Hears the engine's events and writes what a waiting person wants to know."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._drawn = False
        self._tenth: dict[int, int] = {}
        self._names: dict[int, str] = {}

    def __call__(self, event: Event) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone, or the pipe: no reason to stop the work
            self._write(event)

    def _write(self, event: Event) -> None:
        match event:
            case StepChanged(step=step):
                self._names[step.id] = step.operation
                if step.status not in ("queued", "running", "cancelling"):
                    self.clear()
            case Progress(total=total) if total > 0:
                self._progress(event)
            case LogLine(text=text):
                self.clear()
                print(text, file=sys.stderr)
            case _:
                pass

    def _progress(self, at: Progress) -> None:
        left = f", {duration(at.remaining)} left" if at.remaining is not None and at.done < at.total else ""
        name = self._names.get(at.step, "")
        words = f"step {at.step} {name} {at.done}/{at.total}{left}{' · ' + at.note if at.note else ''}"
        if self._terminal:
            filled = BAR * at.done // at.total
            print(f"\r\x1b[K[{'#' * filled}{'.' * (BAR - filled)}] {words}", end="", file=sys.stderr, flush=True)
            self._drawn = True
        elif self._tenth.get(at.step, -1) < (tenth := 10 * at.done // at.total):
            self._tenth[at.step] = tenth
            print(words, file=sys.stderr)

    def clear(self) -> None:
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = False
