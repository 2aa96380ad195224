"""The frame of a plot: round numbers on the axes, and braille dots for fine lines; without Textual."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # braille dot bits, by row and column


def nice_ticks(low: float, high: float, about: int) -> tuple[float, ...]:
    """Round numbers that span low..high with about that many steps (Heckbert, Graphics Gems, 1990)."""
    if not math.isfinite(low) or not math.isfinite(high):
        return (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / max(1, about)
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick with just the decimals its neighbours need."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    if step >= 1e5 or step < 1e-4:
        return f"{value:.1e}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}"


class DotCanvas:
    """Dots at twice the columns and four times the lines of the text, each remembered with its curve."""

    def __init__(self, width: int, height: int, ascii_only: bool = False) -> None:
        self.width, self.height, self.ascii_only = width, height, ascii_only
        self.fine = (width, height) if ascii_only else (2 * width, 4 * height)
        self.dots: dict[tuple[int, int], tuple[int, int]] = {}  # character cell -> bits, last curve

    def dot(self, x: int, y: int, curve: int) -> None:
        """Set a dot; x and y count in fine steps from the upper left."""
        if not (0 <= x < self.fine[0] and 0 <= y < self.fine[1]):
            return
        if self.ascii_only:
            self.dots[(x, y)] = (1, curve)
            return
        cell = (x // 2, y // 4)
        bits, _ = self.dots.get(cell, (0, curve))
        self.dots[cell] = (bits | _DOTS[y % 4][x % 2], curve)

    def line(self, start: tuple[int, int], end: tuple[int, int], curve: int) -> None:
        """A straight line of dots."""
        (x1, y1), (x2, y2) = start, end
        steps = max(abs(x2 - x1), abs(y2 - y1), 1)
        for i in range(steps + 1):
            self.dot(round(x1 + (x2 - x1) * i / steps), round(y1 + (y2 - y1) * i / steps), curve)

    def character(self, x: int, y: int, glyphs: str) -> tuple[str, int]:
        """The character of a cell and its curve, or a space and -1."""
        if (x, y) not in self.dots:
            return " ", -1
        bits, curve = self.dots[(x, y)]
        return (glyphs[curve % len(glyphs)] if self.ascii_only else chr(0x2800 + bits)), curve
