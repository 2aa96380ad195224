"""Token sequences: written by hand from the definition, and there and back for sampled programs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    indices,
    numerical,
    tokens,
)
from engine.rasp.sampling.sampler import Sampler
from engine.rasp.sampling.tokens import VOCABULARY, Vocabulary, detokenise, half_layers, read, tokenise, words
from sessions.errors import CallError


def _sort() -> SOp:
    smaller = SelectorWidth(Select(tokens, tokens, Comparison.LT))
    return Aggregate(Select(smaller, indices, Comparison.EQ), tokens)


SORT = (
    "BOS sop_00|categorical|SelectorWidth|sop_10_tokens|sop_10_tokens|LT|EOO EOL EOL "
    "sop_01|categorical|SelectAggregate|sop_00|sop_11_indices|EQ|sop_10_tokens|EOO EOL EOL EOS"
).replace(" ", "|")


def test_the_vocabulary_has_the_published_groups() -> None:
    sizes = {name: len(ids) for name, ids in VOCABULARY.groups.items()}
    assert list(sizes.items()) == [
        ("special", 5),
        ("class", 5),
        ("encoding", 2),
        ("variable", 10),
        ("function", 25),
        ("factor", 6),
        ("comparison", 7),
        ("input", 2),
    ]
    assert len(VOCABULARY) == 62
    assert VOCABULARY.words[:5] == ("PAD", "BOS", "EOS", "EOO", "EOL")
    functions = [VOCABULARY.words[i] for i in VOCABULARY.groups["function"]]
    assert functions == sorted(functions)
    assert VOCABULARY.words[-2:] == ("sop_10_tokens", "sop_11_indices")


def test_sort_as_words() -> None:
    assert words(_sort()) == SORT.split("|")


def test_operations_of_a_half_layer_are_numbered_by_their_text() -> None:
    first = Map(Function.parse("lambda x: x + 1"), tokens)
    second = numerical(Map(Function.parse("lambda x: x * 2"), indices))
    third = numerical(Map(Function.parse("lambda x: x"), tokens))
    program = LinearSequenceMap(second, third, 2, -1)
    program.encoding = "numerical"
    assert " ".join(words(program)).replace("lambda x: ", "") == (
        "BOS EOL sop_00 numerical Map x sop_10_tokens EOO sop_01 numerical Map x * 2 sop_11_indices EOO EOL "
        "EOL sop_02 numerical LinearSequenceMap sop_01 sop_00 2 -1 EOO EOL EOS"
    )
    assert "categorical" in words(SequenceMap(Function.parse("lambda x, y: x - y"), first, indices))


def test_an_aggregate_and_the_map_of_it_share_a_layer() -> None:
    shifted = Aggregate(Select(indices, indices, Comparison.LT), tokens)
    mapped = Map(Function.parse("lambda x: x + 1"), shifted)
    again = Map(Function.parse("lambda x: x - 1"), mapped, simplify=False)
    assert half_layers(again) == {shifted: 0, mapped: 1, again: 3}


def test_there_and_back() -> None:
    sampler = Sampler(np.random.default_rng(5))
    for i in range(150):
        one = sampler.program(4 + i % 7)
        ids = list(one.tokens)
        assert ids == tokenise(one.program)
        assert ids.count(VOCABULARY.ids["EOL"]) % 2 == 0
        assert ids.count(VOCABULARY.ids["EOO"]) == one.operations
        assert tokenise(detokenise(ids)) == ids
        assert tokenise(detokenise([*ids, 0, 0])) == ids
        assert max(half_layers(one.program).values()) < ids.count(VOCABULARY.ids["EOL"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("BOS|sop_00", "sop_00", "belongs"),
        ("|EOS", "", "ends too early"),
        ("|EOO|EOL|EOL|EOS", "", "ends too early"),
        ("EOL|EOL|sop_01", "EOL|sop_01", "MLP half layer"),
        ("EOL|EOL|EOS", "EOL|EOS", "pairs"),
        ("SelectAggregate|sop_00", "SelectAggregate|sop_05", "sop_05 is not defined yet"),
        ("sop_01|categorical", "sop_00|categorical", "sop_00 is defined already"),
        ("|LT|", "|3|", "a comparison belongs"),
        ("SelectorWidth|sop_10_tokens", "SelectorWidth|EQ", "an s-op belongs"),
        ("sop_00|categorical", "sop_00", "an encoding belongs"),
        ("categorical|SelectorWidth", "categorical|BOS", "a class belongs"),
        ("EOS", "EOS|BOS", "PAD belongs"),
        (SORT, "BOS|EOL|EOL|EOS", "no operation"),
        (SORT, "BOS|EOL|sop_00|categorical|Map|lambda x, y: x - y|sop_10_tokens|EOO|EOL|EOS", "one value"),
        (SORT, "", "ends too early"),
    ],
)
def test_a_malformed_sequence_is_a_clear_error(old: str, new: str, says: str) -> None:
    changed = SORT.replace(old, new, 1)
    with pytest.raises(CallError, match=says):
        detokenise(VOCABULARY.encode(changed.split("|") if changed else []))


@pytest.mark.filterwarnings("ignore:sequence_map of an s-op with itself")
def test_no_sequence_breaks_the_reader() -> None:
    """Words changed, dropped and doubled at random: a CallError, or a program that can be written again."""
    rng = np.random.default_rng(0)
    sampler = Sampler(rng)
    parsed = 0
    for _ in range(600):
        ids = list(sampler.program(5).tokens)
        at = int(rng.integers(len(ids)))
        match int(rng.integers(4)):
            case 0:
                ids[at] = int(rng.integers(-1, len(VOCABULARY) + 1))
            case 1:
                group = next(ids_of for ids_of in VOCABULARY.groups.values() if ids[at] in ids_of)
                ids[at] = int(rng.choice(group))
            case 2:
                del ids[at]
            case _:
                ids.insert(at, ids[int(rng.integers(len(ids)))])
        try:
            program = detokenise(ids)
        except CallError:
            continue
        parsed += 1
        again = tokenise(program)
        assert tokenise(detokenise(again)) == again
    assert parsed > 20


def test_programs_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(CallError, match="lambda x: x \\+ 7"):
        tokenise(Map(Function.parse("lambda x: x + 7"), tokens))
    with pytest.raises(CallError, match="FALSE"):
        tokenise(SelectorWidth(Select(tokens, tokens, Comparison.FALSE)))
    with pytest.raises(CallError, match="plain comparison"):
        tokenise(SelectorWidth(~Select(tokens, tokens, Comparison.EQ)))
    long: SOp = tokens
    for _ in range(11):
        long = Map(Function.parse("lambda x: x + 1"), long, simplify=False)
    with pytest.raises(CallError, match="11 operations"):
        tokenise(long)


def test_another_pool_makes_another_vocabulary() -> None:
    own = Vocabulary([Function.parse("lambda x: x + 7")])
    assert len(own) == 62 - 25 + 1
    program = Map(Function.parse("lambda x: x + 7"), tokens)
    assert tokenise(detokenise(tokenise(program, own), own), own) == tokenise(program, own)


def test_every_variable_of_a_reading_is_an_s_op() -> None:
    reading = read(SORT.split("|"))
    assert list(reading.variables) == ["sop_00", "sop_01"]
    assert reading.variables["sop_01"] is reading.program
