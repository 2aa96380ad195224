"""Numbers as a person reads them: fixed significant digits, one number of decimals per column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

DIGITS = 4


def number(value: float | int | None, digits: int = DIGITS) -> str:
    """One number with `digits` significant digits; whole numbers whole; NaN and None as `-`."""
    return column([value], digits)[0]


def column(values: Sequence[float | int | None], digits: int = DIGITS) -> list[str]:
    """Numbers that stand under each other, all with as many decimals as the largest needs for `digits` digits."""
    if all(isinstance(value, int | np.integer) for value in values if value is not None):
        return ["-" if value is None else f"{int(value):,}" for value in values]
    finite = [abs(float(v)) for v in values if v is not None and math.isfinite(v)]
    largest = max(finite, default=0.0)
    if largest and not 1e-3 <= largest < 1e7:
        return [_special(v) or f"{float(v or 0):.{digits - 1}e}" for v in values]
    decimals = max(0, digits - 1 - (math.floor(math.log10(largest)) if largest else 0))
    decimals = min(decimals, digits + 1)
    return [_special(v) or _fixed(float(v or 0), decimals) for v in values]


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text  # no -0.00


def _special(value: Any) -> str:
    if value is None or math.isnan(value):
        return "-"
    return ("inf" if value > 0 else "-inf") if math.isinf(value) else ""


def size(count: int) -> str:
    """Bytes in binary units."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes every size")


def duration(seconds: float) -> str:
    """A time span in the two units that matter: `0.12 s`, `3.4 s`, `2 min 05 s`, `1 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
