"""A head sweep on its way: what each component's ablation leaves of the metric, in which number format, saved batch by
batch. Loads without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.operations import Context
from sessions.artifacts import Array
from sessions.components import Head, Mlp, parse_component

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns
    from engine.models.protocols import TransformerModel

Part = Head | Mlp
Undecided = Callable[[Array, Array], Array]  # sizes of effects and their bounds [head] -> bool [head]


class Batch(NamedTuple):
    """One finished batch, in words for the progress bar."""

    first: Part
    last: Part
    done: int  # measurements (component x prompt) so far
    total: int  # as far as it is known: with screening it grows


class HeadValues:
    """The metric [component example] with each component ablated alone. NaN where it is not known.

    `exact` is in the model's own format, `rough` in the screening copy's (heads only; all NaN without screening).
    """

    def __init__(self, ctx: Context, runs: PromptRuns, order: Sequence[Part], variants: int) -> None:
        self._ctx, self._runs, self.order, self._variants = ctx, runs, tuple(order), variants
        self._place = {part: index for index, part in enumerate(self.order)}
        self.exact = np.full((len(order), runs.size), np.nan, np.float32)
        self.rough = self.exact.copy()
        self.heads = np.array([isinstance(part, Head) for part in order])
        for saved in ctx.checkpoints().values():
            into = self.rough if saved.get("rough") else self.exact
            known = [self._place.get(_part(text)) for text in saved["components"]]
            for place, values in zip(known, saved["values"]):
                if place is not None:
                    into[place, saved["start"] : saved["stop"]] = values
        self._planned = int(np.isfinite(self.rough).sum() + np.isfinite(self.exact).sum())

    @property
    def values(self) -> Array:
        """The best there is of each."""
        return np.where(np.isfinite(self.exact), self.exact, self.rough)

    @property
    def is_rough(self) -> Array:
        """[component] whether `values` takes any of its prompts from the screening."""
        return np.asarray(np.isnan(self.exact).any(1))

    @property
    def done(self) -> int:
        return int(np.isfinite(self.exact).sum() + np.isfinite(self.rough).sum())

    def measure(self, chosen: Array, through: TransformerModel | None = None) -> Iterator[Batch]:
        """The components at those places, as far as they are not known yet; with `through`, roughly."""
        from engine.circuits.sweeps.head_sweep import head_sweep

        values = self.exact if through is None else self.rough
        missing = np.isnan(values) & chosen[:, None]
        self._planned = self.done + int(missing.sum())
        wanted = [
            [part for part, row in zip(self.order, missing[:, chunk.rows]) if row.any()] for chunk in self._runs.chunks
        ]
        for made in head_sweep(self._runs, wanted, variants=self._variants, through=through):
            found = made.values.float().cpu().numpy()
            first, last, rows = made.components[0], made.components[-1], made.rows
            values[[self._place[part] for part in made.components], rows] = found
            unit = f"{first}-{last}:{rows.start}-{rows.stop}" + ("" if through is None else " rough")
            saved: dict[str, Any] = {
                "components": [str(part) for part in made.components],
                "start": rows.start,
                "stop": rows.stop,
                "values": found,
            }
            self._ctx.checkpoint(unit, saved if through is None else saved | {"rough": True})
            yield Batch(first, last, self.done, self._planned)

    def screened(self, through: TransformerModel, sample: Array, undecided: Undecided) -> Iterator[Batch]:
        """Every head roughly; the sample and all MLPs exactly; then exactly, until none is left, whatever `undecided`
        says of the heads' effects known as well as they are by then."""
        yield from self.measure(self.heads, through)
        chosen = ~self.heads
        chosen[np.flatnonzero(self.heads)[sample]] = True
        while chosen.any():
            yield from self.measure(chosen)
            sizes, bounds = self.effects()
            chosen = self.heads.copy()
            chosen[self.heads] = undecided(sizes, bounds) & (bounds > 0)

    @property
    def error(self) -> float:
        """Of the screening copy: the mean size of an example's error (it bounds that of the mean, which may be small by
        chance); the largest over the heads done in both formats."""
        both = self.heads & np.isfinite(self.exact).all(1) & np.isfinite(self.rough).all(1)
        if not both.any():
            return float("nan")
        differences = self.exact[both].astype(np.float64) - self.rough[both].astype(np.float64)
        return float(np.abs(differences).mean(1).max())

    def effects(self) -> tuple[Array, Array]:
        """How large each head's mean effect is, and to within what it is known: 0 where it was computed exactly."""
        from engine.circuits.sweeps.screening import SAFETY

        clean = float(self._runs.clean.double().mean())
        # No error seen is no proof. Of accuracy the least error there can be is one prompt's.
        least = 1 / self._runs.size if self._runs.metric.name == "accuracy" else 1e-9
        sizes = np.abs(self.values[self.heads].astype(np.float64).mean(1) - clean)
        exact = np.isfinite(self.exact[self.heads]).all(1)
        return sizes, np.where(exact, 0.0, SAFETY * max(self.error, least))


def _part(text: str) -> Part:
    component = parse_component(text)
    assert isinstance(component, Head | Mlp)
    return component


__all__ = ["Batch", "HeadValues", "Part"]
