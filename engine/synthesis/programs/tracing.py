"""One input sequence as a person writes it, and what a program does with it, turn by turn."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.programs.evaluator import parse
from engine.synthesis.programs.sandbox import Sandbox
from sessions.artifacts import AnyArtifact, Program
from sessions.errors import CallError, IwbError

One = Int[np.ndarray[Any, Any], "one pos input"]
SECONDS = 5.0


class Trace(NamedTuple):
    """The program's parameters and what its loop calls their elements (x, or p and q; the same as the parameters where
    it does not run over them), its variables after each turn (name -> one number per position), what it appends."""

    arguments: tuple[str, ...]
    elements: tuple[str, ...]
    variables: dict[str, list[int]]
    outputs: Int[np.ndarray[Any, Any], "pos output"]


def python_program(artifact: AnyArtifact, ref: str, where: str) -> Program:
    """CallError when the artifact is no program in Python."""
    if not isinstance(artifact, Program) or artifact.language != "python":
        raise CallError(f"{ref} is not a Python program", where, "give the @ID of a program")
    return artifact


def one_sequence(inputs: Sequence[int | list[int]]) -> One:
    """A batch of one sequence from [0,1,1], or from one list per stream. CallError for what is neither."""
    streams = [s for s in inputs if isinstance(s, list)]
    if streams and len(streams) < len(inputs):
        raise CallError("numbers and lists are mixed", "inputs", "write [0,1,1], or one list per sequence")
    rows: list[list[int]] = streams if streams else [[v for v in inputs if isinstance(v, int)]]
    if not rows[0] or len({len(row) for row in rows}) > 1:
        raise CallError("the sequences are empty or differ in length", "inputs", "give lists of one length")
    if len(rows[0]) > 10_000 or any(abs(v) >= 2**31 for row in rows for v in row):
        raise CallError("too long, or a number of 2**31 or more", "inputs", "at most 10,000 numbers below 2**31")
    return np.array(rows, dtype=np.int64).T[None]


def require_streams(x: One, streams: int, who: str) -> None:
    """CallError unless the input has as many sequences as `who` takes."""
    if x.shape[2] != streams:
        raise CallError(
            f"{who} takes {'1 sequence' if streams == 1 else f'{streams} sequences'}, not {x.shape[2]}",
            "inputs",
            "write [0,1,1]" if streams == 1 else "write one list per sequence: [[0,1,1],[1,1,0]]",
        )


def trace(program: Program, x: One, where: str) -> Trace:
    """The program on one sequence, interpreted in a process of its own.

    CallError when the program takes another number of sequences; IwbError when it fails or is not a single loop.
    """
    function = parse(program.source)
    arguments = tuple(argument.arg for argument in function.args.args)
    require_streams(x, len(arguments), "the program")
    with Sandbox(program.source, seconds=SECONDS) as sandbox:
        y, turns = sandbox.trace(x)
    if len(turns) != x.shape[1] or y.shape[1] != x.shape[1]:
        raise IwbError("the program does not take one turn per input", where, "only a single loop is traced")
    variables = {name: [turn[name][0] for turn in turns] for name in turns[0]}
    return Trace(arguments, _elements(function, arguments), variables, y[0])


def _elements(function: ast.FunctionDef, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """`x` of `for x in s`, `p` and `q` of `for p, q in zip(s, t)`."""
    loop = next((node for node in function.body if isinstance(node, ast.For)), None)
    match loop:
        case ast.For(target=ast.Name(id=name), iter=ast.Name(id=over)) if (over,) == arguments:
            return (name,)
        case ast.For(target=ast.Tuple(elts=targets), iter=ast.Call(func=ast.Name(id="zip"), args=over)):
            names = tuple(target.id for target in targets if isinstance(target, ast.Name))
            if tuple(one.id for one in over if isinstance(one, ast.Name)) == arguments and len(names) == len(arguments):
                return names
    return arguments
