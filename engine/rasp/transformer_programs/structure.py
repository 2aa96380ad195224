"""What a discrete Transformer Program consists of, as plain values: heads with predicates, tables, a classifier.

Values are Python values: a token is its text, a position or an MLP's answer a number.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Value = str | int
Kind = Literal["categorical", "numerical"]
TOKENS, POSITIONS, ONES = "tokens", "positions", "ones"


class Head(NamedTuple):
    """Attention. `predicate`: the key value each query value looks for, None where no key has it. A categorical head
    copies `value` from the closest match, a numerical one sums it over all matches."""

    output: str
    function: str
    layer: int
    number: int  # within its kind and layer
    kind: Kind
    query: str
    key: str
    value: str
    predicate: dict[Value, Value | None]

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.query, self.key, self.value)))

    @property
    def label(self) -> str:
        return f"L{self.layer} {self.kind} head {self.number}"


class Mlp(NamedTuple):
    """A table from the values of one or two variables to a number."""

    output: str
    function: str
    layer: int
    number: int  # within its kind and layer
    kind: Kind
    reads: tuple[str, ...]
    table: dict[tuple[Value, ...], int]

    @property
    def label(self) -> str:
        return f"L{self.layer} {self.kind} MLP {self.number}"


class Classifier(NamedTuple):
    """Scores per class, added up: a row for each value of a categorical variable, and for each numerical variable a row
    that it multiplies. `answers`: with a single variable to look at, the class for each of its values instead."""

    classes: tuple[str, ...]
    tables: dict[str, dict[Value, tuple[float, ...]]]
    factors: dict[str, tuple[float, ...]]
    answers: tuple[str, dict[Value, str]] | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.answers[0],) if self.answers is not None else (*self.tables, *self.factors)


class Structure(NamedTuple):
    """A program in parts, in the order they are computed. `dropped`: variables of the network that change nothing."""

    task: str
    summary: str
    start: tuple[str, ...]  # tokens put before the payload, and after it
    end: tuple[str, ...]
    causal: bool
    parts: tuple[Head | Mlp, ...]
    classifier: Classifier
    dropped: tuple[str, ...]
    enumerated: bool  # tables and simplifications come from every input there is


def singular(variable: str) -> str:
    """tokens -> token: how one value of a variable is called."""
    return variable.removesuffix("s")
