"""A matrix of circuits x models as artifacts: the picture, the study's table, its cells, and what carries over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.circuits.across.directions import moved
from engine.circuits.across.intervals import BOOTSTRAP, mean_interval
from engine.circuits.bootstrap import Bounds, PairedBootstrap
from sessions.artifacts import Array, Axis, Column, Matrix, Table

WHOLE = "whole model (nothing removed)"

# [row][column] the metric per prompt of a circuit in a model, None where it has not been measured yet.
Values = Sequence[Sequence[Array | None]]


class Rows(NamedTuple):
    """The whole model, then the circuits, as rows: what they are called, and which of the models each was found on."""

    names: tuple[str, ...]
    on: tuple[int | None, ...]


def _means(values: Values) -> Array:
    """[row column] NaN where a cell has not been measured yet."""
    return np.array([[np.nan if v is None else v.astype(np.float64).mean() for v in row] for row in values])


def _best(means: Array, direction: str) -> list[tuple[int, int]]:
    """The best circuits of every model, ties included; the whole model is none of them."""
    turned = means if direction.startswith("higher") else -means
    found = []
    for j in range(means.shape[1]):
        column = turned[1:, j]
        known = column[np.isfinite(column)]
        if len(known):
            found += [(1 + i, j) for i in range(len(column)) if column[i] == known.max()]
    return found


def transfer_matrix(facts: dict[str, Any], rows: Rows, columns: Sequence[str], values: Values) -> Matrix:
    means = _means(values)
    known = int(np.isfinite(means).sum())
    best = _best(means, facts["direction"])
    words = ", ".join(f"{columns[j]}: {rows.names[i]}" for i, j in best if np.isfinite(means[:, j]).all())
    return Matrix(
        title=f"Circuits x models: {facts['metric_title']} ({facts['ablation']})",
        summary=(f"best circuit per model (marked): {words}" if known == means.size else f"{known} of {means.size}")
        + f"; n = {facts['n']}",
        facts=dict(facts),
        values=means.astype(np.float32),
        axes=(Axis("circuit from", rows.names), Axis("on model", tuple(columns))),
        unit=facts["unit"],
        marks=tuple(best),
    )


def transfer_table(facts: dict[str, Any], rows: Rows, columns: Sequence[str], values: Values) -> Table:
    """The study's table: a row per circuit, a column per model."""
    means = _means(values)
    return Table(
        title=f"Circuits on models: {facts['metric']}",
        summary=f"{len(rows.names) - 1} circuits on {len(columns)} models; {facts['direction']}, n = {facts['n']}",
        facts=dict(facts),
        columns=(
            Column("circuit from", "text", "", "the model it was found on, and what it removes"),
            *(Column(f"on {name}", "float", facts["unit"], facts["metric_title"]) for name in columns),
        ),
        rows=tuple((name, *line) for name, line in zip(rows.names, means.tolist())),
    )


def cells_table(
    facts: dict[str, Any],
    rows: Rows,
    columns: Sequence[str],
    values: Values,
    *,
    share: bool,
    bootstrap: PairedBootstrap,
) -> Table:
    """A row per cell, with its interval and how far it is behind the model's best circuit."""
    best = {j: i for i, j in reversed(_best(_means(values), facts["direction"]))}
    sign = 1.0 if facts["direction"].startswith("higher") else -1.0
    unit, found = facts["unit"], []
    for j, column in enumerate(columns):
        whole = _known(values[0][j])
        for i, name in enumerate(rows.names):
            here = _known(values[i][j])
            low, high = mean_interval(here, share=share, bootstrap=bootstrap)
            behind: float | None = None
            bounds: tuple[float | None, float | None] = (None, None)
            if i:
                lag = sign * (_known(values[best[j]][j]) - here)
                behind, bounds = float(lag.mean()), bootstrap.interval(lag) if i != best[j] else Bounds(0.0, 0.0)
            drop = float((sign * (whole - here)).mean())
            own = rows.on[i] == j
            line = (name, column, own, float(here.mean()), low, high, drop, behind, *bounds, len(here))
            found.append(line)
    unsure = [f"{line[0]} on {line[1]}" for line in found if line[7] and line[8] is not None and line[8] <= 0]
    tied = f"; not clearly behind the best: {', '.join(unsure)}" if unsure else ""
    return Table(
        title=f"Circuits on models, cell by cell: {facts['metric']}",
        summary=f"{len(found)} cells, n = {facts['n']}{tied}",
        facts=facts | {"behind_interval": f"paired {BOOTSTRAP}"},
        columns=(
            Column("circuit from", "text"),
            Column("on model", "text"),
            Column("own", "bool", "", "found on this very model"),
            Column(facts["metric"], "float", unit, facts["metric_title"]),
            Column("low", "float", unit, facts["interval"]),
            Column("high", "float", unit, facts["interval"]),
            Column("drop", "float", unit, "how much worse than the whole model"),
            Column("behind best", "float", unit, "how much worse than the best circuit on this model"),
            Column("behind low", "float", unit, f"of behind best: paired {BOOTSTRAP}"),
            Column("behind high", "float", unit, f"of behind best: paired {BOOTSTRAP}"),
            Column("n", "int", "prompts"),
        ),
        rows=tuple(found),
    )


def directions_table(
    facts: dict[str, Any],
    rows: Rows,
    columns: Sequence[str],
    values: Values,
    *,
    bootstrap: PairedBootstrap,
) -> Table:
    """Every circuit whose own model is among the columns: on each other model, better or worse than at home?"""
    lines: list[tuple[str | float, ...]] = []
    told = {"later": [0, 0], "earlier": [0, 0]}  # better, worse
    homes = [(i, own) for i, own in enumerate(rows.on) if own is not None]
    for i, own in homes:
        for j, column in enumerate(columns):
            if j == own:
                continue
            at_home, there = _known(values[i][own]), _known(values[i][j])
            higher = facts["direction"].startswith("higher")
            found = moved(at_home, there, higher_is_better=higher, bootstrap=bootstrap)
            way = "later" if j > own else "earlier"
            told[way][0] += found.verdict == "better there"
            told[way][1] += found.verdict == "worse there"
            numbers = (float(at_home.mean()), float(there.mean()), found.change, *found.bounds)
            lines.append((rows.names[i], column, way, found.verdict, *numbers))
    words = [f"on {way} models {better} better, {worse} worse" for way, (better, worse) in told.items()]
    unit = facts["unit"]
    return Table(
        title=f"Do circuits carry over? {facts['metric']} on other models against their own",
        summary=f"of {len(lines)} pairs: {'; '.join(words)}; n = {facts['n']}",
        facts=facts | {"order": "models in the order they were named: before fine-tuning first", "interval": BOOTSTRAP},
        columns=(
            Column("circuit from", "text"),
            Column("on model", "text"),
            Column("named", "text", "", "before or after the circuit's own model in the list of models"),
            Column("verdict", "text", "", "better or worse than on its own model, where the interval leaves out 0"),
            Column("own", "float", unit, "on the model it was found on"),
            Column("there", "float", unit, "on this model"),
            Column("change", "float", unit, "how much better there; negative: worse"),
            Column("low", "float", unit, f"of the change: paired {BOOTSTRAP}"),
            Column("high", "float", unit, f"of the change: paired {BOOTSTRAP}"),
        ),
        rows=tuple(lines),
    )


def _known(values: Array | None) -> Array:
    assert values is not None
    return values.astype(np.float64)


__all__ = ["WHOLE", "Rows", "Values", "cells_table", "directions_table", "transfer_matrix", "transfer_table"]
