"""What was tested and what is proved of a program, as the short lines that stand under its code; plain Python."""

from __future__ import annotations

import re

from sessions.artifacts import Program, Proof, Verdict
from tui.panes.program_lines import remarks_of, unread_of
from tui.widgets.code_view import Said

_SHORT = {"the network": "network", "the task's target": "target"}


def said_of(program: Program) -> tuple[Said, ...]:
    """All that is said of a program: its tests, its proofs, and what it leaves out."""
    if program.language == "rasp":
        tested = [Said("yes" if v.holds else "no", str(v)) for v in program.verdicts]
    else:
        tested = [verdict_in_words(verdict) for verdict in program.verdicts]
    proved = [proof_in_words(proof, program.proofs) for proof in program.proofs]
    remarks = [Said("note", text) for text in remarks_of(program)]
    return (*tested, *proved, *remarks, *(Said("open", text) for text in unread_of(program)))


def compared_of(program: Program, name: str) -> tuple[Said, ...]:
    """What is said of a program that stands beside another: its name first, and how long it is."""
    facts = program.facts
    size = [str(facts[key]) for key in ("route", "description length") if facts.get(key)]
    held = [f"{_SHORT.get(v.against, v.against)} {'holds' if v.holds else 'fails'}" for v in program.verdicts]
    proved = [proof_in_words(proof, program.proofs).short for proof in program.proofs]
    short = f"{name} {', '.join(size)}" + "".join(f"; {words}" for words in (*held, *proved))
    first = Said("note", f"{name} {', '.join(size) or program.title}", short)
    return (first, *(line._replace(text=f"{name} {line.text}", short=None) for line in said_of(program)))


def verdict_in_words(verdict: Verdict) -> Said:
    """`network: all 1,024 bit sequences of length 10`; a sample says that it is one."""
    against = _SHORT.get(verdict.against, verdict.against)
    agreed, tested = f"{verdict.agreed:,}", f"{verdict.tested:,}"
    if not verdict.holds:
        wrong = f"; first difference: {verdict.counterexample}" if verdict.counterexample else ""
        of = f"{agreed} of {tested} agree" if verdict.tested else "nothing was tested"
        return Said("no", f"{against}: {of} ({verdict.domain}){wrong}", f"{against} {agreed} of {tested}")
    if verdict.exhaustive:
        words = verdict.domain if verdict.domain.startswith(f"all {tested}") else f"all {tested} ({verdict.domain})"
        return Said("yes", f"{against}: {words}", f"{against} all {tested}")
    return Said("yes", f"{against}: {tested} of {tested}, a sample ({verdict.domain})", f"{against} {tested} drawn")


def proof_in_words(proof: Proof, among: tuple[Proof, ...] = ()) -> Said:
    """`every length: proved by induction`, or why not. Where several are about it, by their claims."""
    alone = sum(other.every_length for other in among) < 2
    one = re.search(r"length (\d+)|(\d+) elements", proof.claim)
    number = (one.group(1) or one.group(2)) if one is not None else ""
    short = "every length" if proof.every_length else f"length {number}" if number else "one length"
    # Of one length there is one proof; two of every length are told apart by what they claim.
    about = short if alone or not proof.every_length else proof.claim
    match proof.status:
        case "proved":
            how = f" by {proof.method}" if proof.method.startswith("induction") else f"; {proof.method}"
            return Said("yes", f"{about}: proved{how if proof.method else ''}", f"{short} proved")
        case "refuted":
            wrong = f" by {proof.counterexample}" if proof.counterexample else ""
            return Said("no", f"{about}: refuted{wrong}", f"{short} refuted")
        case _:
            why = f": {proof.reason}" if proof.reason else ""
            return Said("open", f"{about}: not proved{why}", f"{short} not proved")


def counted(program: Program) -> str:
    """`2 of 2 checks hold, exhaustive · proved`, for the title."""
    words = []
    if program.verdicts:
        held = sum(v.holds for v in program.verdicts)
        every = "exhaustive" if all(v.exhaustive for v in program.verdicts) else "sampled"
        words.append(f"{held} of {len(program.verdicts)} checks hold, {every}")
    if any(proof.status == "refuted" for proof in program.proofs):
        words.append("refuted")
    elif any(proof.status == "proved" and proof.every_length for proof in program.proofs):
        words.append("proved")
    return " · ".join(words) or "not checked"
