"""One result per prompt, chunk by chunk: halved where memory runs out, each finished chunk kept for a resumed step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.hardware import halving
from engine.operations import Context
from sessions.artifacts import Array


def per_prompt(
    ctx: Context,
    n: int,
    step: int,
    note: str,
    compute: Callable[[slice], Array],
    *,
    device: Any = "cpu",
    so_far: Callable[[Array], None] = lambda values: None,
) -> Array:
    """[prompt ...] what `compute` gives for all n prompts, `step` at a time. `so_far` gets what is known after every
    chunk but the last. What a chunk is does not change its prompts' results beyond the last bits."""
    saved = sorted(ctx.checkpoints().values(), key=lambda part: int(part["start"]))
    parts: list[Array] = [np.asarray(part["values"]) for part in saved]
    done = sum(len(part) for part in parts)
    ctx.progress(done, n, note)

    def run(start: int, stop: int) -> Array:
        return compute(slice(done + start, done + stop))

    resumed = done
    for values in halving(run, n - resumed, step, device=str(device)):
        parts.append(values)
        at, resumed = resumed, resumed + len(values)
        if resumed < n:
            ctx.checkpoint(f"{at}-{resumed}", {"start": at, "values": values})
            so_far(np.concatenate(parts))
        ctx.progress(resumed, n, note)
    return np.concatenate(parts)


__all__ = ["per_prompt"]
