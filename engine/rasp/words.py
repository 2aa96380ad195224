"""The words of RASP text: the operations that can be called, with their arguments, the sources and the predicates."""

from __future__ import annotations

import ast

from engine.rasp.language import Both, Comparison, Either, Indices, Length, SOp, Tokens
from engine.rasp.places import Mistake
from sessions.errors import nearest

SOURCES: dict[str, type[SOp]] = {"tokens": Tokens, "indices": Indices, "length": Length}

# By the name each has in prepared text (engine.rasp.syntax), in Tracr's listings, or in words.
COMPARISONS: dict[str, Comparison] = {
    "ǂǂ": Comparison.EQ,
    "ǀ": Comparison.LT,
    "ǀǂ": Comparison.LEQ,
    "ǁ": Comparison.GT,
    "ǁǂ": Comparison.GEQ,
    "ǃǂ": Comparison.NEQ,
    "true": Comparison.TRUE,
    "false": Comparison.FALSE,
} | {c.name: c for c in Comparison}

# Parameters in order; a value says that the argument may be left out.
CALLS: dict[str, tuple[str, ...]] = {
    "select": ("keys", "queries", "predicate"),
    "aggregate": ("selector", "sop", "default="),
    "selector_width": ("selector",),
    "map": ("f", "sop", "simplify="),
    "sequence_map": ("f", "first", "second"),
    "linear_sequence_map": ("first", "second", "first_factor", "second_factor"),
    "full": ("value",),
    "constant": ("values",),
    "numerical": ("sop",),
    "categorical": ("sop",),
    "selector_and": ("left", "right"),
    "selector_or": ("left", "right"),
    "selector_not": ("selector",),
}

# As Tracr's listings spell them.
LISTINGS: dict[str, str] = {
    "Select": "select",
    "Aggregate": "aggregate",
    "SelectorWidth": "selector_width",
    "Map": "map",
    "SequenceMap": "sequence_map",
    "LinearSequenceMap": "linear_sequence_map",
    "Full": "full",
    "ConstantSOp": "constant",
    "SelectorAnd": "selector_and",
    "SelectorOr": "selector_or",
    "SelectorNot": "selector_not",
}

# Made of other predicates.
PREDICATES = ("both", "either", "negated", "baked")
JOINED: dict[str, type[Both] | type[Either]] = {"both": Both, "either": Either}


def signature(name: str) -> str:
    """How a call of `name` is written, as a remedy shows it."""
    if name in PREDICATES:
        return f"select(tokens, tokens, {name}(==, <))"
    shown = [p.rstrip("=") for p in CALLS[name] if not p.endswith("=")]
    return f"{name}({', '.join(shown)})"


def arguments(e: ast.Call, name: str, error: Mistake) -> dict[str, ast.expr]:
    """What the call gives for each parameter of `name`, by position or keyword; what may be left out may be missing."""
    parameters = [p.rstrip("=") for p in CALLS[name]]
    required = [p for p in CALLS[name] if not p.endswith("=")]
    if len(e.args) > len(parameters):
        extra = e.args[len(parameters)]
        raise error(extra, f"{name} takes {_count(len(required), parameters)}", f"write {signature(name)}")
    found: dict[str, ast.expr] = {}
    for parameter, given in zip(parameters, e.args):
        if isinstance(given, ast.Starred):
            raise error(given, "'*' does not apply to arguments", f"write {signature(name)}")
        found[parameter] = given
    for keyword in e.keywords:
        if keyword.arg not in parameters:
            raise error(keyword, f"{name} has no argument '{keyword.arg}'", nearest(keyword.arg or "**", parameters))
        if keyword.arg in found:
            raise error(keyword, f"{name} is given '{keyword.arg}' twice", f"write {signature(name)}")
        found[keyword.arg] = keyword.value
    missing = [p for p in required if p not in found]
    if missing:
        words = " and ".join(f"'{m}'" for m in missing)
        raise error(e, f"{name} is missing {words}", f"write {signature(name)}")
    return found


def _count(required: int, parameters: list[str]) -> str:
    most = len(parameters)
    words = f"{required}" if required == most else f"{required} or {most}"
    return f"{words} argument{'s' * (most > 1)}"
