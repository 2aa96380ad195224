"""What the variables of an emitted program are called."""

from __future__ import annotations


def sequence_names(inputs: int) -> tuple[str, ...]:
    return ("s", "t")[:inputs] if inputs <= 2 else tuple(f"s{k + 1}" for k in range(inputs))


def input_names(inputs: int) -> tuple[str, ...]:
    return {1: ("x",), 2: ("p", "q")}.get(inputs, tuple(f"x{k + 1}" for k in range(inputs)))


def output_names(outputs: int) -> tuple[str, ...]:
    return ("y",) if outputs == 1 else tuple(f"y{k + 1}" for k in range(outputs))
