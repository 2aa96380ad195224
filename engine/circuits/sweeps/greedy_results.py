"""What a greedy head sweep shows: decisions as a table, drops as a heatmap, the curves. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.circuits.asking import Asked, head_axis, layer_axis
from sessions.artifacts import Column, Curve, Matrix, Series, Table

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns
    from engine.circuits.sweeps.greedy_sweep import Decision


def screened_facts(log: Sequence[Decision]) -> dict[str, Any]:
    from engine.circuits.sweeps.screening import SAFETY

    again = [line for line in log if not line.screened]
    error = max((line.error for line in log if line.error is not None), default=0.0)
    judged = max((line.judge_error for line in log if line.judge_error is not None), default=0.0)
    # The error is learnt on the way: what was decided before its largest was seen may have had less margin than that.
    early = sum(line.screened and line.margin <= SAFETY * max(error, judged) for line in log)
    return {
        "screen_error": error,
        "screen_judge_error": judged,
        "heads_screened": len(log) - len(again),
        "heads_recomputed": len(again),
        "heads_screened_early": early,
        "screen_words": f"{len(again)} heads were decided exactly; {len(log) - len(again)} in bfloat16, by more "
        f"than {SAFETY:g} times the largest error seen by then (in the end {error:.2g}; {early} by less than that). "
        "Their numbers, and the curves between their ends, are those of bfloat16; the circuit is measured exactly",
    }


def decisions(facts: dict[str, Any], log: Sequence[Decision]) -> Table:
    unit, metric = facts["unit"], facts["metric"]
    removed, level = facts["heads_removed"], f"{facts['level']:.0%}"
    extra: list[tuple[Column, str]] = []
    if facts["n_judge"]:
        extra = [
            (Column("judged", "float", unit, "the drop on the prompts that judge; empty: kept before"), "judge_drop"),
            (Column("judged high", "float", unit, f"upper end of its {level} interval"), "judge_high"),
            (Column("judged allowed", "float", unit, "removed only if that is at most this"), "judge_allowed"),
        ]
    if facts["screen"] == "bfloat16":
        extra.append((Column("screened", "bool", "", "decided in bfloat16, whose numbers these are"), "screened"))
    return Table(
        title=f"Greedy head sweep: decisions (theta {facts['theta']:g} {_theta_unit(facts)})",
        summary=f"{removed} of {len(log)} heads removed; {metric} on {facts['measured_on']} "
        f"{facts['metric_full']:.3g} -> {facts['metric_circuit']:.3g}",
        facts=facts,
        columns=(
            Column("component", "text"),
            Column("verdict", "text"),
            Column("before", "float", unit, f"{metric} that the drop counts from, on the prompts that select"),
            Column("after", "float", unit, "with this head removed too"),
            Column("drop", "float", unit, "how much worse"),
            Column("allowed", "float", unit, "the greatest drop that removes"),
            Column("held out", "float", unit, "on the prompts held out, after the removal"),
            Column("low", "float", unit, f"{level} interval (paired bootstrap of the change from the full model)"),
            Column("high", "float", unit, f"{level} interval (paired bootstrap of the change from the full model)"),
            Column("alone", "bool", "", "too close to the threshold: measured again by itself, exactly"),
            *(column for column, _ in extra),
        ),
        rows=tuple(
            (
                str(line.component),
                "removed" if line.removed else "kept",
                line.base,
                line.value,
                line.drop,
                line.allowed,
                line.held_out,
                line.low,
                line.high,
                line.alone,
                *(getattr(line, name) for _, name in extra),
            )
            for line in log
        ),
    )


def _theta_unit(facts: dict[str, Any]) -> str:
    return "of the value" if facts["threshold"] == "percentage" else str(facts["unit"])


def drops(asked: Asked, facts: dict[str, Any], log: Sequence[Decision]) -> Matrix:
    c = asked.model.config
    values = np.full((c.n_layers, c.n_heads), np.nan, np.float32)
    for line in log:
        values[line.layer, line.head] = line.drop
    kept = tuple((line.layer, line.head) for line in log if not line.removed)
    return Matrix(
        title=f"Greedy head sweep: drop in {facts['metric_title']} when tried",
        summary=f"{len(log)} of {values.size} heads tried, {len(kept)} kept (marked)",
        facts=facts,
        values=values,
        axes=(layer_axis(asked.model), head_axis(asked.model)),
        unit=facts["unit"],
        scale="diverging",
        marks=kept,
    )


def curves(facts: dict[str, Any], log: Sequence[Decision], select: PromptRuns, held_out: PromptRuns | None) -> Series:
    gone = [line for line in log if line.removed]
    clean = float(select.clean.double().mean())
    curves = [Curve("prompts that select", np.array([clean, *(line.value for line in gone)]))]
    if held_out is not None:
        start = float(held_out.clean.double().mean())

        def column(name: str) -> Any:
            return np.array([start, *(getattr(line, name) for line in gone)], dtype=np.float64)

        curves.append(Curve("held out", column("held_out"), low=column("low"), high=column("high")))
    return Series(
        title=f"Greedy head sweep: {facts['metric']} as heads go",
        summary=f"from {clean:.3g} to {curves[0].y[-1]:.3g} on the prompts that select"
        + (f", {curves[1].y[0]:.3g} to {curves[1].y[-1]:.3g} held out" if held_out is not None else ""),
        facts=facts,
        x=np.arange(len(gone) + 1),
        x_name="heads removed",
        curves=tuple(curves),
        y_name=f"{facts['metric_title']} ({facts['unit']})",
    )


__all__ = ["curves", "decisions", "drops", "screened_facts"]
