import msgspec
import pytest
import torch

from engine.models.protocols import Tokenizer
from engine.prompts.tokenized import look, tokenize
from sessions.artifacts import PromptRow, Prompts
from sessions.errors import CallError


def row(**fields: object) -> PromptRow:
    base = {"clean": "if all cat are dog", "corrupt": "if all cat are fox", "answers": (" emu",), "foils": (" cat",)}
    return msgspec.convert(base | fields, PromptRow)


def test_bos_is_put_first_and_the_last_token_is_scored(words: Tokenizer) -> None:
    batch = tokenize([row(), row(clean="if all cat", answers=(" fox",))], words, n_ctx=8)
    assert batch.tokens.shape == (2, 6)
    assert batch.tokens[:, 0].tolist() == [words.bos_id] * 2
    assert batch.tokens[1].tolist() == [words.bos_id, *words.encode("if all cat"), 0, 0]
    assert batch.lengths.tolist() == [6, 4]
    assert batch.at.tolist() == [[5], [3]]
    assert batch.answers.tolist() == [words.encode("emu"), words.encode("fox")]
    assert batch.corrupt is None
    assert batch.foils is None


def test_what_is_needed_is_filled(plain_words: Tokenizer) -> None:
    batch = tokenize([row()], plain_words, n_ctx=8, need_corrupt=True, need_foils=True)
    assert batch.tokens[0].tolist() == plain_words.encode("if all cat are dog")
    assert batch.corrupt is not None
    assert batch.corrupt[0].tolist() == plain_words.encode("if all cat are fox")
    assert batch.foils is not None
    assert batch.foils.tolist() == [plain_words.encode("cat")]


@pytest.mark.parametrize("name", ["words", "plain_words"])
def test_a_scored_part_is_predicted_token_by_token(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    scored = row(clean="cat dog cat dog", corrupt="cat dog emu fox", scored_from=2, spans={"scored": (7, 15)})
    batch = tokenize([scored, scored], tokenizer, n_ctx=8, need_foils=True)
    assert batch.answers.tolist() == [tokenizer.encode("cat dog")] * 2
    assert batch.foils is not None
    assert batch.foils.tolist() == [tokenizer.encode("emu fox")] * 2
    following = torch.gather(batch.tokens, 1, batch.at + 1)
    assert torch.equal(following, batch.answers)


def test_several_answers_are_kept_beside_the_first(plain_words: Tokenizer) -> None:
    batch = tokenize([row(answers=("emu", "fox")), row(answers=("dog",))], plain_words, n_ctx=8, need_foils=True)
    assert batch.answers[:, 0].tolist() == [plain_words.encode("emu")[0], plain_words.encode("dog")[0]]
    assert batch.all_answers is not None
    assert batch.all_answers.tolist() == [
        [plain_words.encode("emu")[0], plain_words.encode("fox")[0]],
        [plain_words.encode("dog")[0], -1],
    ]


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([], {}, ["empty"]),
        ([row(), row()], {"n_ctx": 5}, ["row 1", "6 tokens", "holds 5"]),
        ([row(), row(answers=(" cat dog",))], {}, ["row 2", "not one token", "'cat' | 'dog'"]),
        ([row(), row(clean="if the zebra")], {}, ["row 2", "zebra"]),
        ([row(answers=())], {}, ["row 1", "no answer"]),
        ([row(foils=())], {"need_foils": True}, ["row 1", "no foil"]),
        ([row(corrupt="")], {"need_corrupt": True}, ["row 1", "no corrupt"]),
        (
            [row(corrupt="if all cat fox")],
            {"need_corrupt": True},
            ["row 1", "6 tokens", "partner 5", "token 4", "'are'"],
        ),
        ([row(clean="   ")], {}, ["row 1", "empty"]),
        ([row(), row(scored_from=2)], {}, ["row 2", "mixes"]),
        ([row(scored_from=2), row(scored_from=3)], {}, ["row 2", "3 tokens", "4"]),
        ([row(scored_from=9)], {}, ["row 1", "token 9"]),
    ],
)
def test_a_mistake_names_the_row_and_the_numbers(
    rows: list[PromptRow], options: dict[str, int], said: list[str], words: Tokenizer
) -> None:
    with pytest.raises(CallError) as caught:
        tokenize(rows, words, **({"n_ctx": 16} | options))
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_needed_is_not_checked(words: Tokenizer) -> None:
    tokenize([row(corrupt="if all cat fox", foils=("no such",))], words, n_ctx=16)


def test_positions_are_found_in_subword_tokens_and_move_with_bos(
    words: Tokenizer, plain_words: Tokenizer, pieces: Tokenizer
) -> None:
    clean = "if all emu are cat"
    prompts = Prompts(
        title="t",
        task="tpp",
        rows=(
            PromptRow(
                clean=clean,
                corrupt="if all dog are cat",
                answers=(" dog",),
                spans={"a1": (7, 10), "a1+1": (7, 10), "b1": (15, 18)},
            ),
        ),
    )
    seen = look(prompts, pieces, 32).rows[0]
    assert seen.clean_tokens == ("if", " all", " e", "mu", " are", " cat")
    assert seen.positions == {"a1": 3, "a1+1": 4, "b1": 5, "end": 5}
    assert "6 tokens" in seen.problem
    assert "part at token 2" in seen.problem
    again = look(prompts, words, 32).rows[0]
    assert again.positions == {"a1": 3, "a1+1": 4, "b1": 5, "end": 5}
    assert again.clean_tokens[0] == "<bos>"
    assert again.problem == ""
    assert look(prompts, plain_words, 32).rows[0].positions["a1"] == 2


def test_only_the_first_token_is_scored_when_the_row_says_so(pieces: Tokenizer) -> None:
    long = row(clean="if all ", answers=("emu",), first_token_only=True)
    with pytest.raises(CallError, match="not one token"):
        tokenize([msgspec.structs.replace(long, first_token_only=False)], pieces, n_ctx=16)
    assert tokenize([long], pieces, n_ctx=16).answers.shape == (1, 1)


def test_looking_says_what_is_wrong_without_raising(words: Tokenizer) -> None:
    prompts = Prompts(title="t", task="own", rows=(row(), row(clean="the zebra"), row(answers=("zebra",))))
    seen = look(prompts, words, 32)
    assert seen.tokenizer == words.name
    assert [bool(r.problem) for r in seen.rows] == [False, True, True]
    assert "zebra" in seen.rows[1].problem
