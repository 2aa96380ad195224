"""A proof by induction as SMT-LIB 2 text that any solver can check: three questions, each to be answered `unsat`."""

from __future__ import annotations

import z3

from engine.synthesis.checks.exported import Exported, described

ASKED = 3  # base, step, outputs
MILLISECONDS = 20_000  # z3 may take for one of them


def smtlib(proof: Exported) -> str:
    """The text. `div` and `mod` are SMT-LIB's, which for positive divisors round as Python does."""
    pair, step = proof.pair, proof.step
    names, inputs = list(step.state), [str(x) for x in step.inputs]
    of_state = _parameters(names)
    of_both = _parameters([*names, *inputs])
    lines = [
        "; Two programs give the same outputs: proof by induction over the length of the input.",
        f"; {described(pair.domain)}",
        "; Each (check-sat) is to be answered unsat.",
        ";",
        *_comment("Program (its variables begin with p_)", pair.program.source),
        *_comment("Specification (its variables begin with s_)", pair.specification.source),
        "(set-logic ALL)",
        "",
        *(f"; relation: {words}" for words, _ in proof.parts),
        f"(define-fun related ({of_state}) Bool {proof.relation.sexpr()})",
        f"(define-fun within ({_parameters(inputs)}) Bool {step.within.sexpr()})",
        "",
        "; one turn of both loops",
        *(f"(define-fun next_{name} ({of_both}) Int {after.sexpr()})" for name, after in step.after.items()),
        "; the same outputs, and every operation within the numbers for which it is written here",
        f"(define-fun same_outputs ({of_both}) Bool {step.equal.sexpr()})",
        "",
        *(f"(declare-const {name} Int)" for name in (*names, *inputs)),
        "",
    ]
    now, read = _called("related", names), _called("within", inputs)
    after = [_called(f"next_{name}", [*names, *inputs]) for name in names]
    start = [z3.IntVal(value).sexpr() for value in pair.start.values()]
    lines += [
        *_question("base: the relation holds before the loop", [f"(not {_called('related', start)})"]),
        *_question("step: every input keeps it", [now, read, f"(not {_called('related', after)})"]),
        *_question(
            "outputs: under it they are the same", [now, read, f"(not {_called('same_outputs', [*names, *inputs])})"]
        ),
    ]
    return "\n".join(lines) + "\n"


def answers(text: str) -> tuple[str, ...]:
    """What z3 answers to each question of such a text: sat, unsat or unknown."""
    context = z3.Context()
    return tuple(z3.Z3_eval_smtlib2_string(context.ref(), f"(set-option :timeout {MILLISECONDS})\n{text}").split())


def _parameters(names: list[str]) -> str:
    return " ".join(f"({name} Int)" for name in names)


def _called(function: str, arguments: list[str]) -> str:
    return f"({function} {' '.join(arguments)})" if arguments else function


def _comment(title: str, source: str) -> list[str]:
    return [f"; {title}:", *(f";   {line}" for line in source.splitlines()), ";"]


def _question(title: str, asserted: list[str]) -> list[str]:
    return [f"; {title}", "(push 1)", *(f"(assert {one})" for one in asserted), "(check-sat)", "(pop 1)", ""]
