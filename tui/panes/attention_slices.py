"""Which stored patterns answer what a person looks at, and the slice of them that is drawn; plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np

from sessions.artifacts import Axis, Matrix, PromptRow, Prompts
from sessions.steps import Step, Stored
from tui.widgets.heatmap_layout import Floats

OPERATION = "circuits.attention_patterns"
Side = Literal["clean", "corrupt", "difference"]
SIDES: tuple[Side, ...] = ("clean", "corrupt", "difference")
Scaling = Literal["per head", "shared", "fixed"]
SCALINGS: tuple[Scaling, ...] = ("per head", "shared", "fixed")
BLOCK = 8  # prompts asked for at a time, so that stepping to the next prompt rarely waits


class Wanted(msgspec.Struct, frozen=True):
    """Which patterns: of one prompt (`row`, from 0) or averaged over the set, clean, corrupt or their difference."""

    row: int
    side: Side = "clean"
    average: bool = False

    def request(self, model: int, prompts: int) -> dict[str, Any]:
        """The parameters that make them: one prompt's come with their neighbours."""
        values: dict[str, Any] = {"model": f"@{model}", "prompts": f"@{prompts}", "side": self.side}
        if self.average:
            return values | {"average": True}
        return values | {"first": self.row // BLOCK * BLOCK + 1, "count": BLOCK}

    def answered_by(self, step: Step, rows: int) -> bool:
        """Whether that step's patterns hold what is wanted. `rows`: how many prompts the set has."""
        given = step.parameters
        if step.operation != OPERATION or step.status != "done":
            return False
        if given.get("side", "clean") != self.side or bool(given.get("average", False)) != self.average:
            return False
        first, count = int(given.get("first", 1)) - 1, int(given.get("count", 0))
        if self.average:
            return first == 0 and (count == 0 or count >= rows)
        return first <= self.row < first + (count or BLOCK)


def shown_by(matrix: Matrix, row: int) -> Wanted:
    """What a patterns artifact shows when prompt `row` is chosen."""
    side = matrix.facts.get("side", "clean")
    return Wanted(row, side if side in SIDES else "clean", bool(matrix.facts.get("average", False)))


def find(
    wanted: Wanted,
    candidates: Iterable[tuple[Stored, Step]],
    model: str,
    prompts: str,
    rows: int,
    sha256: dict[int, str],
) -> Stored | None:
    """The newest stored patterns of that model and those prompts (by their hashes) that hold what is wanted."""
    for stored, step in reversed(tuple(candidates)):
        same = sha256.get(step.inputs.get("model", 0)) == model and sha256.get(step.inputs.get("prompts", 0)) == prompts
        if same and wanted.answered_by(step, rows):
            return stored
    return None


class Patterns(msgspec.Struct, frozen=True):
    """One prompt's patterns: values[layer, head, query, key], cut to its tokens."""

    values: Floats
    tokens: tuple[str, ...]
    title: str
    difference: bool

    @property
    def axes(self) -> tuple[Axis, Axis]:
        return Axis("query", self.tokens), Axis("key", self.tokens)

    def limits(self, scaling: Scaling) -> tuple[float, float] | None:
        if scaling == "per head":
            return None
        if scaling == "fixed":
            return (-1.0, 1.0) if self.difference else (0.0, 1.0)
        finite = self.values[np.isfinite(self.values)]
        reach = float(np.abs(finite).max()) if finite.size else 1.0
        return (-reach, reach) if self.difference else (0.0, reach)


def patterns_of(matrix: Matrix, row: int, prompts: Prompts | None = None) -> Patterns | None:
    """The patterns of prompt `row` (from 0) out of an artifact; None when it does not hold that prompt.

    Tokens come from the prompt set where it has them (the artifact carries those of the clean side), else from the
    artifact.
    """
    values = np.asarray(matrix.values)
    if values.ndim != 5:
        return None
    average = bool(matrix.facts.get("average", False))
    side = str(matrix.facts.get("side", "clean"))
    index = 0 if average else row - (int(matrix.facts.get("first", 1)) - 1)
    if not 0 <= index < len(values):
        return None
    listed = matrix.facts.get("tokens", [])
    own = tuple(listed[index]) if not average and index < len(listed) else ()
    tokens = own or matrix.axes[3].labels
    if not average and prompts is not None and row < len(prompts.rows):
        known = _tokens(prompts.rows[row], side)
        if known and (not own or len(known) == len(own)):
            tokens = known
    length = len(tokens) or values.shape[3]
    of = f"mean of {matrix.facts.get('n', '?')} prompts" if average else f"prompt {row + 1}"
    which = "clean minus corrupt" if side == "difference" else side
    return Patterns(values[index][:, :, :length, :length], tokens, f"{of}, {which}", side == "difference")


def _tokens(row: PromptRow, side: str) -> tuple[str, ...]:
    return row.corrupt_tokens if side == "corrupt" else row.clean_tokens
