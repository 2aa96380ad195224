"""Decoding beside brute force, and verdicts on candidates that are known to be right or wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.metamodel.architecture import Metamodel, Size
from engine.rasp.metamodel.data import Corpus, Row, Source
from engine.rasp.metamodel.decoding import BEGIN, END, Written, beam, greedy, sample
from engine.rasp.metamodel.evaluation import Scored, score, shares
from engine.rasp.metamodel.training import right
from engine.rasp.metamodel.verified import Target, check, check_all
from engine.rasp.model import to_transformer
from engine.rasp.rotation import rotated
from engine.rasp.sampling.tokens import VOCABULARY, detokenise
from tests.engine.rasp.metamodel.conftest import SOURCE, TINY

NARROW = Size(m=64, d=16, layers=2, heads=2, mlp=32, r=8)


def test_greedy_writes_back_what_was_learnt(learnt: Metamodel, corpus: Corpus) -> None:
    weights, _ = corpus.batch(np.arange(10))
    assert [w.tokens for w in greedy(learnt, weights)] == corpus.tokens_of


def test_greedy_is_right_exactly_where_every_token_is_predicted_after_the_right_ones(corpus: Corpus) -> None:
    from engine.rasp.metamodel.training import Recipe, Training

    model = Training(TINY, Recipe(steps=110, batch=10, lr=3e-3, validate_every=200), corpus, corpus).run()
    hits, _ = right(model, corpus, np.arange(10))
    weights, _ = corpus.batch(np.arange(10))
    exact = [w.tokens == tokens for w, tokens in zip(greedy(model, weights), corpus.tokens_of)]
    assert exact == [hit == count for hit, count in hits]


@torch.inference_mode()
def _log_probabilities(
    model: Metamodel, weights: torch.Tensor, every: list[tuple[int, ...]]
) -> dict[tuple[int, ...], float]:
    """Of sequences of two and three tokens, each computed whole."""
    found: dict[tuple[int, ...], float] = {}
    for length in (2, 3):
        some = [tokens for tokens in every if len(tokens) == length]
        for begin in range(0, len(some), 500):
            part = torch.tensor(some[begin : begin + 500])
            chances = model(weights.expand(len(part), -1, -1), part).double().log_softmax(dim=-1)
            own = chances[:, :-1].gather(2, part[:, 1:, None])[..., 0].sum(dim=1)
            found |= dict(zip(some[begin : begin + 500], own.tolist()))
    return found


def test_beam_search_as_wide_as_the_vocabulary_finds_the_likeliest() -> None:
    torch.manual_seed(0)
    model = Metamodel(NARROW).eval()
    with torch.no_grad():  # far from uniform, else all are alike
        model.unembed.weight *= 40
    weights = torch.randn(2, NARROW.pieces, NARROW.d)
    width = len(VOCABULARY)
    found = beam(model, weights, width, most=3)
    for row, some in enumerate(found):
        one = weights[row : row + 1]
        every = [(BEGIN, END), *((BEGIN, a, b) for a, b in itertools.product(range(width), repeat=2) if a != END)]
        wanted = _log_probabilities(model, one, every)
        ended = sorted((t for t in every if t[-1] == END), key=lambda t: -wanted[t])
        best = sorted(wanted.values(), reverse=True)[:width]
        np.testing.assert_allclose(sorted((w.log_probability for w in some), reverse=True), best, rtol=1e-4)
        assert all(w.log_probability == pytest.approx(wanted[w.tokens], rel=1e-4) for w in some)
        told = [w.tokens for w in some if w.ended]
        assert told == [t for t in ended if t in told]
        assert [w.ended for w in some] == sorted((w.ended for w in some), reverse=True)


def test_beams_of_one_are_greedy_and_wider_ones_are_likelier(learnt: Metamodel, corpus: Corpus) -> None:
    weights, _ = corpus.batch(np.arange(5))
    first = greedy(learnt, weights)
    for one, some in zip(first, beam(learnt, weights, 1)):
        assert some[0].tokens == one.tokens
        assert some[0].log_probability == pytest.approx(one.log_probability, abs=1e-4)
    for one, some in zip(first, beam(learnt, weights, 4)):
        assert some[0].log_probability >= one.log_probability - 1e-6


def test_samples_follow_the_probabilities(corpus: Corpus) -> None:
    model = Metamodel(TINY).eval()
    with torch.no_grad():
        model.unembed.weight *= 40
    weights, _ = corpus.batch(np.array([0]))
    chances = model(weights, torch.tensor([[BEGIN]])).softmax(dim=-1)[0, 0]
    generator = torch.Generator().manual_seed(0)
    likeliest = int(chances.argmax())
    drawn = [sample(model, weights, 1, 1.0, generator, most=2)[0].tokens[1] for _ in range(300)]
    share = float(chances[likeliest])
    assert abs(drawn.count(likeliest) / 300 - share) < 5 * np.sqrt(share * (1 - share) / 300) + 1e-9
    again = sample(model, weights, 20, 1.0, torch.Generator().manual_seed(3), most=4)
    assert again == sample(model, weights, 20, 1.0, torch.Generator().manual_seed(3), most=4)
    assert [w.log_probability for w in again] == sorted((w.log_probability for w in again), reverse=True)
    assert len({w.tokens for w in again}) == len(again)


DOMAIN = Domain((0, 1, 2), 3)


def _words(text: str) -> Written:
    return Written(tuple(VOCABULARY.encode(text.split("|"))), -1.0)


def _program(*operations: str) -> Written:
    """Half layers, separated as the tokens have them."""
    return _words("|".join(["BOS", *operations, "EOS"]))


EQUAL = "sop_00|categorical|SelectorWidth|sop_10_tokens|sop_10_tokens|EQ|EOO|EOL|EOL"
LEAST = "sop_00|categorical|SelectorWidth|sop_10_tokens|sop_10_tokens|LT|EOO|EOL|EOL"


def test_verdicts() -> None:
    target = Target.of(compile_program(detokenise(_program(EQUAL).tokens), DOMAIN))
    assert check(target, _program(EQUAL)).kind == "same weights"
    other = check(target, _program(LEAST))
    assert other.kind == "differs"
    assert other.why == "[0] gives [0], not [1]"
    assert check(target, _words("BOS|sop_00|EOS")).kind == "malformed"
    assert "token 2" in check(target, _words("BOS|sop_00|EOS")).why
    no_tokens = _program("EOL|sop_00|categorical|Map|lambda x: x + 1|sop_11_indices|EOO|EOL")
    assert check(target, no_tokens).kind == "does not compile"
    found = check_all(target, [no_tokens, _program(LEAST), _program(EQUAL)])
    assert [c.kind for c in found] == ["same weights", "differs", "does not compile"]
    assert [c.verified for c in found] == [True, False, False]


def test_another_program_of_the_same_behaviour_is_equal_on_all_inputs() -> None:
    """Equality of x > 1 and of x == 2 over 0, 1, 2; and a width counted the other way round."""
    flipped = "sop_00|categorical|SelectorWidth|sop_10_tokens|sop_10_tokens|GT|EOO|EOL|EOL"
    twice = (
        "EOL|sop_00|categorical|Map|lambda x: x + 1|sop_10_tokens|EOO|EOL|"
        "sop_01|categorical|SelectorWidth|sop_00|sop_00|GT|EOO|EOL|EOL"
    )
    target = Target.of(compile_program(detokenise(_program(flipped).tokens), DOMAIN))
    found = check(target, _program(twice))
    assert (found.kind, found.why) == ("equal on all inputs", "on 39 inputs")
    assert check(target, _program(twice), behaviour=False).kind == "differs"


def test_a_target_in_another_basis_is_known_by_its_behaviour(rows: list[Row]) -> None:
    rng = np.random.default_rng(0)
    for row in rows[:5]:
        plain = compile_program(detokenise(row.tokens), DOMAIN)
        turned = Target.of(rotated(plain, rng))
        right_one = check(turned, Written(row.tokens, 0.0))
        assert right_one.kind in ("equal on all inputs", "equal where defined"), right_one
        wrong = [check(turned, Written(other.tokens, 0.0)).kind for other in rows if other.tokens != row.tokens]
        assert "differs" in wrong


def test_none_is_not_a_wildcard() -> None:
    """A program that says None nearly everywhere is not taken for another."""
    nothing = (
        "sop_00|categorical|SelectAggregate|sop_10_tokens|sop_11_indices|LT|sop_10_tokens|EOO|EOL|EOL"  # None at 0
    )
    every = "sop_00|categorical|SelectAggregate|sop_11_indices|sop_11_indices|EQ|sop_10_tokens|EOO|EOL|EOL"
    domain = Domain((0, 1), 2)
    first, second = _program(nothing), _program(every)
    for a, b in itertools.product((first, second), repeat=2):
        target = Target.of(compile_program(detokenise(a.tokens), domain))
        assert check(target, b).verified == (a is b)


def test_a_model_of_the_workbench_is_a_target_too() -> None:
    from engine.models.weights import state_dict

    compiled = compile_program(detokenise(_program(EQUAL).tokens), DOMAIN)
    model = to_transformer(compiled)
    state = {name: w.numpy() for name, w in state_dict(model.config, model.weights).items()}
    target, wanted = Target.of_model(model, state), Target.of(compiled)
    np.testing.assert_array_equal(target.vector, wanted.vector)
    assert target.sizes == wanted.sizes
    assert target.behaviour == wanted.behaviour
    assert check(target, _program(EQUAL)).kind == "same weights"


def test_scores_by_length(learnt: Metamodel, rows: list[Row]) -> None:
    found = score(
        learnt,
        rows,
        Source(plan=SOURCE.plan),
        width=2,
        candidates=3,
        temperature=0.5,
        generator=torch.Generator().manual_seed(0),
    )
    assert all(s.greedy and s.beam and s.sampled and s.verified and s.right == s.of_tokens for s in found)
    assert [s.length for s in found] == [row.length for row in rows]
    made = [Scored(5, 9, 10, False, True, True, True, 4), Scored(5, 10, 10, True, True, True, True, 4),
            Scored(8, 5, 20, False, False, False, False, 4)]  # fmt: skip
    by_length = shares(made, dense=False)
    assert [(s.length, s.programs, s.greedy, s.published) for s in by_length] == [
        (5, 2, 0.5, 0.80),
        (8, 1, 0.0, 0.263),
        (0, 3, 1 / 3, 0.60),
    ]
    assert by_length[0].tokens == 0.95
    assert shares(made, dense=True)[-1].published == 0.77
