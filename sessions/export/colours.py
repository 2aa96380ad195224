"""Colours of the exported pictures: monotone in lightness, safe for colour-blind readers, zero white where signed."""

from __future__ import annotations

import math

# Anchors, evenly spaced. Sequential: cividis (Nunez, Anderton, Renslow 2018). Diverging: blue to orange through white.
_SEQUENTIAL = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")
_DIVERGING = ("#08519c", "#6baed6", "#f7f7f7", "#fd8d3c", "#a63603")

POSITIVE, NEGATIVE = "#a63603", "#08519c"
CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")  # Okabe and Ito 2008
UNKNOWN = "url(#unknown)"  # a hatching, defined once in the page


def colour(value: float, low: float, high: float, *, signed: bool) -> str:
    """The colour of a value on the scale from `low` to `high`; a signed scale has zero in its middle."""
    if math.isnan(value):
        return UNKNOWN
    if signed:
        largest = max(abs(low), abs(high))
        part = 0.5 + 0.5 * value / largest if largest else 0.5
    else:
        part = (value - low) / (high - low) if high > low else 0.5
    anchors = _DIVERGING if signed else _SEQUENTIAL
    place = min(max(part, 0.0), 1.0) * (len(anchors) - 1)
    index = min(int(place), len(anchors) - 2)
    rest = place - index
    a, b = _rgb(anchors[index]), _rgb(anchors[index + 1])
    return "#" + "".join(f"{round(x + (y - x) * rest):02x}" for x, y in zip(a, b))


def ink(background: str) -> str:
    """Black or white, whichever reads better on the colour (WCAG relative luminance)."""
    if not background.startswith("#"):
        return "#000000"
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _rgb(background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"  # where contrast with black and with white is equal


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
