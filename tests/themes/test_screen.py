"""Every theme of ours can be read: contrasts over its tokens, as the style sheet uses them."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from themes.colour import contrast
from themes.screen import NAMES, OURS

# (text, what it stands on) as app.tcss and the widgets pair them
PAIRS = [
    ("foreground", "background"), ("foreground", "surface"), ("foreground", "panel"), ("foreground", "boost"),
    ("text-muted", "background"), ("text-muted", "surface"), ("text-muted", "panel"),
    ("accent", "background"), ("accent", "panel"),
    ("text-error", "panel"), ("text-error", "background"),
    ("block-cursor-foreground", "block-cursor-background"),
    ("foreground", "block-cursor-blurred-background"),
]  # fmt: skip


def opaque(token: str, over: Color) -> tuple[int, int, int]:
    """A token's colour, blended over what lies under it where it is translucent."""
    colour = Color.parse(token)
    return (over.blend(colour, colour.a).rgb) if colour.a < 1 else colour.rgb


@pytest.mark.parametrize("theme", OURS, ids=lambda t: t.name)
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_texts_stand_out(theme: Theme, text: str, ground: str) -> None:
    tokens = {**theme.to_color_system().generate(), **theme.variables}
    below = Color.parse(tokens["background"])
    under = opaque(tokens[ground], below)
    ratio = contrast(opaque(tokens[text], Color(*under)), under)
    least = 7.0 if theme.name == "iwb-contrast" else 4.5  # WCAG 2.2, levels AAA and AA for text
    assert ratio >= least, f"{text} on {ground}: {ratio:.2f}"


@pytest.mark.parametrize("theme", OURS, ids=lambda t: t.name)
def test_the_banners_automatic_text_stands_out(theme: Theme) -> None:
    error = Color.parse(theme.to_color_system().generate()["error"])
    assert contrast(error.get_contrast_text(1.0).rgb, error.rgb) >= 4.5


def test_every_theme_of_the_walk_exists() -> None:
    known = {theme.name for theme in OURS} | set(BUILTIN_THEMES)
    assert set(NAMES) <= known
