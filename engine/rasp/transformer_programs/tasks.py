"""The small sequence tasks of Transformer Programs, after Weiss et al. 2021: inputs, targets, and data without leakage.

A sequence is `<s>`, the payload, and for two tasks `</s>`; shorter ones are padded. As in the paper `vocabulary` counts
the special tokens too, and `length` the tokens around the payload. Every payload position has a class to predict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from sessions.errors import CallError, nearest

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
NO_TARGET = -1
CHUNK = 1 << 15  # sequences handed out at once

Codes = Int[np.ndarray, "sequence position"]  # indices into a task's symbols
Target = Callable[["Task", Codes], Codes]  # indices into a task's classes


class Task(NamedTuple):
    """One task. `shortest` and `longest` bound the payload; `target` gives class indices for symbol indices."""

    name: str
    summary: str
    symbols: tuple[str, ...]
    classes: tuple[str, ...]
    shortest: int
    longest: int
    target: Target
    eos: bool = False
    causal: bool = False  # a position sees itself and what is before it

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens, the padding last: an index here is the network's token id. Symbols keep their index."""
        return (*self.symbols, BOS, *((EOS,) if self.eos else ()), PAD)

    @property
    def context(self) -> int:
        return self.longest + (2 if self.eos else 1)

    @property
    def size(self) -> int:
        """How many different inputs there are."""
        return sum(len(self.symbols) ** n for n in range(self.shortest, self.longest + 1))

    @property
    def domain(self) -> str:
        lengths = f"{self.shortest} to {self.longest}" if self.shortest < self.longest else str(self.longest)
        return f"{self.size:,} sequences of {lengths} of the {len(self.symbols)} symbols {' '.join(self.symbols)}"


class Examples(NamedTuple):
    """Padded token ids and class indices (NO_TARGET where nothing is predicted)."""

    ids: Int[np.ndarray, "sequence position"]
    targets: Int[np.ndarray, "sequence position"]


class Data(NamedTuple):
    train: Examples
    validation: Examples
    test: Examples


def _reverse(task: Task, x: Codes) -> Codes:
    return x[:, ::-1]


def _sort(task: Task, x: Codes) -> Codes:
    return np.sort(x, axis=1)


def _counts(x: Codes) -> Codes:
    return np.asarray((x[:, :, None] == x[:, None, :]).sum(axis=2))


def _histogram(task: Task, x: Codes) -> Codes:
    return _counts(x) - 1  # the class "1" has index 0


def _double_histogram(task: Task, x: Codes) -> Codes:
    # A symbol that occurs c times stands at c positions, so the positions with count c are c times its symbols.
    counts = _counts(x)
    return np.asarray(_counts(counts) // counts - 1)


def _most_frequent(task: Task, x: Codes) -> Codes:
    symbols, length = len(task.symbols), x.shape[1]
    here = x[:, None, :] == np.arange(symbols)[None, :, None]
    count = here.sum(axis=2)
    first = np.where(count > 0, here.argmax(axis=2), length)
    order = np.argsort(-count * (length + 1) + first, axis=1, kind="stable")
    present = np.arange(symbols)[None] < (count > 0).sum(axis=1)[:, None]
    listed = np.where(present, order, symbols)  # the class after the symbols says `no more`
    return np.pad(listed, ((0, 0), (0, max(length - symbols, 0))), constant_values=symbols)[:, :length]


def _dyck(task: Task, x: Codes) -> Codes:
    """F once the prefix cannot be completed, T where it is balanced, P between. Symbols: open, close, open, close."""
    rows = np.arange(len(x))
    stack = np.zeros((len(x), x.shape[1] + 1), dtype=np.int64)
    depth = np.zeros(len(x), dtype=np.int64)
    failed = np.zeros(len(x), dtype=bool)
    result = np.empty_like(x)
    for t in range(x.shape[1]):
        kind, closes = x[:, t] // 2, x[:, t] % 2 == 1
        failed |= closes & ((depth == 0) | (stack[rows, np.maximum(depth - 1, 0)] != kind))
        stack[rows, depth] = np.where(closes, stack[rows, depth], kind)
        depth = np.where(failed, 0, depth + np.where(closes, -1, 1))
        result[:, t] = np.where(failed, 0, np.where(depth == 0, 2, 1))
    return result


_NUMBERED: dict[str, tuple[str, Target, bool]] = {
    "reverse": ("the sequence backwards", _reverse, True),
    "histogram": ("how often the token occurs in the sequence", _histogram, False),
    "double_histogram": ("how many tokens occur as often as this one", _double_histogram, False),
    "sort": ("the sequence in increasing order", _sort, True),
    "most_frequent": ("the tokens by falling frequency, each once, then <s>", _most_frequent, False),
}
_BRACKETS = {
    "dyck1": ("is the prefix of brackets balanced (T), can it be (P), or not (F)", 2),
    "dyck2": ("is the prefix of two kinds of brackets balanced (T), can it be (P), or not (F)", 4),
}
ALIASES = {
    "hist": "histogram",
    "double_hist": "double_histogram",
    "hist2": "double_histogram",
    "most_freq": "most_frequent",
}


def make_task(name: str, *, vocabulary: int = 8, length: int | None = None) -> Task:
    """The task of that name, or of its short name (`hist`). Sizes as in the paper: vocabulary 8 (brackets have their
    own), length 8 (16 for brackets). CallError for an unknown name or sizes without room for a payload."""
    name = ALIASES.get(name, name)
    if name in _BRACKETS:
        summary, count = _BRACKETS[name]
        payload = (16 if length is None else length) - 1
        _check(payload >= 1, f"length={length} leaves no room for brackets", "length")
        return Task(name, summary, ("(", ")", "{", "}")[:count], ("F", "P", "T"), payload, payload, _dyck, causal=True)
    if name not in _NUMBERED:
        raise CallError(f"unknown task '{name}'", "task", nearest(name, [*_NUMBERED, *_BRACKETS]))
    summary, target, eos = _NUMBERED[name]
    longest = (8 if length is None else length) - (2 if eos else 1)
    count = vocabulary - (3 if eos else 2)
    _check(longest >= 1, f"length={length} leaves no room for a sequence", "length")
    _check(count >= 2, f"vocabulary={vocabulary} leaves fewer than two symbols", "vocabulary")
    symbols = tuple(str(k) for k in range(count))
    classes = {
        "histogram": tuple(str(k + 1) for k in range(longest)),
        "double_histogram": tuple(str(k + 1) for k in range(min(longest, count))),
        "most_frequent": (*symbols, BOS),
    }.get(name, symbols)
    return Task(name, summary, symbols, classes, 1, longest, target, eos=eos)


def _check(holds: bool, what: str, where: str) -> None:
    if not holds:
        raise CallError(what, where, "give a larger number")


def encode(task: Task, payloads: Codes) -> Examples:
    """Token ids and targets of payloads of one length, padded to the task's context."""
    count, length = payloads.shape
    pad = len(task.tokens) - 1
    ids = np.full((count, task.context), pad, dtype=np.int64)
    targets = np.full((count, task.context), NO_TARGET, dtype=np.int64)
    ids[:, 0] = len(task.symbols)
    ids[:, 1 : length + 1] = payloads
    if task.eos:
        ids[:, length + 1] = len(task.symbols) + 1
    targets[:, 1 : length + 1] = task.target(task, payloads)
    return Examples(ids, targets)


def all_payloads(task: Task) -> Iterator[Codes]:
    """Every input, in chunks of one length each."""
    base = len(task.symbols)
    for length in range(task.shortest, task.longest + 1):
        powers = base ** np.arange(length - 1, -1, -1, dtype=np.int64)
        for start in range(0, base**length, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, base**length), dtype=np.int64)
            yield numbers[:, None] // powers % base


def sample_payloads(task: Task, n: int, rng: np.random.Generator) -> list[Codes]:
    """Up to n different inputs, one array per length: all of them when there are no more than n. Lengths are drawn
    evenly. Of bracket sequences half are random and half begin balanced, as in the paper."""
    if task.size <= n:
        return [np.concatenate([c for c in all_payloads(task) if c.shape[1] == length]) for length in _lengths(task)]
    seen: set[bytes] = set()
    rows: dict[int, list[Codes]] = {length: [] for length in _lengths(task)}
    for _ in range(5):  # a small domain runs dry: then fewer than n, as in the paper
        lengths = rng.integers(task.shortest, task.longest + 1, size=n)
        for length in _lengths(task):
            for row in _draw(task, int((lengths == length).sum()), length, rng):
                if len(seen) < n and (key := row.tobytes()) not in seen:
                    seen.add(key)
                    rows[length].append(row)
        if len(seen) >= n:
            break
    return [np.stack(found) for found in rows.values() if found]


def _lengths(task: Task) -> range:
    return range(task.shortest, task.longest + 1)


def _draw(task: Task, n: int, length: int, rng: np.random.Generator) -> Codes:
    x = rng.integers(0, len(task.symbols), size=(n, length))
    if task.causal:  # brackets
        for k in np.flatnonzero(rng.random(n) < 0.5):
            balanced = _balanced(len(task.symbols) // 2, int(rng.integers(1, length // 2 + 2)), rng)[:length]
            x[k, : len(balanced)] = balanced
    return x


def _balanced(kinds: int, pairs: int, rng: np.random.Generator) -> list[int]:
    """A balanced bracket sequence: pairs put after, or around, what there is."""
    s: list[int] = []
    for _ in range(pairs):
        left = 2 * int(rng.integers(kinds))
        s = [*s, left, left + 1] if rng.random() < 0.5 else [left, *s, left + 1]
    return s


def make_data(task: Task, n: int, rng: np.random.Generator) -> Data:
    """Up to n different sequences, shuffled: 80 % to train on, 10 % to validate, 10 % to test; none is in two parts."""
    parts = [encode(task, payloads) for payloads in sample_payloads(task, n, rng)]
    ids, targets = (np.concatenate(columns) for columns in zip(*parts))
    order = rng.permutation(len(ids))
    part = max(len(ids) // 10, 1)
    cuts = np.split(order, [part, 2 * part])
    test_part, validation_part, train_part = (Examples(ids[k], targets[k]) for k in cuts)
    if not len(train_part.ids):
        raise CallError(f"{len(ids)} sequences cannot be split in three", "n", "give a larger number")
    return Data(train_part, validation_part, test_part)
