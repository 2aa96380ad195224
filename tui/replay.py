"""Playing the recorded steps at reading speed: forward, back, jump. Plain Python; the app lends it a clock's tick."""

from __future__ import annotations

from collections.abc import Callable

from tui.investigation import Investigation

WORDS_PER_SECOND = 4.0  # an unhurried reader of English
LEAST_SECONDS = 2.0
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class Replay:
    """Moves the store's horizon through the steps. `on_step` hears of each step shown, `on_end` of the end."""

    def __init__(
        self, investigation: Investigation, *, on_step: Callable[[int], None], on_end: Callable[[], None]
    ) -> None:
        self._investigation = investigation
        self._on_step, self._on_end = on_step, on_end
        self._before = investigation.selection.now
        self._steps = [step.id for step in investigation.store.all_steps]
        self._position = 0
        self._waited = 0.0
        self._speed = SPEEDS.index(1.0)
        self.playing = True
        self._show()

    @property
    def step(self) -> int:
        return self._steps[self._position]

    @property
    def text(self) -> str:
        state = "playing" if self.playing else "paused"
        return f"replay {state} · step {self._position + 1} of {len(self._steps)} · {SPEEDS[self._speed]:g}x"

    def seconds_here(self) -> float:
        """How long this step is shown: by the words there are to read on it."""
        store = self._investigation.store
        step = store.step(self.step)
        words = len(step.command.split()) if step else 0
        words += sum(len(f"{a.title} {a.summary}".split()) for a in store.of_step(self.step))
        words += sum(len(n.text.split()) for n in store.notes if n.step == self.step)
        return max(LEAST_SECONDS, words / WORDS_PER_SECOND) / SPEEDS[self._speed]

    def tick(self, seconds: float) -> None:
        """Time passed. Goes on to the next step when this one has been read; pauses at the last."""
        if not self.playing:
            return
        self._waited += seconds
        if self._waited >= self.seconds_here():
            if self._position == len(self._steps) - 1:
                self.playing = False
                self._on_step(self.step)
            else:
                self._go(self._position + 1)

    def toggle(self) -> None:
        """Pause or play; at the last step, play from the first."""
        self.playing = not self.playing
        if self.playing and self._position == len(self._steps) - 1:
            self._go(0)
        else:
            self._on_step(self.step)

    def forward(self) -> None:
        self.playing = False
        self._go(self._position + 1)

    def backward(self) -> None:
        self.playing = False
        self._go(self._position - 1)

    def to_first(self) -> None:
        self._go(0)

    def to_last(self) -> None:
        self.playing = False
        self._go(len(self._steps) - 1)

    def jump(self, step: int) -> None:
        """Show the investigation as it was after `step`."""
        if step in self._steps:
            self.playing = False
            self._go(self._steps.index(step))

    def faster(self) -> None:
        self._speed = min(len(SPEEDS) - 1, self._speed + 1)
        self._on_step(self.step)

    def slower(self) -> None:
        self._speed = max(0, self._speed - 1)
        self._on_step(self.step)

    def end(self) -> None:
        """Back to the live investigation and to what was selected before."""
        self._investigation.store.set_horizon(None)
        self._investigation.selection.restore(self._before)
        self._on_end()

    def _go(self, position: int) -> None:
        self._position = max(0, min(len(self._steps) - 1, position))
        self._waited = 0.0
        self._show()

    def _show(self) -> None:
        self._investigation.store.set_horizon(self.step)
        self._investigation.show_step(self.step)
        self._on_step(self.step)
