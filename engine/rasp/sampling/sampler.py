"""Random RASP programs (rasp-gen's sampler): operations are drawn and appended to a scope that starts with tokens and
indices, until the newest s-op has as many s-ops behind it as were asked for; then the program is tested."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from engine.rasp.compiled import Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import Comparison, SOp
from engine.rasp.sampling import evaluation
from engine.rasp.sampling.evaluation import Values
from engine.rasp.sampling.pools import COMPARISONS, FACTORS, MAPS, OPERATIONS, SEQUENCE_MAPS, TOKENS_WEIGHT, TYPES, Type
from engine.rasp.sampling.steps import CATEGORICAL, NUMERICAL, Constant, Sop, Step, aggregated, built, evaluated
from engine.rasp.sampling.tokens import CLASSES, INPUTS, VARIABLES, tokenise
from engine.rasp.sampling.trials import DEFAULTS, MOST_NONE, Settings, behaviour, run, trials, useful
from sessions.errors import CallError, IwbError

REDRAWS = 10  # of a categorical aggregate that averages
LARGEST_SCOPE = 60  # operations drawn for one program before it is begun anew
MOST_RESTARTS = 20_000
REMEMBERED = 20_000  # s-ops whose values on the test inputs are kept
SHORTEST, LONGEST = 2, len(VARIABLES) + len(INPUTS)  # tokens and indices counted

PATIENCE = 5_000  # draws one after another that bring nothing new

T = TypeVar("T")


class Sampled(NamedTuple):
    program: SOp
    length: int  # as rasp-gen counts: tokens and indices too, where the program reads them
    operations: int  # without them
    classes: tuple[str, ...]  # of the operations, inputs first
    tokens: tuple[int, ...]  # the program as `tokens.tokenise` writes it
    behaviour: bytes  # 16 bytes: equal for programs with equal outputs on a fixed set of inputs (all, in small domains)
    restarts: int  # programs that were begun and thrown away for this one
    compiled: Compiled | None = None  # compiling is the last test, and what it made


class _DrawError(Exception):
    """This operation cannot be drawn now."""


class _MixedError(_DrawError):
    """This categorical aggregate averages values that differ."""


_NO_DRAW, _MIXED = _DrawError(), _MixedError()


class Sampler:
    """Draws programs. The same generator state and settings give the same programs; what the sampler remembers of
    earlier ones (the values of s-ops on the test inputs) only makes it faster."""

    def __init__(self, rng: np.random.Generator, settings: Settings = DEFAULTS) -> None:
        if settings.vocab_size < 2 or settings.max_len < 2:
            raise CallError(
                f"programs over {settings.vocab_size} values and {settings.max_len} positions are all alike",
                "rasp.sample",
                "use at least two of each",
            )
        self.rng = rng
        self.settings = settings
        self._trials = trials(settings)
        self._domain = Domain(tuple(range(settings.vocab_size)), settings.max_len)
        self._known: dict[tuple[object, ...], Sop | _DrawError] = {}
        self._keys = 0
        test = self._trials.test
        self._tokens = self._sop("Tokens", (), test.tokens)
        self._indices = self._sop("Indices", (), test.indices)
        self._draws: dict[str, Callable[[], Step]] = {
            "map": self._map,
            "sequence_map": self._sequence_map,
            "linear_sequence_map": self._linear_sequence_map,
            "numerical_aggregate": self._numerical_aggregate,
            "categorical_aggregate": self._categorical_aggregate,
            "selector_width": self._selector_width,
        }
        self._begin()

    def program(self, length: int) -> Sampled:
        """One program of that length, 2 to 12 (tokens and indices counted, where they are read).

        CallError for another length; IwbError when nothing of that length can be found.
        """
        if not SHORTEST <= length <= LONGEST:
            raise CallError(
                f"programs of length {length} are not drawn", "length", f"it runs from {SHORTEST} to {LONGEST}"
            )
        for restarts in range(MOST_RESTARTS):
            self._begin()
            if self._draw(length) and (found := self._tested(restarts)) is not None:
                return found
        raise IwbError(f"no program of length {length} was found in {MOST_RESTARTS:,} attempts", "rasp.sample")

    # -- drawing

    def _begin(self) -> None:
        self._scope = [Step(self._tokens, (), "categorical", 1), Step(self._indices, (), "categorical", 2)]
        self._categorical, self._complete = [0, 1], [0, 1]  # entries; complete: categorical, never None
        self._floats: list[int] = []
        self._bools: list[int] = []  # never None

    def _draw(self, length: int) -> bool:
        """Operations until the newest has that length. False when it does not come to that."""
        possible = dict(OPERATIONS)
        while len(self._scope) < LARGEST_SCOPE and possible:
            name = self._weighted(possible)
            try:
                step = self._draws[name]()
            except _DrawError:
                del possible[name]
                continue
            if len(possible) < len(OPERATIONS):
                possible = dict(OPERATIONS)
            self._append(step)
            if step.past.bit_count() == length:
                return True
        return False

    def _append(self, step: Step) -> None:
        at = len(self._scope)
        step.past |= 1 << at
        self._scope.append(step)
        if step.type == "categorical":
            self._categorical.append(at)
            if not step.sop.has_nones:
                self._complete.append(at)
        elif step.type == "float":
            self._floats.append(at)
        elif not step.sop.has_nones:
            self._bools.append(at)

    def _weighted(self, weights: dict[str, float]) -> str:
        limits = list(accumulate(weights.values()))
        return list(weights)[min(bisect(limits, self.rng.random() * limits[-1]), len(limits) - 1)]

    def _one(self, entries: Sequence[int]) -> int:
        """An entry of the scope; `tokens`, always the first of its list, is likelier."""
        if not entries:
            raise _DrawError
        if entries[0] == 0:
            at = self.rng.random() * (len(entries) - 1 + TOKENS_WEIGHT)
            return 0 if at < TOKENS_WEIGHT else entries[1 + int(at - TOKENS_WEIGHT)]
        return entries[int(self.rng.random() * len(entries))]

    def _two(self, entries: Sequence[int]) -> tuple[int, int]:
        if len(entries) < 2:
            raise _DrawError
        first = second = self._one(entries)
        while second == first:
            second = self._one(entries)
        return first, second

    def _map(self) -> Step:
        x = self._one(range(len(self._scope)))
        step = self._scope[x]
        to = TYPES[int(self.rng.random() * len(TYPES))]
        return self._step("Map", (self._any(MAPS["freq" if step.freq else step.type, to]),), (x,), to)

    def _sequence_map(self) -> Step:
        xy = self._two(self._categorical)
        return self._step("SequenceMap", (self._any(SEQUENCE_MAPS),), xy, "categorical")

    def _linear_sequence_map(self) -> Step:
        xy = self._two(self._floats)
        return self._step("LinearSequenceMap", (self._any(FACTORS), self._any(FACTORS)), xy, "float")

    def _numerical_aggregate(self) -> Step:
        keys, queries, comparison = self._selector()
        return self._step(NUMERICAL, (comparison,), (keys, queries, self._one(self._bools)), "float", freq=True)

    def _categorical_aggregate(self) -> Step:
        for _ in range(1 + REDRAWS):
            value = self._one(self._complete)
            keys, queries, comparison = self._selector()
            try:
                return self._step(CATEGORICAL, (comparison,), (keys, queries, value), "categorical")
            except _MixedError:
                continue
        raise _DrawError

    def _selector_width(self) -> Step:
        keys, queries, comparison = self._selector()
        return self._step("SelectorWidth", (comparison,), (keys, queries), "categorical")

    def _selector(self) -> tuple[int, int, Comparison]:
        return self._one(self._complete), self._one(self._complete), self._any(COMPARISONS)

    def _any(self, of: Sequence[T]) -> T:
        return of[int(self.rng.random() * len(of))]

    def _step(
        self, kind: str, constants: tuple[Constant, ...], inputs: tuple[int, ...], to: Type, freq: bool = False
    ) -> Step:
        """A new entry. _DrawError when more than half of a test input's positions come out as None, _MixedError when it
        is a categorical aggregate that mixes values."""
        sops = [self._scope[i].sop for i in inputs]
        key = (kind, *constants, *(sop.key for sop in sops))
        sop = self._known.get(key)
        if sop is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            sop = self._known[key] = self._new(kind, constants, sops)
        if isinstance(sop, _DrawError):
            raise sop
        past = 0
        for i in inputs:
            past |= self._scope[i].past
        return Step(sop, inputs, to, past, freq)

    def _new(self, kind: str, constants: tuple[Constant, ...], sops: Sequence[Sop]) -> Sop | _DrawError:
        test = self._trials.test
        arguments = [sop.values for sop in sops]
        nones = any(sop.has_nones for sop in sops)
        if kind == CATEGORICAL:
            made = aggregated(constants, arguments, nones, test)
            mixed = made.differing if self.settings.exact else evaluation.outside(made.values, arguments[2], test)
            if mixed.any():
                return _MIXED
            values = made.values
        else:
            values = evaluated(kind, constants, arguments, nones, test)
        missing = evaluation.nones(values, test)
        if (missing > MOST_NONE * test.lengths).any():
            return _NO_DRAW
        return self._sop(kind, constants, values, bool(missing.any()))

    def _sop(self, kind: str, constants: tuple[Constant, ...], values: Values, has_nones: bool = False) -> Sop:
        self._keys += 1
        return Sop(self._keys, kind, constants, values, has_nones)

    # -- testing

    def _tested(self, restarts: int) -> Sampled | None:
        """The newest s-op of the scope as a program, or None when it has to be thrown away."""
        past = self._scope[-1].past
        entries = [i for i in range(len(self._scope)) if past >> i & 1]
        operations = len(entries) - (past & 1) - (past >> 1 & 1)
        if not past & 1 or operations > len(VARIABLES):  # it does not read tokens, or is too long to write
            return None
        _, extra, domain, exact = self._trials
        if not useful(run(self._scope, entries, extra, exact=exact), extra):
            return None
        ran = run(self._scope, entries, domain, exact=exact)
        if exact and (ran.mixed & ~ran.undefined).any():
            return None
        program, classes = built(self._scope, entries)
        try:
            compiled = compile_program(program, self._domain)
        except CallError:  # numbers too close to tell apart in float32, or too many of them
            return None
        return Sampled(
            program=program,
            length=len(entries),
            operations=operations,
            classes=classes,
            tokens=tuple(tokenise(program)),
            behaviour=behaviour(ran, domain),
            restarts=restarts,
            compiled=compiled,
        )


class Samples(list[Sampled]):
    """Programs, and what became of the draws that are not among them."""

    draws = 0
    same_tokens = 0  # draws whose tokens came before
    same_behaviour = 0  # of the others, draws whose behaviour came before

    def shares(self) -> dict[str, float]:
        """How often each class of operation occurs in them."""
        counts = dict.fromkeys(CLASSES, 0)
        for one in self:
            for name in one.classes:
                counts[name] += 1
        total = max(sum(counts.values()), 1)
        return {name: count / total for name, count in counts.items()}


def sample_many(
    n: int,
    *,
    length: int,
    rng: np.random.Generator,
    settings: Settings = DEFAULTS,
    unique: bool = True,
    patience: int = PATIENCE,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """n programs of a length. With `unique`, none has the tokens or the behaviour of an earlier one; then fewer than n
    come back when `patience` draws one after another bring nothing new (short lengths have few different programs)."""
    sampler = Sampler(rng, settings)
    found = Samples()
    tokens: set[tuple[int, ...]] = set()
    behaviours: set[bytes] = set()
    in_vain = 0
    while len(found) < n and in_vain < patience:
        one = sampler.program(length)
        found.draws += 1
        in_vain += 1
        known = one.tokens in tokens
        alike = not known and one.behaviour in behaviours
        found.same_tokens += known
        found.same_behaviour += alike
        if not unique or not (known or alike):
            found.append(one._replace(compiled=None))  # a thousand models are much memory
            in_vain = 0
        tokens.add(one.tokens)
        behaviours.add(one.behaviour)
        if progress is not None:
            progress(len(found), n)
    return found
