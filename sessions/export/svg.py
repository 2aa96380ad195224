"""Pieces of SVG as text: elements with escaped attributes, and a picture that scales to its page."""

from __future__ import annotations

from html import escape

# Once in every page: the hatching of what was not computed, and the head of an automaton's arrows.
DEFINITIONS = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    '<pattern id="unknown" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" fill="#f0f0f0"/><path d="M0 0V6" stroke="#bbbbbb" stroke-width="2"/></pattern>'
    '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L10 5L0 10z" fill="#555555"/></marker></defs></svg>'
)


def element(name: str, content: str = "", **attributes: str | float | None) -> str:
    """`<name ...>content</name>`. `content` is markup; attributes are escaped; `_` in a name stands for `-`."""
    parts = [f' {key.rstrip("_").replace("_", "-")}="{_written(v)}"' for key, v in attributes.items() if v is not None]
    return f"<{name}{''.join(parts)}>{content}</{name}>" if content else f"<{name}{''.join(parts)}/>"


def text(x: float, y: float, content: str, **attributes: str | float | None) -> str:
    return element("text", safe(content) or " ", x=x, y=y, **attributes)


def title(content: str) -> str:
    """What a browser shows when the pointer rests on the element around it."""
    return element("title", safe(content) or " ")


def picture(width: float, height: float, content: str, name: str) -> str:
    """The whole drawing, in its own units; `name` is read out to those who cannot see it."""
    sizes: dict[str, str | float | None] = {
        "viewBox": f"0 0 {width:.5g} {height:.5g}",
        "width": width,
        "height": height,
    }
    return element("svg", content, **sizes, role="img", aria_label=name, font_family="sans-serif", font_size=11)


def safe(content: str) -> str:
    """Text as markup, without the characters that XML forbids."""
    return escape(printed(content))


def printed(content: str) -> str:
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in content)


def _written(value: str | float | None) -> str:
    return escape(printed(value)) if isinstance(value, str) else f"{value or 0:.6g}"
