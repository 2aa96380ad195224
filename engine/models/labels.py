"""What the rows and columns of a compiled model mean: which value a token id is, which value a logit stands for, what a
residual direction holds. Kept beside the weights (`labels.json`, or the metadata of the safetensors)."""

from __future__ import annotations

from typing import Any

import msgspec

FORMAT = "iwb-labels-1"


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """Values are None, numbers, strings, booleans, or lists of them (tuples, as JSON writes them)."""

    tokens: tuple[Any, ...]  # by token id; the beginning and padding tokens too
    bos: int  # token id that stands before every input
    pad: int | None = None
    outputs: tuple[Any, ...] | None = None  # by logit; None: one logit, which is the number itself
    residual: tuple[str, ...] = ()  # by residual direction: "hist_1:2", "one", ...; empty where the basis has no names
    masks_pad: bool = False  # the weights keep padding from being attended: rows of unequal length may share a batch
    max_len: int = 0  # longest input, the beginning token not counted; 0: n_ctx - 1
    program: str = ""  # the RASP text it was compiled from, where known
    format: str = FORMAT
