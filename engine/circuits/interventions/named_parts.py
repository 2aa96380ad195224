"""The parts of a model that a person names in a parameter, checked against the model. Loads without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerConfig


def named_parts(text: str, config: TransformerConfig, where: str, example: str) -> tuple[Component, ...]:
    """The components of a list with commas, each once. CallError, at parameter `where`, when there is none, a word is
    no component, or the model has no such layer, head or MLP; `example` is what would be right."""
    found: dict[Component, None] = {}
    for word in text.replace(";", ",").split(","):
        if not word.strip():
            continue
        try:
            part = parse_component(word)
        except CallError as error:
            raise CallError(error.what, where, error.remedy) from None
        if isinstance(part, Head | Mlp):
            _must_exist(part, config, where)
        found[part] = None
    if not found:
        raise CallError("no component is named", where, example)
    return tuple(found)


def _must_exist(part: Head | Mlp, config: TransformerConfig, where: str) -> None:
    missing = part.layer >= config.n_layers or (isinstance(part, Head) and part.head >= config.n_heads)
    if missing or (isinstance(part, Mlp) and not config.d_mlp):
        mlps = "" if config.d_mlp else ", without MLPs"
        raise CallError(
            f"this model has no {part}", where, f"it has {config.n_layers} layers of {config.n_heads} heads{mlps}"
        )


__all__ = ["named_parts"]
