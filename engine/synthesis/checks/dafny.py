"""A proof by induction as Dafny text (Dafny 4), for programs on bits: the specification by recursion, the program as a
method with a loop, the relation as its invariant.

Dafny is not run here. Its `/` and `%` on integers are Euclidean, as SMT-LIB's are: divisors are positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3

from engine.synthesis.checks.exported import Exported
from sessions.errors import IwbError

LONGEST = 60_000  # characters of one expression

_INFIX = {
    z3.Z3_OP_ADD: "+",
    z3.Z3_OP_SUB: "-",
    z3.Z3_OP_MUL: "*",
    z3.Z3_OP_IDIV: "/",
    z3.Z3_OP_MOD: "%",
    z3.Z3_OP_EQ: "==",
    z3.Z3_OP_DISTINCT: "!=",
    z3.Z3_OP_LE: "<=",
    z3.Z3_OP_LT: "<",
    z3.Z3_OP_GE: ">=",
    z3.Z3_OP_GT: ">",
    z3.Z3_OP_AND: "&&",
    z3.Z3_OP_OR: "||",
    z3.Z3_OP_IMPLIES: "==>",
    z3.Z3_OP_XOR: "!=",
}


def is_on_bits(proof: Exported) -> bool:
    """Whether there is a Dafny text for it: bits in, one number out."""
    domain = proof.pair.domain
    return (domain.low, domain.high) == (0, 1) and len(proof.outputs[1]) == 1


def dafny(proof: Exported) -> str:
    """The text. IwbError where an expression becomes too long to be read."""
    pair, step = proof.pair, proof.step
    mine, theirs = ([n for n in pair.start if n.startswith(prefix)] for prefix in ("p_", "s_"))
    streams = ["s", "t", "u"][: pair.domain.inputs]
    inputs = [str(x) for x in step.inputs]
    given, wanted = (expression(outputs[0]) for outputs in proof.outputs)
    bits = [f"  requires forall i :: 0 <= i < |{one}| ==> 0 <= {one}[i] <= 1" for one in streams]
    alike = [f"  requires |{one}| == |s|" for one in streams[1:]]
    parameters = ", ".join(f"{one}: seq<int>" for one in streams)
    so_far = ", ".join(f"{one}[..i]" for one in streams)
    with_this = ", ".join(f"{one}[..j + 1]" for one in streams)
    lines = [
        "// Program and specification give the same outputs on bits, for sequences of every length.",
        "// Written for Dafny 4; generated, and not run through Dafny.",
        *_comment("Program", pair.program.source),
        *_comment("Specification", pair.specification.source),
        *_specification(proof, theirs, parameters, streams, inputs, alike, wanted),
        f"ghost predicate Related({', '.join(f'{n}: int' for n in (*mine, *theirs))}) {{",
        *(f"  // {words}" for words, _ in proof.parts),
        "  " + (" && ".join(expression(term) for _, term in proof.parts) or "true"),
        "}",
        "",
        f"method Program({parameters}) returns (ys: seq<int>)",
        *alike,
        *bits,
        "  ensures |ys| == |s|",
        f"  ensures forall j :: 0 <= j < |s| ==> ys[j] == SpecOutput({with_this})",
        "{",
        *(f"  var {name} := {pair.start[name]};" for name in mine),
        "  ys := [];",
        "  var i := 0;",
        "  while i < |s|",
        "    invariant 0 <= i <= |s|",
        "    invariant |ys| == i",
        f"    invariant forall j :: 0 <= j < i ==> ys[j] == SpecOutput({with_this})",
        f"    invariant Related({', '.join([*mine, *_parts(f'SpecState({so_far})', len(theirs))])})",
        "  {",
        *(f"    assert {one}[..i + 1][..i] == {one}[..i];" for one in streams),
        *(f"    var {name} := {one}[i];" for name, one in zip(inputs, streams)),
        f"    var y := {given};",
    ]
    if mine:
        lines.append(f"    {', '.join(mine)} := {', '.join(expression(step.after[name]) for name in mine)};")
    lines += ["    ys := ys + [y];", "    i := i + 1;", "  }", "}"]
    return "\n".join(lines) + "\n"


def _specification(
    proof: Exported,
    names: Sequence[str],
    parameters: str,
    streams: Sequence[str],
    inputs: Sequence[str],
    alike: Sequence[str],
    wanted: str,
) -> list[str]:
    """Its state after a sequence, by recursion, and its output at the last element."""
    start, after = proof.pair.start, proof.step.after
    before = ", ".join(f"{one}[..|s| - 1]" for one in streams)
    reads = [f"    var {name} := {one}[|s| - 1];" for name, one in zip(inputs, streams)]
    known = [f"    var {name} := {part};" for name, part in zip(names, _parts("before", len(names)))]
    state = [f"    var before := SpecState({before});", *known] if names else []
    result = "int" if len(names) == 1 else f"({', '.join(['int'] * len(names))})"
    recursion = [
        f"ghost function SpecState({parameters}): {result}",
        *alike,
        "  decreases |s|",
        "{",
        f"  if |s| == 0 then {_tuple([str(start[name]) for name in names])} else",
        *state,
        *reads,
        f"    {_tuple([expression(after[name]) for name in names])}",
        "}",
        "",
    ]
    return [
        *(recursion if names else []),
        f"ghost function SpecOutput({parameters}): int",
        "  requires |s| > 0",
        *alike,
        "{",
        *state,
        *reads,
        f"    {wanted}",
        "}",
        "",
    ]


def _parts(value: str, count: int) -> list[str]:
    """The components of a state that is a number or a tuple."""
    return [value] if count == 1 else [f"{value}.{k}" for k in range(count)]


def _tuple(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def _comment(title: str, source: str) -> list[str]:
    return [f"// {title}:", *(f"//   {line}" for line in source.splitlines()), ""]


def expression(term: Any) -> str:
    """A term in Dafny's syntax, every operation in brackets. IwbError where it is too long or has no counterpart."""
    if isinstance(term, int):
        return str(term)
    text = _written(term, {})
    if len(text) > LONGEST:
        raise IwbError("an expression is too long to be written in Dafny", "export", "read the SMT-LIB text")
    return text


def _written(term: Any, known: dict[int, str]) -> str:
    key = term.get_id()
    if key in known:
        return known[key]
    parts = [_written(part, known) for part in term.children()]
    if sum(map(len, parts)) > LONGEST:
        raise IwbError("an expression is too long to be written in Dafny", "export", "read the SMT-LIB text")
    kind = term.decl().kind()
    if z3.is_int_value(term) or z3.is_true(term) or z3.is_false(term):
        found = str(term).lower()
    elif z3.is_const(term):
        found = str(term)
    elif kind == z3.Z3_OP_ITE:
        found = f"(if {parts[0]} then {parts[1]} else {parts[2]})"
    elif kind == z3.Z3_OP_NOT:
        found = f"(!{parts[0]})"
    elif kind == z3.Z3_OP_UMINUS:
        found = f"(-{parts[0]})"
    elif kind in (z3.Z3_OP_AND, z3.Z3_OP_OR) and len(parts) == 1:
        found = parts[0]
    elif kind in (z3.Z3_OP_AND, z3.Z3_OP_OR) and not parts:
        found = "true" if kind == z3.Z3_OP_AND else "false"
    elif kind == z3.Z3_OP_DISTINCT and len(parts) > 2:
        raise IwbError("a term has no counterpart in Dafny", "export", "read the SMT-LIB text")
    elif kind in _INFIX:
        found = f"({f' {_INFIX[kind]} '.join(parts)})"
    else:
        raise IwbError(f"{term.decl().name()} has no counterpart in Dafny", "export", "read the SMT-LIB text")
    known[key] = found
    return found
