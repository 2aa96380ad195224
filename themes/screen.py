"""The themes of the screen: dark, light, high contrast, and one that keeps to the terminal's own sixteen colours.

Every text keeps a contrast of at least 4.5:1 against what it stands on (7:1 in high contrast); a test holds them to it.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="iwb-dark",
    dark=True,
    primary="#4c9be8",
    secondary="#8fb8de",
    accent="#f0a93b",
    foreground="#e4e4e4",
    background="#121417",
    surface="#1a1d21",
    panel="#23282e",
    boost="#323a43",
    warning="#f0a93b",
    error="#a3324a",
    success="#5bbf83",
    variables={"text-error": "#ff9aa8", "text-muted": "#a9b0b8", "block-cursor-background": "#f0a93b",
               "block-cursor-foreground": "#121417", "block-cursor-blurred-background": "#3a434d"},
)  # fmt: skip

LIGHT = Theme(
    name="iwb-light",
    dark=False,
    primary="#1c5fa8",
    secondary="#41698f",
    accent="#8a4b00",
    foreground="#1b1e22",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#e4e6e8",
    boost="#d5dade",
    warning="#8a4b00",
    error="#a01c38",
    success="#1d6b3f",
    variables={"text-error": "#9c1633", "text-muted": "#4f575f", "block-cursor-background": "#8a4b00",
               "block-cursor-foreground": "#fbfbf9", "block-cursor-blurred-background": "#c9d0d6"},
)  # fmt: skip

CONTRAST = Theme(
    name="iwb-contrast",
    dark=True,
    primary="#6cc4ff",
    secondary="#c0e4ff",
    accent="#ffd84d",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#101010",
    boost="#303030",
    warning="#ffd84d",
    error="#8c0020",
    success="#7dffae",
    variables={"text-error": "#ffb3bf", "text-muted": "#d8d8d8", "block-cursor-background": "#ffd84d",
               "block-cursor-foreground": "#000000", "block-cursor-blurred-background": "#404040"},
)  # fmt: skip

OURS: tuple[Theme, ...] = (DARK, LIGHT, CONTRAST)
NAMES: tuple[str, ...] = (*(theme.name for theme in OURS), "ansi-dark", "ansi-light")  # in the order `T` walks
