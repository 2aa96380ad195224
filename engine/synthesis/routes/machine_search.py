"""The simplest program for a machine: every labelling, every formula for it, the shortest description kept.

Labellings that give the same set of (state variables, input) rows share one bank of expressions; only the wanted
columns differ. A program with formulas throughout is preferred to one with a table, however short the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.automata.labelling import Labelling, labellings
from engine.synthesis.automata.machine import UNKNOWN, Mealy
from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.conditional import conditional
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.regression import regress_all
from engine.synthesis.programs.emission import description_length
from engine.synthesis.routes.machine_text import Names, Parts, emit

Columns = Int[np.ndarray[Any, Any], "column row"]
LARGEST = 9  # description length of a plain formula
CONDITIONAL = 7  # and with this much in the bank, if-then-else is tried
EMITTED = 24  # cheapest candidates written out and measured
UNBOUNDED = 10**6  # a cost above any
FEW_ROWS = 24  # of more rows the banks hold too few expressions to be relied on
REGRESSED = 4  # labellings given to the regression where no bank finds a whole program
MOST_NUMBERS = 600_000  # numbers a bank may hold


class Found(NamedTuple):
    """The program chosen, with what it was chosen from."""

    parts: Parts
    source: str
    length: int  # description length of the source, in tokens
    route: Literal["formulas", "formulas and a table", "table"]
    tried: int  # labellings


class _Wanted(NamedTuple):
    """What one labelling asks for: columns over its rows (state variables and inputs), in the bank's row order."""

    labelling: Labelling
    update: Columns
    outputs: Columns
    from_new: Columns | None  # outputs over the states' codes, when the new state alone decides them


class _Formulas(NamedTuple):
    update: tuple[Expression, ...] | None
    outputs: tuple[Expression, ...] | None
    from_new: bool

    @property
    def cost(self) -> int:
        return sum(size(e) for e in (*(self.update or ()), *(self.outputs or ())))

    @property
    def whole(self) -> bool:
        return self.update is not None and self.outputs is not None


def simplest(
    machine: Mealy,
    about: str,
    progress: Callable[[int, int], None] | None = None,
    places: Float[np.ndarray[Any, Any], "state hidden"] | None = None,
) -> Found:
    """The shortest program that does what the machine does on every known transition. `about` is its docstring.

    `places`: where in the hidden space each state lies, for labels by rank.
    """
    groups: dict[bytes, tuple[Int[np.ndarray[Any, Any], "row variable"], list[_Wanted]]] = {}
    state, symbol = np.nonzero(machine.next != UNKNOWN)
    inputs = np.array(machine.symbols, dtype=np.int64)[symbol]
    tried = 0
    for labelling in labellings(machine, places):
        tried += 1
        rows = np.concatenate([inputs, labelling.codes[state]], axis=1)
        order = np.lexsort(rows.T)
        wanted = _Wanted(
            labelling,
            labelling.codes[machine.next[state, symbol]][order].T,
            machine.output[state, symbol][order].T,
            _outputs_of_new_state(machine, labelling, state, symbol),
        )
        groups.setdefault(rows[order].tobytes(), (rows[order], []))[1].append(wanted)
    candidates: list[tuple[_Formulas, Labelling]] = []
    cheapest = UNBOUNDED
    # Many small variables first: their banks grow slowest, and what they find bounds the search of the others.
    ordered = sorted(groups.values(), key=lambda group: -group[1][0].labelling.variables)
    if len(ordered[0][0]) > FEW_ROWS:
        candidates = _regressed(ordered, machine, progress)
        cheapest = min([cheapest, *(formulas.cost for formulas, _ in candidates if formulas.whole)])
    for number, (rows, members) in enumerate(ordered):

        def tick(number: int = number) -> None:
            if progress is not None:
                progress(number, len(groups))

        candidates += _solve(rows, members, machine, cheapest, tick)
        cheapest = min([cheapest, *(formulas.cost for formulas, _ in candidates if formulas.whole)])
    if cheapest == UNBOUNDED and len(ordered[0][0]) <= FEW_ROWS:
        candidates += _regressed(ordered, machine, progress)
    candidates.sort(key=lambda pair: (not pair[0].whole, pair[0].update is None, pair[0].outputs is None, pair[0].cost))
    best: Found | None = None
    for formulas, labelling in candidates[:EMITTED]:
        names = Names.of(len(machine.symbols[0]), labelling, machine.output.shape[2])
        parts = Parts(names, labelling, formulas.update, formulas.outputs, formulas.from_new)
        source = emit(parts, machine, about)
        length = description_length(source)
        route: Any = "formulas" if formulas.whole else "formulas and a table"
        if formulas.update is None and formulas.outputs is None:
            route = "table"
        rank = ("formulas", "formulas and a table", "table").index
        if best is None or (rank(route), length) < (rank(best.route), best.length):
            best = Found(parts, source, length, route, tried)
    assert best is not None
    return best


def _regressed(
    groups: Sequence[tuple[Int[np.ndarray[Any, Any], "row variable"], list[_Wanted]]],
    machine: Mealy,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[_Formulas, Labelling]]:
    """The regression's formulas, which it finds on few rows and holds against all, where the banks over all rows found
    no whole program. The first labellings only."""
    found: list[tuple[_Formulas, Labelling]] = []
    members = [(rows, member) for rows, group in groups for member in group][:REGRESSED]
    for number, (rows, member) in enumerate(members):
        if progress is not None:
            progress(number, len(members))
        names = Names.of(len(machine.symbols[0]), member.labelling, machine.output.shape[2])
        columns = np.concatenate([member.update, member.outputs])
        formulas = regress_all(
            rows, (*names.inputs, *names.state), columns, constants=_constants(machine, rows, member)
        )
        told = [one.expression if one is not None else None for one in formulas]
        update, outputs = told[: len(member.update)], told[len(member.update) :]
        found.append((_Formulas(_all(update), _all(outputs), from_new=False), member.labelling))
    return found


def _all(expressions: Sequence[Expression | None]) -> tuple[Expression, ...] | None:
    known = tuple(e for e in expressions if e is not None)
    return known if len(known) == len(expressions) else None


def _outputs_of_new_state(
    machine: Mealy, labelling: Labelling, state: Columns, symbol: Columns
) -> Int[np.ndarray[Any, Any], "output state"] | None:
    """Outputs as a function of the state that is reached, for every state; None where it is no function or partial."""
    after, outputs = machine.next[state, symbol], machine.output[state, symbol]
    found = np.zeros((machine.states, outputs.shape[1]), dtype=np.int64)
    found[after] = outputs
    if len(np.unique(after)) < machine.states or (found[after] != outputs).any() or not labelling.variables:
        return None
    return found.T


def _constants(machine: Mealy, rows: Int[np.ndarray[Any, Any], "row variable"], member: _Wanted) -> list[int]:
    """0, 1, 2, and the ends of the ranges that states, inputs and outputs take, with the numbers of values.

    Where a count was broken off by the length of the inputs, its end means nothing and is no constant.
    """
    inputs = len(machine.symbols[0])
    broken_off = member.labelling.kind == "counter" and not machine.complete
    seen = [rows[:, :inputs], member.outputs] + ([] if broken_off else [rows[:, inputs:], member.update])
    ends = {int(v) for part in seen if part.size for v in (part.min(), part.max(), part.max() + 1)}
    return sorted({0, 1, 2} | {abs(v) for v in ends if abs(v) <= 1000})


def _solve(
    rows: Int[np.ndarray[Any, Any], "row variable"],
    members: Sequence[_Wanted],
    machine: Mealy,
    cheapest: int,
    tick: Callable[[], None],
) -> list[tuple[_Formulas, Labelling]]:
    """The formulas of every labelling over these rows that may cost less than `cheapest`; None where there is none."""
    names = Names.of(len(machine.symbols[0]), members[0].labelling, machine.output.shape[2])
    constants = _constants(machine, rows, members[0])
    bank = Bank(rows, (*names.inputs, *names.state), constants, most=MOST_NUMBERS // max(len(rows), 1))
    targets = _Targets([column for member in members for column in (*member.update, *member.outputs)])
    reading = _reading(members, names.state, constants)
    while True:
        tick()
        targets.look(bank)
        found = [(_formulas(member, targets, reading), member.labelling) for member in members]
        none = not any(formulas.whole for formulas, _ in found) and cheapest > 2 * CONDITIONAL
        if none and (bank.largest >= CONDITIONAL or bank.full):
            targets.split(bank)
            found = [(_formulas(member, targets, reading), member.labelling) for member in members]
        whole = min([cheapest, *(formulas.cost for formulas, _ in found if formulas.whole)])
        hope = min(
            (_least_cost(m, targets, bank.largest) for m, (f, _) in zip(members, found) if not f.whole), default=whole
        )
        if hope >= whole or bank.largest >= LARGEST or not bank.grow():
            break
    return found


def _least_cost(member: _Wanted, targets: _Targets, searched: int) -> int:
    """What this labelling's formulas must cost at least, when none up to size `searched` was missed."""
    columns = (*member.update, *(() if member.from_new is not None else member.outputs))
    known = [targets.formula(column) for column in columns]
    floor = 0 if member.from_new is None else len(member.outputs)
    return floor + sum(searched + 1 if e is None else size(e) for e in known)


class _Targets:
    """Wanted columns, each once, with the formulas found so far."""

    def __init__(self, columns: Sequence[Int[np.ndarray[Any, Any], " row"]]) -> None:
        distinct = {column.tobytes(): column for column in columns}
        self.columns: Columns = np.stack(list(distinct.values())).astype(np.int64)
        self.number = {key: k for k, key in enumerate(distinct)}
        self.found: dict[int, Expression] = {}

    def look(self, bank: Bank) -> None:
        self.found = bank.find(self.columns) | self.found

    def split(self, bank: Bank, most: int = 64) -> None:
        """Try `A if guard else B` for what has no plain formula."""
        missing = [k for k in range(len(self.columns)) if k not in self.found][:most]
        if missing:
            for k, expression in conditional(bank, self.columns[missing]).items():
                self.found[missing[k]] = expression

    def formula(self, column: Int[np.ndarray[Any, Any], " row"]) -> Expression | None:
        return self.found.get(self.number[column.tobytes()])


def _reading(
    members: Sequence[_Wanted], state: tuple[str, ...], constants: Sequence[int]
) -> dict[int, tuple[Expression, ...]]:
    """For each labelling (by identity), formulas that give the outputs from the new state alone, where short."""
    found: dict[int, tuple[Expression, ...]] = {}
    banks: dict[bytes, tuple[Bank, Columns]] = {}
    for member in members:
        if member.from_new is None:
            continue
        codes = member.labelling.codes
        order = np.lexsort(codes.T)
        key = codes[order].tobytes()
        if key not in banks:
            bank = Bank(codes[order], state, constants)
            while bank.largest < 7 and bank.grow():
                pass
            banks[key] = (bank, codes)
        formulas = banks[key][0].find(np.ascontiguousarray(member.from_new[:, order]))
        if len(formulas) == len(member.from_new):
            found[id(member)] = tuple(formulas[k] for k in range(len(member.from_new)))
    return found


def _formulas(member: _Wanted, targets: _Targets, reading: dict[int, tuple[Expression, ...]]) -> _Formulas:
    update = [targets.formula(column) for column in member.update]
    outputs = [targets.formula(column) for column in member.outputs]
    before = _all(outputs)
    after = reading.get(id(member))
    from_new = after is not None and (before is None or sum(map(size, after)) <= sum(map(size, before)))
    return _Formulas(_all(update), after if from_new else before, from_new)
