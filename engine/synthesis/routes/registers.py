"""Loops with registers: variables that count, add up, multiply, compare, found by trying small updates on the data.

A register is a start and an update, an expression of its old value and the input (or of another register that runs by
itself, such as a power of two). All small updates are tried; what matters of one is only the numbers it runs through on
the observed sequences. A register explains the network when the outputs are a function of it and the current input; two
registers do when a simple comparison or operation on them gives the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.expressions import OPERATORS, Expression, evaluate, size
from engine.synthesis.formulas.regression import contradicts, regress_all
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names
from engine.synthesis.programs.schedule import variables
from engine.synthesis.routes.behaviour import Behaviour, Sequences
from engine.synthesis.routes.candidate import Candidate, Refused, candidate
from engine.synthesis.routes.windows import constants

LARGEST = 5  # description length of an update
LARGEST_NUMBER = 2**31  # what the evaluator computes with
FEW, MANY = 48, 1024  # sequences on which registers are first told apart, and then looked at more closely
EXPLAINING = 12  # registers that explain the outputs, of which formulas are searched
SITUATIONS = 3_000  # different (register, input) pairs beyond which a register explains by telling everything apart
PAIRED = 1_500  # registers of which pairs are compared
READINGS = ("==", "<", "-", "+", "min", "max", "*", "//", "%")

Trajectory = Int[np.ndarray[Any, Any], "sequence pos"]


class Register(NamedTuple):
    """A variable with its start and update. `driver` is a register that runs by itself and that the update reads."""

    start: int
    update: Expression
    driver: Register | None = None

    @property
    def cost(self) -> int:
        return size(self.update) + (self.start != 0) + (self.driver.cost if self.driver else 0)

    def run(self, x: Sequences) -> Trajectory:
        """The values before each input and after the last one: (sequence, pos + 1). ValueError where they explode."""
        drive = self.driver.run(x) if self.driver else None
        now = np.full(len(x), self.start, dtype=np.int64)
        values = [now]
        read = input_names(x.shape[2])
        for t in range(x.shape[1]):
            given = {name: x[:, t, k] for k, name in enumerate(read)} | {"k": now}
            if drive is not None:
                given["a"] = drive[:, t]
            now = evaluate(self.update, given)
            if np.abs(now).max() >= LARGEST_NUMBER:
                raise ValueError("too large")
            values.append(now)
        return np.stack(values, axis=1)


def register_loops(
    behaviour: Behaviour, rng: np.random.Generator, tick: Callable[[], None] = lambda: None
) -> Iterator[Candidate | Refused]:
    """Programs with one register, or two, each agreeing with the network on all that was observed."""
    few = behaviour.x[rng.permutation(len(behaviour.x))[:FEW]]
    pool = list(_distinct(_registers(behaviour), few, tick))
    single = _single(behaviour, pool, rng, tick)
    if single is not None:
        yield single
        return
    yield Refused("one register", f"none of {len(pool):,} registers explains what the network says")
    driven = pool + list(_distinct(_driven(behaviour), few, tick))
    pair = _pair(behaviour, driven, rng, tick)
    yield pair or Refused("two registers", f"no simple reading of two of {len(driven):,} registers was found")


def _registers(behaviour: Behaviour) -> Iterator[Register]:
    """Registers of the input, the simplest updates first, each with a few starts."""
    read = input_names(behaviour.inputs)
    starts = tuple(dict.fromkeys((0, 1, behaviour.domain.high, behaviour.domain.low)))
    for update in _updates(behaviour, (*read, "k"), LARGEST):
        for start in starts if "k" in variables(update) else (0,):
            yield Register(start, update)


def _driven(behaviour: Behaviour) -> Iterator[Register]:
    """Registers that also read one that runs by itself: a clock, or a power of two."""
    clock = Register(0, ("+", ("var", "k"), ("const", 1)))
    power = Register(1, ("+", ("var", "k"), ("var", "k")))
    read = input_names(behaviour.inputs)
    for update in _updates(behaviour, (*read, "k", "a"), LARGEST):
        if "a" in variables(update) and "k" in variables(update):
            for driver in (power, clock):
                yield Register(0, update, driver)


def _updates(behaviour: Behaviour, names: Sequence[str], largest: int) -> Iterator[Expression]:
    """Expressions of up to that size that differ somewhere on a grid of values."""
    rng = np.random.default_rng(7)
    domain = behaviour.domain
    inputs = domain.alphabet() if (domain.high - domain.low + 1) ** domain.inputs <= 64 else None
    count = 160
    read = (
        np.array(inputs)[rng.integers(0, len(inputs), count)]
        if inputs
        else rng.integers(domain.low, domain.high + 1, (count, domain.inputs))
    )
    others = rng.integers(-2, 24, (count, len(names) - domain.inputs))
    bank = Bank(np.concatenate([read, others], axis=1), names, constants(behaviour), most=12_000)
    while bank.largest < largest and bank.grow():
        pass
    for level in sorted(bank.levels):
        for index in range(len(bank.levels[level].how)):
            expression = bank.expression(level, index)
            if variables(expression) - {"k", "a"} or "a" in variables(expression):
                yield expression


def _distinct(registers: Iterator[Register], x: Sequences, tick: Callable[[], None]) -> Iterator[Register]:
    """Registers that run through different numbers, the cheapest of each kind; those that explode are left out."""
    seen: set[bytes] = set()
    for number, register in enumerate(registers):
        if number % 500 == 0:
            tick()
        try:
            key = register.run(x).tobytes()
        except (ValueError, ZeroDivisionError):
            continue
        if key not in seen:
            seen.add(key)
            yield register


def _single(
    behaviour: Behaviour, pool: Sequence[Register], rng: np.random.Generator, tick: Callable[[], None]
) -> Candidate | None:
    """The shortest program with one register."""
    chosen = rng.permutation(len(behaviour.x))[:MANY]
    x, y = behaviour.x[chosen], behaviour.y[chosen]
    explaining: list[tuple[int, int, Register]] = []
    for number, register in enumerate(pool):
        if number % 200 == 0:
            tick()
        small = _situations(x[:FEW], register)
        if small is None or any(contradicts(small, y[:FEW, :, k].reshape(-1)) for k in range(y.shape[2])):
            continue
        rows = _situations(x, register)
        if rows is None or any(contradicts(rows, y[:, :, k].reshape(-1)) for k in range(y.shape[2])):
            continue
        different = len(np.unique(rows, axis=0))
        if different <= SITUATIONS:
            explaining.append((different * register.cost, register.cost, register))
    explaining.sort(key=lambda found: found[:2])
    best: Candidate | None = None
    for _, _, register in explaining[:EXPLAINING]:
        tick()
        found = _read(behaviour, register)
        if found is not None and (best is None or found.length < best.length):
            best = found
    return best


def _situations(x: Sequences, register: Register) -> Sequences | None:
    """One row per position: the input and the register's old value."""
    try:
        values = register.run(x)
    except (ValueError, ZeroDivisionError):
        return None
    return np.concatenate([x, values[:, :-1, None]], axis=2).reshape(-1, x.shape[2] + 1)


def _read(behaviour: Behaviour, register: Register) -> Candidate | None:
    """A program whose outputs are formulas of the register's new value, or of its old value and the input."""
    read = input_names(behaviour.inputs)
    try:
        values = register.run(behaviour.x)
    except (ValueError, ZeroDivisionError):
        return None
    wanted = behaviour.y.reshape(-1, behaviour.outputs).T
    name = register_name(register.update)
    best: Candidate | None = None
    for new in (True, False):
        column = values[:, 1:] if new else values[:, :-1]
        rows = column.reshape(-1, 1)
        names: tuple[str, ...] = (name,)
        if not new:
            rows, names = np.concatenate([behaviour.x.reshape(len(rows), -1), rows], axis=1), (*read, name)
        if any(contradicts(rows, one) for one in wanted):
            continue
        found = regress_all(rows, names, wanted, constants=constants(behaviour))
        if any(f is None for f in found):
            continue
        loop = Loop(
            read,
            (name,),
            (register.start,),
            (_renamed(register.update, {"k": name}),),
            tuple(f.expression for f in found if f is not None),
            from_new=new,
        )
        if behaviour.difference(loop):
            continue
        made = candidate("one register", loop, "One register.")
        if best is None or made.length < best.length:
            best = made
    return best


def _pair(
    behaviour: Behaviour, pool: Sequence[Register], rng: np.random.Generator, tick: Callable[[], None]
) -> Candidate | None:
    """A program with two registers whose new values are compared or combined into the (single) output."""
    if behaviour.outputs != 1:
        return None
    pool = sorted(pool, key=lambda register: register.cost)[:PAIRED]
    values, places = _columns(behaviour, pool, rng)
    y = behaviour.y[:, :, 0][places]
    for symbol in READINGS:
        apply = OPERATORS[symbol]
        for i, left in enumerate(values):
            if i % 100 == 0:
                tick()
            right = values
            usable = np.arange(len(values))
            if symbol in ("//", "%"):
                usable = np.flatnonzero((values > 0).all(axis=1))
                right = values[usable]
            for j in usable[np.flatnonzero((apply(left[None], right) == y[None]).all(axis=1))]:
                found = _joined(behaviour, pool[i], pool[int(j)], symbol)
                if found is not None:
                    return found
    return None


def _columns(
    behaviour: Behaviour, pool: Sequence[Register], rng: np.random.Generator
) -> tuple[Sequences, tuple[Sequences, Sequences]]:
    """The registers' new values at some positions, as many of each output value as there are."""
    y = behaviour.y[:, :, 0]
    numbers, sequences, positions = [], [], []
    for value in np.unique(y)[:16]:
        at, where = np.nonzero(y == value)
        some = rng.permutation(len(at))[: 128 // min(len(np.unique(y)), 16)]
        sequences.append(at[some])
        positions.append(where[some])
    chosen, place = np.concatenate(sequences), np.concatenate(positions)
    x = behaviour.x[chosen]
    for register in pool:
        try:
            numbers.append(register.run(x)[np.arange(len(x)), place + 1])
        except (ValueError, ZeroDivisionError):
            numbers.append(np.full(len(x), LARGEST_NUMBER))  # never equal to anything the network says
    return np.stack(numbers), (chosen, place)


def _joined(behaviour: Behaviour, left: Register, right: Register, symbol: str) -> Candidate | None:
    read = input_names(behaviour.inputs)
    names: dict[Register, str] = {}
    for register in (left.driver, right.driver, left, right):
        if register is not None and register not in names:
            plain = register_name(register.update)
            names[register] = plain if plain not in names.values() else f"{plain}2"
    update = tuple(
        _renamed(register.update, {"k": name} | ({"a": names[register.driver]} if register.driver else {}))
        for register, name in names.items()
    )
    outputs: tuple[Expression, ...] = ((symbol, ("var", names[left]), ("var", names[right])),)
    loop = Loop(read, tuple(names.values()), tuple(r.start for r in names), update, outputs, from_new=True)
    if behaviour.difference(loop):
        return None
    return candidate("two registers", loop, "Registers compared.")


def _renamed(expression: Expression, names: dict[str, str]) -> Expression:
    if expression[0] == "var":
        return ("var", names.get(expression[1], expression[1]))
    return tuple(_renamed(part, names) if isinstance(part, tuple) else part for part in expression)


def register_name(update: Expression) -> str:
    """What a register does, in a word, where its update says so."""
    match update:
        case ("var", _):
            return "last"
        case ("max", _, _):
            return "largest"
        case ("min", _, _):
            return "smallest"
        case ("+", ("var", "k"), ("var", "k")):
            return "power"
        case ("+", ("var", "k"), ("const", 1)) | ("+", ("const", 1), ("var", "k")):
            return "clock"
        case ("+", ("var", "k"), ("var", _)) | ("+", ("var", _), ("var", "k")):
            return "total"
    return "k"
