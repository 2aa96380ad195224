"""Listings are read, and every mistake is one sentence at its place."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rasp.interpreter import evaluate
from engine.rasp.language import Both, Comparison, Map, Select, SelectorAnd, SequenceMap, labels, nodes
from engine.rasp.printing import same_program
from engine.rasp.syntax import RaspSyntaxError, parse


def test_a_listing_of_the_paper() -> None:
    program = parse(
        "same_tok = select(tokens, tokens, ==);  # bare comparisons are arguments\nhist = selector_width(same_tok);\n"
    )
    assert evaluate(program, ["a", "b", "a"]) == [2, 1, 2]
    assert set(labels(program).values()) == {"hist_1", "same_tok_2", "tokens"}


def test_tracrs_spelling_says_the_same() -> None:
    ours = """
        prevs = select(indices, indices, <=)
        is_a = numerical(tokens == "a")
        frac = numerical(aggregate(prevs, is_a, default=0))
        return frac
    """
    theirs = '''
        """A docstring."""
        from tracr.rasp import rasp
        prevs = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ)
        is_a = rasp.numerical(rasp.Map(lambda t: t == "a", rasp.tokens))
        frac: rasp.SOp = rasp.numerical(rasp.Aggregate(selector=prevs, sop=is_a, default=0))
    '''
    assert same_program(parse(ours), parse(theirs))
    assert evaluate(parse(ours), ["a", "b"]) == [True, 0.5]


@pytest.mark.parametrize("sign", [c.value for c in Comparison])
def test_every_comparison(sign: str) -> None:
    program = parse(f"selector_width(select(tokens, indices, {sign}))")
    (select,) = [n for n in nodes(program) if isinstance(n, Select)]
    assert select.predicate is Comparison(sign)
    by_name = parse(f"selector_width(rasp.Select(tokens, indices, rasp.Comparison.{Comparison(sign).name}))")
    assert same_program(program, by_name)
    text = parse(f'selector_width(select(tokens, indices, predicate="{sign}"))')
    assert same_program(program, text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tokens + 1", [2, 3]),
        ("1 - tokens", [0, -1]),
        ("2 / tokens", [2.0, 1.0]),
        ("-tokens", [-1, -2]),
        ("tokens * (1 / 2)", [0.5, 1.0]),
        ("tokens >= 2", [False, True]),
        ("2 > tokens", [True, False]),
        ("~(tokens == 1)", [False, True]),
        ("(tokens == 1) | (tokens == 2)", [True, True]),
        ("length - indices - 1", [1, 0]),
        ("full('a')", ["a", "a"]),
        ("constant([3, 'b'])", [3, "b"]),
        ("k = 10\nmap(lambda x: x * k, tokens)", [10, 20]),
        ("sequence_map(max, tokens, indices)", [1, 2]),
        ("map(lambda x: {1: 'one', 2: 'two'}[x], tokens)", ["one", "two"]),
        ("linear_sequence_map(tokens, indices, 2, -3)", [2, 1]),
        ("x = tokens\nx = x + 1\nx = x + 1", [3, 4]),
        ("tokens == '=='", [False, False]),
    ],
)
def test_expressions(text: str, wanted: list[object]) -> None:
    found = evaluate(parse(text), [1, 2])
    assert found == wanted
    assert [type(v) for v in found] == [type(v) for v in wanted]


def test_names_come_from_assignments() -> None:
    program = parse("a = tokens == 1\nb = a\nmap_7 = b & a.named('c')\nreturn map_7")
    assert isinstance(program, SequenceMap)
    assert program.name == "map_7"  # not a map: a name like any other
    assert [n.name for n in program.inputs] == ["a", "c"]
    assert parse("map_7 = tokens == 1").name == "map"  # as labels write it: no name of its own
    assert parse("x = (tokens == 1).named('y')").name == "y"
    assert parse("x = numerical(tokens == 1)").name == "x"


def test_maps_fuse_unless_told() -> None:
    assert len(nodes(parse("map(lambda x: x + 1, map(lambda x: x * 2, tokens))"))) == 2
    assert len(nodes(parse("map(lambda x: x + 1, map(lambda x: x * 2, tokens), simplify=False)"))) == 3


def test_selectors_combine() -> None:
    (one,) = parse("selector_width(select(tokens, indices, <) & ~select(tokens, indices, ==))").inputs
    assert isinstance(one, Select)
    assert isinstance(one.predicate, Both)
    (two,) = parse("selector_width(select(tokens, indices, <) & select(tokens, tokens, ==))").inputs
    assert isinstance(two, SelectorAnd)


def test_places() -> None:
    program = parse("é = tokens == 'é'\nb = é | map(str, indices)")
    assert (program.line, program.column) == (2, 5)
    assert [(n.line, n.column) for n in program.inputs] == [(1, 5), (2, 9)]
    assert isinstance(program.inputs[1], Map)


@pytest.mark.parametrize(
    ("text", "line", "column", "length", "says"),
    [
        ("x = slect(tokens, tokens, ==)", 1, 5, 5, "'slect' is not an operation; did you mean 'select'?"),
        ("a = 1\n\ntoke", 3, 1, 4, "'toke' is not defined; did you mean 'tokens'?"),
        ("selector_width(select(tokens, tokens))", 1, 16, 22, "select is missing 'predicate'"),
        ("selector_width(select(tokens, tokens, ==, <))", 1, 43, 1, "select takes 3 arguments"),
        ("aggregate(tokens, tokens)", 1, 11, 6, "must be a selector, and 'tokens' is an s-op"),
        (
            "é = 'é'; map(lambda x: x, select(tokens, tokens, <=))",
            1,
            27,
            26,
            "'select(tokens, tokens, <=)' is a selector",
        ),
        ("a = tokens\nb = tokens == a", 2, 5, 11, "'==' compares an s-op with a constant"),
        ("select(tokens, tokens, ==)", 1, 1, 26, "the program ends in a selector"),
        ("select(tokens, tokens, ==) & tokens", 1, 30, 6, "a selector and 'tokens' cannot be combined"),
        ("select(tokens, tokens, ==) + select(tokens, tokens, <)", 1, 1, 54, "'+' does not apply to selectors"),
        ("selector_width(select(tokens, 'a', ==))", 1, 31, 3, "'a' is a constant; write full('a')"),
        ("selector_width(select(tokens, tokens, EG))", 1, 39, 2, "'EG' is not a comparison"),
        ("selector_width(select(tokens, tokens, indices))", 1, 39, 7, "is a comparison, and 'indices' is none"),
        ("rasp.Select(tokens, tokens, rasp.Comparison.EG)", 1, 29, 18, "'EG' is not a comparison; did you mean"),
        ("map(lambda x, y: x, tokens)", 1, 5, 14, "the function of map takes one value, not 2"),
        ("map(lambda x: y + 1, tokens)", 1, 15, 1, "'y' is not defined in the function"),
        ("map(lambda x: x + indices, tokens)", 1, 19, 7, "'indices' is an s-op"),
        ("map(lambda x: x.real, tokens)", 1, 5, 16, "'x.real' cannot be used in a function"),
        ("map(lambda x: open(x), tokens)", 1, 15, 4, "'open' cannot be called in a function"),
        ("map(lambda x=1: x, tokens)", 1, 5, 13, "a function takes plain parameters"),
        ("map(tokens, tokens)", 1, 5, 6, "is a function, and 'tokens' is none"),
        ("tokens and indices", 1, 1, 18, "'and' does not combine s-ops; write &"),
        ("not tokens", 1, 1, 10, "write ~"),
        ("1 < tokens < 3", 1, 1, 14, "cannot be chained"),
        ("tokens % 2", 1, 1, 10, "map(lambda x: x % 2, s)"),
        ("tokens in (1, 2)", 1, 1, 16, "'in' and 'is' do not apply"),
        ("tokens.nmaed('x')", 1, 1, 17, "'.nmaed' is not known"),
        ("aggregate(select(tokens,tokens,==), tokens, defalt=0)", 1, 45, 8, "did you mean 'default'?"),
        ("linear_sequence_map(tokens, indices, '2', 1)", 1, 38, 3, "'2' is not a number"),
        ("for x in tokens: pass", 1, 1, 21, "'for' does not begin a statement"),
        ("tokens = 3", 1, 1, 6, "'tokens' has a meaning of its own"),
        ("tokens()", 1, 1, 8, "'tokens' cannot be called"),
        ("map", 1, 1, 3, "an operation without its arguments"),
        ("import os", 1, 1, 9, "imports are not read"),
        ("return tokens\nx = tokens", 2, 1, 10, "nothing after 'return' is read"),
        ("x = (tokens", 1, 5, 1, "'(' was never closed"),
        ("x = 'abc", 1, 5, 1, "unterminated string"),
        ("x = tokens +", 1, 13, 1, "the line ends too early"),
        ("    x = tokens\n    y = toke", 2, 9, 4, "'toke' is not defined"),
        ("x = tokens\n  y = x", 2, 2, 1, "the line is indented"),
        ("tokens == ==", 1, 11, 2, "'==' is not expected here"),
        ("", 1, 1, 1, "the program is empty"),
        ("x = 3", 1, 1, 1, "the program is empty"),
        ("(" * 1000, 1, 201, 1, "too many nested"),
        ("-" * 3000 + "tokens", 1, 1, 1, "nested too deeply"),
        ("'a' * 10 ** 9", 1, 7, 7, "cannot be worked out"),
        ("1 / 0", 1, 1, 5, "division by zero"),
    ],
)
def test_mistakes(text: str, line: int, column: int, length: int, says: str) -> None:
    with pytest.raises(RaspSyntaxError) as caught:
        parse(text)
    error = caught.value
    assert says in error.message
    assert (error.line, error.column, error.length) == (line, column, length)
    assert "\n" not in str(error)
    again = copy.copy(error)  # as it crosses to another process
    assert str(again) == str(error) == f"line {line}, column {column}: {error.message}"


WORDS = "tokens indices select aggregate map lambda x : , ( ) == < <= ~ & | + - * / = 1 'a' \" # ; . return é \0 [ ] \n"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split(" "))))
def test_any_text_is_a_program_or_a_mistake(words: list[str]) -> None:
    text = " ".join(words)
    try:
        parse(text)
    except RaspSyntaxError as found:
        error = found
    else:
        return
    assert 1 <= error.line <= text.count("\n") + 1
    assert error.column >= 1
    assert error.length >= 1


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("a = map(lambda x: x * x, a)", "simplify=False"),
        ("s = s & s", "too many"),
        ("s = ~s", "too many"),
    ],
)
def test_what_doubles_with_every_line_is_stopped_on_its_line(step: str, says: str) -> None:
    lines = ["a = tokens", "s = select(tokens, tokens, ==)", *[step] * 400, "a + selector_width(s)"]
    with pytest.raises(RaspSyntaxError, match=says) as told:
        parse("\n".join(lines))
    assert 5 < told.value.line < 300


def test_strings_without_an_end_cost_nothing() -> None:
    """Each was looked for to the end of the text, 50,000 times."""
    with pytest.raises(RaspSyntaxError):
        parse("a = " + '\\"' * 50_000)
