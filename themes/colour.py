"""How many colours the terminal shows, and the maps from numbers to colours or shades.

Numbers are quantised by us to a few levels, never by the terminal: under 256 colours a smooth map would collapse to a
dozen uneven steps. Sequential maps rise monotonically in lightness (viridis and cividis, as in matplotlib); the
diverging map is blue below zero and orange above, both arms monotone from a neutral middle. Without colour a number is
a shade, and a signed number a shade beside its sign, because greys merge the two arms of a diverging map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

Depth = Literal["truecolor", "256", "16", "none", "ascii"]
DEPTHS: tuple[Depth, ...] = ("truecolor", "256", "16", "none", "ascii")
SequentialMap = Literal["viridis", "cividis", "greys"]
SEQUENTIAL_MAPS: tuple[SequentialMap, ...] = ("viridis", "cividis", "greys")
Rgb = tuple[int, int, int]

LEVELS = 24  # steps of a sequential map in true colour, and 2 * 12 + 1 of a diverging one
SHADES = " ░▒▓█"
ASCII_SHADES = " .:-=+*#%@"
SIGNED_ASCII_SHADES = " .:=*#%@"  # stands beside a sign, so it has none

# Anchors of the published maps (matplotlib 3.9), at equal distances; between them we interpolate in RGB.
_VIRIDIS: tuple[Rgb, ...] = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37),
)  # fmt: skip
_CIVIDIS: tuple[Rgb, ...] = (
    (0, 34, 78), (26, 56, 111), (63, 77, 107), (87, 97, 110), (108, 117, 117),
    (132, 136, 121), (157, 157, 117), (184, 178, 106), (212, 201, 87), (254, 232, 56),
)  # fmt: skip
_GREYS: tuple[Rgb, ...] = ((28, 28, 28), (238, 238, 238))
_ORANGE_ON_DARK: tuple[Rgb, ...] = ((38, 38, 38), (110, 62, 12), (182, 98, 14), (240, 149, 36), (255, 213, 150))
_BLUE_ON_DARK: tuple[Rgb, ...] = ((38, 38, 38), (20, 68, 112), (32, 110, 178), (82, 162, 235), (175, 218, 255))
_ORANGE_ON_LIGHT: tuple[Rgb, ...] = ((238, 238, 238), (250, 205, 150), (230, 145, 50), (180, 95, 10), (110, 52, 0))
_BLUE_ON_LIGHT: tuple[Rgb, ...] = ((238, 238, 238), (165, 205, 245), (80, 150, 220), (25, 100, 175), (0, 48, 105))

# Hand-picked entries of the 256-colour table.
_VIRIDIS_256 = (53, 61, 67, 73, 79, 114, 148, 220)
_CIVIDIS_256 = (17, 18, 60, 61, 102, 144, 186, 221)
_GREYS_256 = tuple(range(234, 256))
_ORANGE_256_DARK = (235, 94, 130, 172, 214, 222)
_BLUE_256_DARK = (235, 24, 25, 32, 75, 117)
_ORANGE_256_LIGHT = (255, 223, 215, 172, 130, 94)
_BLUE_256_LIGHT = (255, 153, 75, 32, 25, 18)


def detect(environ: Mapping[str, str], override: str = "", console_system: str | None = None) -> Depth:
    """The depth to draw with.

    `override` is the user's word from the configuration, `IWB_COLOUR` in the environment comes next; then a non-empty
    NO_COLOR (an empty one means nothing, by its convention), then what the terminal says: `console_system` as Rich
    found it (`truecolor`, `256`, `standard`, `windows` or None), else COLORTERM and TERM.
    """
    for word in (override, environ.get("IWB_COLOUR", "")):
        if word in DEPTHS:
            return word
    if environ.get("NO_COLOR"):
        return "none" if _speaks_unicode(environ) else "ascii"
    if environ.get("TERM") == "dumb":
        return "ascii"
    if console_system is not None:
        return {"truecolor": "truecolor", "256": "256"}.get(console_system, "16")  # type: ignore[return-value]
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environ.get("TERM", "")
    if term.endswith(("-direct", "kitty")):
        return "truecolor"
    return "256" if "256" in term else "16"


def _speaks_unicode(environ: Mapping[str, str]) -> bool:
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C.UTF-8"
    return "utf" in locale.lower()


def depth_of(app: Any) -> Depth:
    """The depth of a running app: its own `colour_depth`, else what Textual found.

    Textual takes NO_COLOR out of the environment when the app is made, so the app is asked for it.
    """
    chosen = getattr(app, "colour_depth", None)
    if chosen in DEPTHS:
        return chosen  # type: ignore[no-any-return]
    if getattr(app, "no_color", False):
        return "none"
    return detect({}, console_system=getattr(getattr(app, "console", None), "color_system", None) or "truecolor")


def xterm_rgb(index: int) -> Rgb:
    """The RGB value of entry 16..255 of the 256-colour table: a 6x6x6 cube, then 24 greys."""
    if index >= 232:
        grey = 8 + 10 * (index - 232)
        return grey, grey, grey
    steps = (0, 95, 135, 175, 215, 255)
    red, rest = divmod(index - 16, 36)
    return steps[red], steps[rest // 6], steps[rest % 6]


def luminance(colour: Rgb) -> float:
    """Relative luminance in 0..1 (WCAG 2.2)."""
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@lru_cache(maxsize=1024)
def ink(background: Rgb) -> Rgb:
    """Black or white, whichever reads better on that background."""
    black, white = (0, 0, 0), (255, 255, 255)
    return black if contrast(black, background) >= contrast(white, background) else white


@lru_cache(maxsize=64)
def sequential(depth: Depth, name: SequentialMap = "viridis", dark: bool = True) -> tuple[Rgb, ...]:
    """The levels of a sequential map from low to high. Empty without colours to spare: then shades are drawn."""
    if depth == "truecolor":
        anchors = {"viridis": _VIRIDIS, "cividis": _CIVIDIS, "greys": _GREYS}[name]
        levels = _interpolated(anchors, LEVELS)
    elif depth == "256":
        indices = {"viridis": _VIRIDIS_256, "cividis": _CIVIDIS_256, "greys": _GREYS_256}[name]
        levels = tuple(xterm_rgb(i) for i in indices)
    else:
        return ()
    return levels if dark or name != "greys" else levels[::-1]


@lru_cache(maxsize=16)
def diverging(depth: Depth, dark: bool = True) -> tuple[Rgb, ...]:
    """The levels of the diverging map, an odd number: most negative (blue), ..., zero, ..., most positive (orange)."""
    if depth == "truecolor":
        blue = _interpolated(_BLUE_ON_DARK if dark else _BLUE_ON_LIGHT, LEVELS // 2 + 1)
        orange = _interpolated(_ORANGE_ON_DARK if dark else _ORANGE_ON_LIGHT, LEVELS // 2 + 1)
    elif depth == "256":
        blue = tuple(xterm_rgb(i) for i in (_BLUE_256_DARK if dark else _BLUE_256_LIGHT))
        orange = tuple(xterm_rgb(i) for i in (_ORANGE_256_DARK if dark else _ORANGE_256_LIGHT))
    else:
        return ()
    return blue[::-1] + orange[1:]


def shades(depth: Depth, signed: bool = False) -> str:
    """The ramp of characters that stands for a number where colour cannot, from nothing to full."""
    if depth != "ascii":
        return SHADES
    return SIGNED_ASCII_SHADES if signed else ASCII_SHADES


def _interpolated(anchors: tuple[Rgb, ...], levels: int) -> tuple[Rgb, ...]:
    out: list[Rgb] = []
    for level in range(levels):
        position = level * (len(anchors) - 1) / (levels - 1)
        low = min(int(position), len(anchors) - 2)
        part = position - low
        mixed = [round(a + (b - a) * part) for a, b in zip(anchors[low], anchors[low + 1], strict=True)]
        out.append((mixed[0], mixed[1], mixed[2]))
    return tuple(out)
