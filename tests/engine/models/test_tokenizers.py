"""Words and subwords to ids and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from engine.models.protocols import Tokenizer
from engine.models.tokenizers import CheckpointTokenizer, FileTokenizer, WordTokenizer, read_tokenizer
from sessions.errors import CallError
from tests.engine.models.conftest import WORDS

LINES = ["When Mary and John went to the store, John gave a drink to Mary"] * 4


def byte_level() -> tokenizers.Tokenizer:
    """As GPT-2 and Pythia have."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        LINES,
        trainers.BpeTrainer(vocab_size=320, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False),
    )
    return inner


def sentence_pieces() -> tokenizers.Tokenizer:
    """As Llama 2 has: a space before the text, written as a low line, and <s> before everything."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    inner.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>"], show_progress=False)
    )
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return inner


def wrapped(inner: tokenizers.Tokenizer, bos: str, size: int = 1000) -> CheckpointTokenizer:
    from transformers import PreTrainedTokenizerFast

    return CheckpointTokenizer(PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=bos), "tiny", size)


def test_words_are_split_at_white_space_with_or_without_a_leading_one() -> None:
    words = WordTokenizer(WORDS, "<bos>")
    assert words.encode(" Mary") == words.encode("Mary") == [1]
    assert words.encode("Mary went  to\nthe store") == [1, 9, 6, 7, 8]
    assert words.decode([1, 9, 6]) == "Mary went to"
    assert words.token_texts([0, 8]) == ["<bos>", "store"]
    assert words.bos_id == 0
    assert WordTokenizer(WORDS).bos_id is None


def test_an_unknown_word_is_named_with_its_neighbours() -> None:
    with pytest.raises(CallError, match="'stores' is not in the model's vocabulary; nearest: store"):
        WordTokenizer(WORDS).encode("to the stores")
    with pytest.raises(CallError, match="it knows 10 words, such as Mary"):
        WordTokenizer(WORDS).encode("xyzzyx")


@pytest.mark.parametrize(
    ("vocab", "bos", "said"),
    [(["a", "b", "a"], None, "'a' twice"), ([], None, "empty"), (["a"], "<s>", "does not hold")],
)
def test_a_vocabulary_that_is_none_is_refused(vocab: list[str], bos: str | None, said: str) -> None:
    with pytest.raises(CallError, match=said):
        WordTokenizer(vocab, bos)


def test_byte_level_tokens_keep_their_space_and_nothing_goes_before_them() -> None:
    tokenizer = wrapped(byte_level(), "<|end|>")
    ids = tokenizer.encode("When Mary gave")
    assert tokenizer.token_texts(ids) == ["When", " Mary", " gave"]
    assert tokenizer.decode(ids) == "When Mary gave"
    assert tokenizer.encode(" Mary") != tokenizer.encode("Mary")
    assert tokenizer.bos_id is None


def test_fragments_of_a_character_are_still_shown() -> None:
    tokenizer = wrapped(byte_level(), "<|end|>")
    ids = tokenizer.encode("é")
    assert len(ids) == 2
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(tokenizer.token_texts(ids))
    assert tokenizer.decode(ids) == "é"


def test_a_token_without_an_embedding_is_told() -> None:
    with pytest.raises(CallError, match=r"token 'W' has id \d+, and the model knows 5 tokens"):
        wrapped(byte_level(), "<|end|>", size=5).encode("W")


def test_sentence_pieces_begin_with_their_mark_and_add_the_space_themselves() -> None:
    tokenizer = wrapped(sentence_pieces(), "<s>")
    assert tokenizer.bos_id == 1
    assert tokenizer.encode(" Mary") == tokenizer.encode("Mary")
    assert tokenizer.token_texts(tokenizer.encode("Mary gave a drink")) == [" Mary", " gave", " a", " drink"]


def test_a_tokenizer_file_beside_the_weights(tmp_path: Path) -> None:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    tokenizer = read_tokenizer({"type": "tokenizers", "bos": "<|end|>"}, tmp_path, "mine")
    assert isinstance(tokenizer, FileTokenizer)
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.bos_id == 0
    assert tokenizer.token_texts(tokenizer.encode("When Mary")) == ["When", " Mary"]
    assert tokenizer.decode(tokenizer.encode("a drink")) == "a drink"


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (None, "describes no tokenizer"),
        ({"type": "wrods"}, "unknown tokenizer type 'wrods'; did you mean 'words'"),
        ({"type": "words", "vocab": "abc"}, "not a list of words"),
        ({"type": "tokenizers", "file": "../../etc/other.json"}, r"other\.json is missing"),
        ({"type": "tokenizers", "file": "broken.json"}, "is not a tokenizer file"),
        ({"type": "tokenizers", "file": "good.json", "bos": "<x>"}, "does not hold the beginning token"),
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_told(described: object, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")
    byte_level().save(str(tmp_path / "good.json"))
    with pytest.raises(CallError, match=said):
        read_tokenizer(described, tmp_path, "mine")


def test_a_tokenizer_may_stand_in_the_configuration_itself(tmp_path: Path) -> None:
    inner = byte_level()
    described = {"type": "tokenizers", "json": json.loads(inner.to_str()), "bos": None}
    tokenizer = read_tokenizer(described, tmp_path, "mine")
    assert tokenizer.name == "subwords of mine"
    assert tokenizer.bos_id is None
    assert tokenizer.encode(LINES[0]) == inner.encode(LINES[0]).ids
    with pytest.raises(CallError, match="tokenizer in the configuration cannot be read"):
        read_tokenizer({"type": "tokenizers", "json": {"model": 3}}, tmp_path, "mine")
