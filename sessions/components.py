"""The parts of a transformer that circuits are made of, as typed values, written the way the field writes them."""

from __future__ import annotations

import re
from typing import Literal, cast

import msgspec

from sessions.errors import CallError

HeadInput = Literal["q", "k", "v"]


class Head(msgspec.Struct, frozen=True, order=True, tag="head"):
    """Attention head `head` of layer `layer`, both from 0; `input` names one of its three inputs, or the whole head."""

    layer: int
    head: int
    input: HeadInput | None = None

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}" + (f".{self.input}" if self.input else "")


class Mlp(msgspec.Struct, frozen=True, order=True, tag="mlp"):
    """The MLP of layer `layer`."""

    layer: int

    def __str__(self) -> str:
        return f"mlp{self.layer}"


class Embed(msgspec.Struct, frozen=True, order=True, tag="embed"):
    """The embeddings: tokens and positions."""

    def __str__(self) -> str:
        return "embed"


class Logits(msgspec.Struct, frozen=True, order=True, tag="logits"):
    """The unembedding's input: the end of the residual stream."""

    def __str__(self) -> str:
        return "logits"


Component = Head | Mlp | Embed | Logits

_HEAD = re.compile(r"[Ll](\d+)[Hh](\d+)(?:\.([qkv]))?|[aA]?(\d+)\.[hH]?(\d+)(?:\.([qkv]))?")
_MLP = re.compile(r"(?:mlp|m)(\d+)", re.IGNORECASE)


def parse_component(text: str) -> Component:
    """The component a person wrote: `L5H1`, `5.1`, `a5.h1`, `L5H1.q`, `mlp7`, `m7`, `embed` or `logits`.

    Raises CallError with the accepted forms.
    """
    word = text.strip()
    if word.lower() == "embed":
        return Embed()
    if word.lower() == "logits":
        return Logits()
    if found := _HEAD.fullmatch(word):
        layer, head, port = found.groups()[:3] if found.group(1) is not None else found.groups()[3:]
        return Head(int(layer), int(head), cast("HeadInput | None", port))
    if found := _MLP.fullmatch(word):
        return Mlp(int(found.group(1)))
    raise CallError(f"'{text}' is not a component", remedy="write L5H1, L5H1.q, mlp7, embed or logits")
