"""A program while it is being drawn: a scope of steps, each an s-op by its structure and its values on test inputs."""

from __future__ import annotations

from collections.abc import Sequence

from engine.rasp.functions import Function
from engine.rasp.language import Comparison, SOp, indices, tokens
from engine.rasp.sampling import evaluation
from engine.rasp.sampling.evaluation import Inputs, Values
from engine.rasp.sampling.pools import Type
from engine.rasp.sampling.tokens import build

CATEGORICAL, NUMERICAL = "CategoricalAggregate", "NumericalAggregate"
ELEMENTWISE = ("Map", "SequenceMap", "LinearSequenceMap")

Constant = Function | Comparison | int


class Sop:
    """An s-op by its structure, with its values on the test inputs. `key`: a number of its own per structure."""

    __slots__ = ("constants", "has_nones", "key", "kind", "values")

    def __init__(self, key: int, kind: str, constants: tuple[Constant, ...], values: Values, has_nones: bool) -> None:
        self.key, self.kind, self.constants, self.values, self.has_nones = key, kind, constants, values, has_nones


class Step:
    """An entry of the scope: the s-op, which entries its arguments are, its type, and the set of entries behind it."""

    __slots__ = ("freq", "inputs", "past", "sop", "type")

    def __init__(self, sop: Sop, inputs: tuple[int, ...], type_: Type, past: int, freq: bool = False) -> None:
        self.sop, self.inputs, self.type, self.past, self.freq = sop, inputs, type_, past, freq


def evaluated(
    kind: str, constants: tuple[Constant, ...], arguments: Sequence[Values], nones: bool, inputs: Inputs
) -> Values:
    """The values of any operation but a categorical aggregate; `nones`: some argument is None somewhere."""
    match kind, constants:
        case (("Map" | "SequenceMap"), (Function() as f,)):
            return evaluation.apply(f, *arguments, nones=nones)
        case "LinearSequenceMap", (int() as a, int() as b):
            combined: Values = a * arguments[0] + b * arguments[1]
            return combined
        case "SelectorWidth", (Comparison() as comparison,):
            return evaluation.width(evaluation.select(arguments[0], arguments[1], comparison, inputs))
        case "NumericalAggregate", (Comparison() as comparison,):
            selector = evaluation.select(arguments[0], arguments[1], comparison, inputs)
            return evaluation.mean(selector, arguments[2], 0.0)
        case _:
            raise TypeError(kind)


def aggregated(
    constants: tuple[Constant, ...], arguments: Sequence[Values], nones: bool, inputs: Inputs
) -> evaluation.Aggregated:
    keys, queries, values = arguments
    (comparison,) = constants
    assert isinstance(comparison, Comparison)
    selector = evaluation.select(keys, queries, comparison, inputs)
    return evaluation.aggregate(selector, values, inputs, nones=nones)


def built(scope: Sequence[Step], entries: Sequence[int]) -> tuple[SOp, tuple[str, ...]]:
    """The program that those entries of the scope are (the last is the output), and the classes of its operations."""
    made: dict[int, SOp] = {0: tokens, 1: indices}
    classes = []
    for i in entries:
        if i < 2:
            continue
        step = scope[i]
        kind = "SelectAggregate" if step.sop.kind in (NUMERICAL, CATEGORICAL) else step.sop.kind
        made[i] = _node(kind, step.sop.constants, [made[j] for j in step.inputs], step.type)
        classes.append(kind)
    return made[entries[-1]], tuple(classes)


def _node(kind: str, constants: tuple[Constant, ...], sops: list[SOp], type_: Type) -> SOp:
    match kind:
        case "LinearSequenceMap":
            parts: list[SOp | Constant] = [*sops, *constants]
        case "SelectAggregate" | "SelectorWidth":
            parts = [*sops[:2], *constants, *sops[2:]]
        case _:
            parts = [*constants, *sops]
    return build(kind, parts, "categorical" if type_ == "categorical" else "numerical")
