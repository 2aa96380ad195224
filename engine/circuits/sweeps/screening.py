"""Screening: most passes in bfloat16, and again in the model's own format whatever that could have decided wrongly.

bfloat16 keeps 8 bits. Where the machine multiplies it in matrix units a pass takes a fraction of the time, and what a
head is worth comes out with an error of a few hundredths of a logit (circuits.md, section e). So the error is measured
in the very run, on heads done in both formats, and a decision stands on bfloat16 only if its margin is beyond that
error times `SAFETY`; every other one is made again in the model's format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from engine.models.protocols import TransformerModel
from sessions.artifacts import Array

Screening = Literal["off", "bf16", "auto"]

SAFETY = 2.0  # times the largest error seen
LEAST_SAMPLE = 8  # heads done in both formats, if there are as many


def has_bf16_units(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 matrix products are a matter of hardware here: tensor cores, or AMX or AVX-512 on the CPU."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    try:
        return "bf16" in cpuinfo.read_text()  # amx_bf16, avx512_bf16, and bf16 among an ARM CPU's features
    except OSError:
        return False


def screening_model(model: TransformerModel, wanted: Screening) -> tuple[TransformerModel | None, str]:
    """The copy of the model that screens, if any, and in words what was chosen and why.

    With `bf16` there is one wherever that is another format than the model's; with `auto` only where it is faster.
    """
    if wanted == "off":
        return None, "off"
    if model.dtype == torch.bfloat16 or model.dtype == torch.float16:
        return None, f"off: the model itself is in {str(model.dtype).removeprefix('torch.')}"
    if wanted == "auto" and not has_bf16_units(str(model.device)):
        return None, f"off: no bfloat16 matrix units on {model.device}"
    return model.in_dtype(torch.bfloat16), "bfloat16"


def sample_of(units: int, heads: int) -> Array:
    """[unit] which of the units in order are done in both formats to begin with: another head in every layer, or about
    so, and no fewer than `LEAST_SAMPLE` in all."""
    step = max(1, min(heads + 1, units // LEAST_SAMPLE))
    return np.asarray(np.arange(units) % step == 0)


def undecided_rank(size: Float[np.ndarray, " unit"], bound: Float[np.ndarray, " unit"], top: int) -> Array:
    """[unit] which may or may not be among the `top` greatest, each size being known to within its bound."""
    low, high = size - bound, size + bound
    order_low, order_high = np.sort(low), np.sort(high)
    n = len(size)
    # How many may be greater than a unit at its least, itself not counted; and how many surely are at its most.
    may = n - np.searchsorted(order_high, low, side="left") - 1
    must = n - np.searchsorted(order_low, high, side="right")
    return np.asarray((may >= top) & (must < top))


__all__ = [
    "LEAST_SAMPLE",
    "SAFETY",
    "Screening",
    "has_bf16_units",
    "sample_of",
    "screening_model",
    "undecided_rank",
]
