"""How large a network each task gets: the sizes of the paper, and how long we train it by default."""

from __future__ import annotations

from typing import NamedTuple

from engine.rasp.transformer_programs.model import Shape
from engine.rasp.transformer_programs.tasks import Task


class Sizes(NamedTuple):
    """Heads and MLPs per layer. Epochs and attempts are ours: the paper trains for 250 epochs."""

    layers: int
    categorical_heads: int
    numerical_heads: int
    categorical_mlps: int
    numerical_mlps: int
    epochs: int
    attempts: int = 2


SIZES: dict[str, Sizes] = {
    "histogram": Sizes(1, 2, 2, 1, 1, 25, attempts=6),
    "reverse": Sizes(3, 4, 4, 1, 1, 60),
    "double_histogram": Sizes(3, 2, 2, 1, 1, 150),
    "sort": Sizes(3, 4, 4, 2, 2, 60),
    "most_frequent": Sizes(3, 4, 4, 2, 2, 150),
    "dyck1": Sizes(3, 4, 4, 1, 1, 150),
    "dyck2": Sizes(3, 2, 2, 2, 2, 150),
}


def shape_of(
    task: Task,
    *,
    layers: int | None = None,
    categorical_heads: int | None = None,
    numerical_heads: int | None = None,
    categorical_mlps: int | None = None,
    numerical_mlps: int | None = None,
    hidden: int = 64,
) -> Shape:
    """The network for a task: what is not given is as in the paper."""
    sizes = SIZES[task.name]

    def given(value: int | None, default: int) -> int:
        return default if value is None else value

    return Shape(
        tokens=len(task.tokens),
        context=task.context,
        classes=len(task.classes),
        layers=given(layers, sizes.layers),
        categorical_heads=given(categorical_heads, sizes.categorical_heads),
        numerical_heads=given(numerical_heads, sizes.numerical_heads),
        categorical_mlps=given(categorical_mlps, sizes.categorical_mlps),
        numerical_mlps=given(numerical_mlps, sizes.numerical_mlps),
        hidden=hidden,
        causal=task.causal,
    )
