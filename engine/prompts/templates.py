"""Sentences with named holes: filling one also says where each word stands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from string import Formatter

import numpy as np

from sessions.errors import CallError

Spans = dict[str, tuple[int, int]]


def fill(template: str, words: Mapping[str, str]) -> tuple[str, Spans]:
    """The sentence, and the character range of each hole's word by the hole's name."""
    text = ""
    spans: Spans = {}
    for before, hole in _parsed(template):
        text += before
        if hole:
            spans[hole] = (len(text), len(text) + len(words[hole]))
            text += words[hole]
    return text, spans


@cache
def _parsed(template: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((before, hole) for before, hole, _, _ in Formatter().parse(template))


def choose(rng: np.random.Generator, count: int, known: int, template: int | None, task: str) -> list[int]:
    """`count` template numbers from 0: the one asked for (numbered from 1), or all in equal parts, shuffled."""
    if template is None:
        return [int(i) for i in rng.permutation(np.arange(count) % known)]
    if not 1 <= template <= known:
        raise CallError(
            f"{task} has no template {template}", "parameter 'template'", f"give a number from 1 to {known}"
        )
    return [template - 1] * count
