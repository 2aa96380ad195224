"""Metric values that come in batch by batch, and survive an interruption. Loads without torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.circuits.asking import Voice
from engine.operations import Context
from sessions.artifacts import Array

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns


class Measured:
    """`values` [unit example], NaN until measured. A unit is one patch, counted from 0 in an order that the method
    fixes; every batch that comes in is a checkpoint, and those of an earlier, interrupted run are there at once."""

    def __init__(self, ctx: Context, voice: Voice, units: int, runs: PromptRuns) -> None:
        self._ctx, self._voice = ctx, voice
        self.values: Array = np.full((units, runs.size), np.nan, np.float32)
        self.chunks = tuple(chunk.rows for chunk in runs.chunks)
        for saved in ctx.checkpoints().values():
            self.values[np.asarray(saved["units"]), saved["start"] : saved["stop"]] = saved["values"]

    def missing(self, among: Iterable[int]) -> tuple[tuple[int, ...], ...]:
        """For each chunk of prompts, the units that are still to be measured on it."""
        units = np.fromiter(among, dtype=np.int64)
        return tuple(
            tuple(units[np.isnan(self.values[units, rows]).any(1)].tolist()) if len(units) else ()
            for rows in self.chunks
        )

    def take(self, units: Sequence[int], rows: slice, values: Array) -> None:
        """Keep one batch: the values [unit example] of some units on some prompts."""
        self.values[np.asarray(units)[:, None], np.arange(rows.start, rows.stop)] = values
        name = f"{units[0]}-{units[-1]}:{rows.start}-{rows.stop}"
        saved = {"units": list(units), "start": rows.start, "stop": rows.stop, "values": np.asarray(values, np.float32)}
        self._ctx.checkpoint(name, saved)

    def so_far(self, unit: int) -> dict[str, str]:
        """What a heatmap that is not whole yet says of its newest cell: the prompts it stands for."""
        seen, n = int(np.isfinite(self.values[unit]).sum()), self.values.shape[1]
        return {"n": f"{seen} of {n} so far"} if seen < n else {}

    def say(self, note: str) -> None:
        self._voice.say(int(np.isfinite(self.values).sum()), self.values.size, note)


__all__ = ["Measured"]
