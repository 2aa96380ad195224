"""A network's automaton by asking, for networks whose states drift so that no distance groups them (gates do that).

Angluin's L* for Mealy machines (Shahbaz and Groz 2009) with the network as oracle, as Weiss et al. (2018, arXiv
1711.09576) do for recurrent networks, but from hidden states instead of words: a state is a visited hidden state, known
by the outputs that certain words bring from there. A hidden state that answers otherwise than all states so far is a
new one. Where the machine and a walk through the network differ, a word is added that tells two states apart which
were taken for one (Rivest and Schapire 1993).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.automata.states import Clusters, Explored, Symbols, ask

Word = tuple[int, ...]  # numbers of symbols
Hidden = Float[np.ndarray[Any, Any], "point hidden"]
Answers = Int[np.ndarray[Any, Any], "point column"]
MOST_ANSWERS = 10**7  # outputs held at once


class _Table(NamedTuple):
    """Per state its hidden state and answers, per (state, symbol) the hidden state reached and its answers."""

    words: list[Word]
    hidden: Hidden
    answers: Answers
    reached: Float[np.ndarray[Any, Any], "state symbol hidden"]
    beyond: Int[np.ndarray[Any, Any], "state symbol column"]

    @property
    def following(self) -> Int[np.ndarray[Any, Any], "state symbol"]:
        """The state that answers as the reached one does, -1 where none does."""
        number = {row.tobytes(): k for k, row in enumerate(self.answers)}
        flat = self.beyond.reshape(-1, self.beyond.shape[2])
        return np.array([number.get(row.tobytes(), -1) for row in flat], dtype=np.int64).reshape(self.beyond.shape[:2])


def by_asking(model: RecurrentModel, symbols: Symbols, explored: Explored, most: int = 256) -> Clusters | None:
    """The visited points by the states of the smallest machine that gives every output that was seen.

    None when there is no such machine of at most `most` states within the depth of the walk. Nothing is said of longer
    sequences than were walked.
    """
    start = explored.hidden[:1]
    table = _new(model, symbols, [(k,) for k in range(len(symbols))], start)
    parents = _parents(explored)
    depths = [0]
    while True:
        closed = _closed(model, symbols, table, depths, int(explored.time.max()), most)
        if closed is None:
            return None
        table = closed
        label, wrong = _walked(explored, table, len(symbols))
        if wrong is None:
            return _numbered(explored, label)
        word = _word(explored, parents, *wrong)
        telling = _telling(model, symbols, table, word)
        if not telling or telling in table.words:
            return None  # the network's rounded answers are not steady enough to tell anything
        table = _wider(model, symbols, table, telling)


def _outputs(model: RecurrentModel, symbols: Symbols, hidden: Hidden, word: Word) -> Answers:
    """The outputs on a word from each hidden state, (point, position * output)."""
    given = []
    for letter in word:
        hidden, y = ask(model, hidden, symbols[letter])
        given.append(y)
    return np.concatenate(given, axis=1)


def _new(model: RecurrentModel, symbols: Symbols, words: list[Word], hidden: Hidden) -> _Table:
    """The table's part for some states."""
    reached = np.stack([ask(model, hidden, symbol)[0] for symbol in symbols], axis=1)
    flat = reached.reshape(-1, reached.shape[2])
    answers, beyond = (
        np.concatenate([_outputs(model, symbols, where, word) for word in words], axis=1) for where in (hidden, flat)
    )
    return _Table(words, hidden, answers, reached, beyond.reshape(len(hidden), len(symbols), -1))


def _wider(model: RecurrentModel, symbols: Symbols, table: _Table, word: Word) -> _Table:
    """The table with one word more."""
    flat = table.reached.reshape(-1, table.reached.shape[2])
    more = _outputs(model, symbols, flat, word).reshape(len(table.hidden), len(symbols), -1)
    answers = np.concatenate([table.answers, _outputs(model, symbols, table.hidden, word)], axis=1)
    beyond = np.concatenate([table.beyond, more], axis=2)
    return table._replace(words=[*table.words, word], answers=answers, beyond=beyond)


def _closed(
    model: RecurrentModel, symbols: Symbols, table: _Table, depths: list[int], deepest: int, most: int
) -> _Table | None:
    """The table with new states until every reached one answers as a state does; None when that is too many, or too
    deep. `depths` grows with the states."""
    while True:
        following = table.following
        fresh: dict[bytes, tuple[int, int]] = {}
        for state, letter in zip(*np.nonzero(following < 0), strict=True):
            fresh.setdefault(table.beyond[state, letter].tobytes(), (int(state), int(letter)))
        if not fresh:
            return table
        ways = list(fresh.values())
        depths += [depths[state] + 1 for state, _ in ways]
        count = len(table.hidden) + len(ways)
        if count > most or max(depths) > deepest or count * table.beyond[0].size > MOST_ANSWERS:
            return None
        added = _new(model, symbols, table.words, np.stack([table.reached[way] for way in ways]))
        table = _Table(
            table.words, *(np.concatenate([old, new]) for old, new in zip(table[1:], added[1:], strict=True))
        )


def _walked(
    explored: Explored, table: _Table, symbols: int
) -> tuple[Int[np.ndarray[Any, Any], " point"], tuple[int, int] | None]:
    """Each point's state by following the machine, and the first (point, symbol) whose output is not the machine's."""
    following = table.following
    written = table.answers[:, : symbols * explored.outputs.shape[2]].reshape(-1, symbols, explored.outputs.shape[2])
    label = np.zeros(len(explored.hidden), dtype=np.int64)
    for t in range(int(explored.time.max())):
        here = np.flatnonzero((explored.time == t) & explored.known)
        differ = (written[label[here]] != explored.outputs[here]).any(axis=2)
        if differ.any():
            point, letter = (int(k[0]) for k in np.nonzero(differ))
            return label, (int(here[point]), letter)
        label[explored.successor[here]] = following[label[here]]
    return label, None


def _parents(explored: Explored) -> Int[np.ndarray[Any, Any], "point 2"]:
    """For each point one that leads to it, and by which symbol."""
    found = np.full((len(explored.hidden), 2), -1, dtype=np.int64)
    known = np.flatnonzero(explored.known)
    for letter in range(explored.successor.shape[1]):
        found[explored.successor[known, letter]] = np.stack([known, np.full_like(known, letter)], axis=1)
    return found


def _word(explored: Explored, parents: Int[np.ndarray[Any, Any], "point 2"], point: int, letter: int) -> Word:
    """The symbols from the start to a point, and one more."""
    word = [letter]
    while point:
        point, before = (int(k) for k in parents[point])
        word.append(before)
    return tuple(reversed(word))


def _telling(model: RecurrentModel, symbols: Symbols, table: _Table, word: Word) -> Word:
    """The end of a word on which the machine fails that tells apart a state and what was taken for it; empty where
    none does. From the states that the machine passes, the network itself is asked about the rest of the word."""
    following = table.following
    truth = _outputs(model, symbols, table.hidden[:1], word)[0, -model.outputs :]
    state, right = 0, True
    for at in range(1, len(word)):
        state = int(following[state, word[at - 1]])
        now = bool((_outputs(model, symbols, table.hidden[[state]], word[at:])[0, -model.outputs :] == truth).all())
        if right and not now:
            return word[at:]
        right = now
    return ()


def _numbered(explored: Explored, label: Int[np.ndarray[Any, Any], " point"]) -> Clusters:
    """States in the order in which the walk meets them, each with the first followed point of it."""
    states, first = np.unique(label, return_index=True)
    rank = np.empty(int(states.max()) + 1, dtype=np.int64)
    rank[states[np.argsort(first)]] = np.arange(len(states))
    return Clusters(rank[label], np.sort(first), 0.0, 0)
