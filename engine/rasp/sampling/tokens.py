"""Programs as token sequences and back: how a meta-model reads and writes them (rasp-gen's tokenisation).

    BOS, the operations of attention 0, EOL, of MLP 0, EOL, of attention 1, EOL, ... EOS, then any number of PAD

An operation is a variable, its encoding, its class, its arguments and EOO. Arguments: `Map f x`, `SequenceMap f x y`,
`LinearSequenceMap x y a b`, `SelectAggregate key query comparison value`, `SelectorWidth key query comparison`.
Variables are numbered half layer by half layer and, inside one, in the order of the operations' texts; the last
operation is the output. There are as many half layers as the program needs, made even.

The vocabulary has 62 words with the published sampler's 25 functions. (The paper counts 105 with 60 functions, which it
does not list; `Vocabulary(functions)` makes one for any other pool.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Encoding,
    Indices,
    LinearSequenceMap,
    Map,
    Select,
    Selector,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    indices,
    nodes,
    tokens,
)
from engine.rasp.layering import allocate
from engine.rasp.sampling.pools import COMPARISONS, FACTORS, FUNCTIONS
from sessions.errors import CallError

PAD, BOS, EOS, EOO, EOL = "PAD", "BOS", "EOS", "EOO", "EOL"
SPECIALS = (PAD, BOS, EOS, EOO, EOL)
CLASSES = ("Map", "SequenceMap", "LinearSequenceMap", "SelectAggregate", "SelectorWidth")
ENCODINGS = ("categorical", "numerical")
VARIABLES = tuple(f"sop_{i:02d}" for i in range(10))
INPUTS = ("sop_10_tokens", "sop_11_indices")

# What each class takes after its name: f a function of one value, g of two, x an s-op, w a factor, c a comparison.
ARGUMENTS = {
    "Map": "fx",
    "SequenceMap": "gxx",
    "LinearSequenceMap": "xxww",
    "SelectAggregate": "xxcx",
    "SelectorWidth": "xxc",
}
_EXPECTED = {
    "f": "a function of one value",
    "g": "a function of two values",
    "x": "an s-op",
    "w": "a factor",
    "c": "a comparison",
}


class Vocabulary:
    """The words in the order of their ids, by group: specials, classes, encodings, variables, functions (sorted),
    linear factors, comparisons, inputs. `groups` gives each group's name and its range of ids."""

    def __init__(self, functions: Iterable[Function] = FUNCTIONS) -> None:
        self.functions = {f.text: f for f in sorted(set(functions), key=lambda f: f.text)}
        self.factors = {str(w): w for w in FACTORS}
        self.comparisons = {c.name: c for c in COMPARISONS}
        parts: list[tuple[str, Iterable[str]]] = [
            ("special", SPECIALS),
            ("class", CLASSES),
            ("encoding", ENCODINGS),
            ("variable", VARIABLES),
            ("function", self.functions),
            ("factor", self.factors),
            ("comparison", self.comparisons),
            ("input", INPUTS),
        ]
        words: list[str] = []
        self.groups: dict[str, range] = {}
        for name, group in parts:
            start = len(words)
            words.extend(group)
            self.groups[name] = range(start, len(words))
        self.words = tuple(words)
        self.ids = {word: i for i, word in enumerate(words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Iterable[str]) -> list[int]:
        """Ids of words. CallError names the first word that is not in the vocabulary."""
        found = []
        for word in words:
            if word not in self.ids:
                raise CallError(f"'{word}' is not one of the {len(self)} words of the vocabulary", "tokens")
            found.append(self.ids[word])
        return found

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of ids. CallError names the first id that is none."""
        found = []
        for i in ids:
            if not 0 <= i < len(self):
                raise CallError(f"{i} is not a token", "tokens", f"ids run from 0 to {len(self) - 1}")
            found.append(self.words[i])
        return found


VOCABULARY = Vocabulary()  # 62 words


def tokenise(program: SOp, vocabulary: Vocabulary = VOCABULARY) -> list[int]:
    """The ids of a program, BOS and EOS included, without padding.

    CallError: more than ten operations, or an operation, function, factor or comparison outside the vocabulary.
    """
    return vocabulary.encode(words(program))


def words(program: SOp) -> list[str]:
    """The program's words (see `tokenise`), whether a vocabulary has them or not."""
    halves = half_layers(program)
    count = max(halves.values(), default=-1) + 1
    by_half: list[list[SOp]] = [[] for _ in range(count + count % 2)]
    for node, half in halves.items():
        by_half[half].append(node)
    if len(halves) > len(VARIABLES):
        raise CallError(f"the program has {len(halves)} operations", "tokens", f"at most {len(VARIABLES)} have a token")
    names: dict[SOp, str] = {}
    found = [BOS]
    for half_layer in by_half:
        texts = sorted(((_operation(node, names), node) for node in half_layer), key=lambda pair: pair[0])
        for text, node in texts:
            variable = VARIABLES[len(names)]
            names[node] = variable
            found += [variable, *text, EOO]
        found.append(EOL)
    return [*found, EOS]


def _operation(node: SOp, names: dict[SOp, str]) -> list[str]:
    def name(of: SOp) -> str:
        if isinstance(of, Tokens | Indices):
            return INPUTS[isinstance(of, Indices)]
        return names[of]

    def select(of: Selector) -> list[str]:
        if isinstance(of, Select) and isinstance(of.predicate, Comparison):
            return [name(of.keys), name(of.queries), of.predicate.name]
        raise CallError("only a selector with one plain comparison has tokens", "tokens")

    match node:
        case Map():
            arguments = ["Map", node.f.text, name(node.inner)]
        case SequenceMap(inputs=(x, y)):
            arguments = ["SequenceMap", node.f.text, name(x), name(y)]
        case LinearSequenceMap(inputs=(x, y), factors=factors):
            arguments = ["LinearSequenceMap", name(x), name(y), *(f"{w:g}" for w in factors)]
        case Aggregate():
            arguments = ["SelectAggregate", *select(node.selector), name(node.sop)]
        case SelectorWidth():
            arguments = ["SelectorWidth", *select(node.selector)]
        case _:
            raise CallError(f"a {type(node).__name__} has no tokens", "tokens")
    return [node.encoding, *arguments]


def half_layers(program: SOp) -> dict[SOp, int]:
    """The half layer of every operation: 2 l for attention l, 2 l + 1 for MLP l. A SelectorWidth, which needs both,
    stands at its attention."""
    order = nodes(program)
    layers = allocate(order, order).layer
    return {op: 2 * layer + (not isinstance(op, Aggregate | SelectorWidth)) for op, layer in layers.items()}


class Reading(NamedTuple):
    """A parsed token sequence: the program, and the s-op of every variable."""

    program: SOp
    variables: dict[str, SOp]


def detokenise(ids: Sequence[int], vocabulary: Vocabulary = VOCABULARY) -> SOp:
    """The program of a token sequence (BOS first; PAD after EOS is allowed). `tokenise(detokenise(ids))` is `ids` for
    every sequence that `tokenise` made; others that parse come back in their canonical order.

    CallError says what is wrong and at which token, counted from 0: a sequence cut short, an argument of the wrong
    kind, a variable used before it is defined or defined twice, an odd number of half layers, an operation in the wrong
    kind of half layer, no operation at all.
    """
    return read(vocabulary.decode(ids), vocabulary).program


def read(sequence: Sequence[str], vocabulary: Vocabulary = VOCABULARY) -> Reading:
    """As `detokenise`, from words."""
    reader = _Reader(sequence, vocabulary)
    reader.take(BOS)
    output: SOp | None = None
    half = 0
    while reader.peek() != EOS:
        if reader.peek() == EOL:
            reader.take(EOL)
            half += 1
        else:
            output = reader.operation(attention=half % 2 == 0)
    if half % 2:
        reader.wrong(f"there are {half} half layers; attention and MLP come in pairs")
    reader.take(EOS)
    while reader.at < len(sequence):
        reader.take(PAD)
    if output is None:
        raise CallError("the sequence has no operation", "tokens")
    return Reading(output, reader.variables)


class _Reader:
    def __init__(self, sequence: Sequence[str], vocabulary: Vocabulary) -> None:
        self.sequence = sequence
        self.vocabulary = vocabulary
        self.variables: dict[str, SOp] = {}
        self.at = 0

    def wrong(self, what: str) -> None:
        raise CallError(what, f"token {self.at}")

    def peek(self) -> str:
        if self.at >= len(self.sequence):
            raise CallError("the sequence ends too early", f"token {self.at}", "it has to end with EOS")
        return self.sequence[self.at]

    def take(self, word: str) -> None:
        if self.peek() != word:
            self.wrong(f"'{self.peek()}' stands where {word} belongs")
        self.at += 1

    def one_of(self, known: Iterable[str], kind: str) -> str:
        word = self.peek()
        if word not in known:
            self.wrong(f"'{word}' stands where {kind} belongs")
        self.at += 1
        return word

    def sop(self) -> SOp:
        word = self.one_of((*VARIABLES, *INPUTS), _EXPECTED["x"])
        if word in INPUTS:
            return (tokens, indices)[INPUTS.index(word)]
        if word not in self.variables:
            self.at -= 1
            self.wrong(f"{word} is not defined yet")
        return self.variables[word]

    def operation(self, *, attention: bool) -> SOp:
        variable = self.one_of(VARIABLES, "a variable, EOL or EOS")
        if variable in self.variables:
            self.at -= 1
            self.wrong(f"{variable} is defined already")
        encoding = self.one_of(ENCODINGS, "an encoding")
        kind = self.one_of(CLASSES, "a class")
        if (kind in ("SelectAggregate", "SelectorWidth")) != attention:
            self.at -= 1
            self.wrong(f"a {kind} stands in {'an attention' if attention else 'an MLP'} half layer")
        parts = [self.argument(letter) for letter in ARGUMENTS[kind]]
        self.take(EOO)
        node = build(kind, parts, "numerical" if encoding == "numerical" else "categorical")
        self.variables[variable] = node
        return node

    def argument(self, letter: str) -> SOp | Function | Comparison | int:
        if letter == "x":
            return self.sop()
        if letter == "w":
            return self.vocabulary.factors[self.one_of(self.vocabulary.factors, _EXPECTED[letter])]
        if letter == "c":
            return self.vocabulary.comparisons[self.one_of(self.vocabulary.comparisons, _EXPECTED[letter])]
        arity = 1 if letter == "f" else 2
        known = [text for text, f in self.vocabulary.functions.items() if f.arity == arity]
        return self.vocabulary.functions[self.one_of(known, _EXPECTED[letter])]


def build(kind: str, parts: Sequence[SOp | Function | Comparison | int], encoding: Encoding) -> SOp:
    """The node of a class from its arguments, in the order of `ARGUMENTS`. Maps of maps stay two; a numerical aggregate
    gives 0 where nothing is selected, a categorical one None."""
    node: SOp
    match kind, tuple(parts):
        case "Map", (Function() as f, SOp() as x):
            node = Map(f, x, simplify=False)
        case "SequenceMap", (Function() as f, SOp() as x, SOp() as y):
            node = SequenceMap(f, x, y)
        case "LinearSequenceMap", (SOp() as x, SOp() as y, int() as a, int() as b):
            node = LinearSequenceMap(x, y, a, b)
        case "SelectAggregate", (SOp() as keys, SOp() as queries, Comparison() as comparison, SOp() as value):
            node = Aggregate(Select(keys, queries, comparison), value, 0 if encoding == "numerical" else None)
        case "SelectorWidth", (SOp() as keys, SOp() as queries, Comparison() as comparison):
            node = SelectorWidth(Select(keys, queries, comparison))
        case _:
            raise TypeError(f"{kind} does not take {parts}")
    node.encoding = encoding
    return node
