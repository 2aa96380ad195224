"""Two tokenizers small enough to check by eye: one token per word, and longest pieces first (as byte-pair ones do)."""

import re

import pytest

from sessions.errors import CallError

VOCAB = ["all", "a", "are", "b", "and", "cat", "dog", "emu", "fox", "if", "then", "the", "unknown"]
PIECES = [" cat", " dog", " e", "mu", " all", "all", " are", " if", "if", " "]


class WordTokenizer:
    name = "words"

    def __init__(self, vocab: list[str], bos: bool) -> None:
        self.vocab = [*vocab, "<bos>"] if bos else list(vocab)
        self.bos_id = len(vocab) if bos else None

    def encode(self, text: str) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", text)
        for word in words:
            if word not in self.vocab:
                raise CallError(f"'{word}' is not in the vocabulary")
        return [self.vocab.index(word) for word in words]

    def decode(self, ids: list[int]) -> str:
        return " ".join(self.token_texts(ids))

    def token_texts(self, ids: list[int]) -> list[str]:
        return [self.vocab[i] for i in ids]


class PieceTokenizer:
    """The longest known piece at each character, single characters where none fits."""

    name = "pieces"
    bos_id = None

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = sorted({*pieces, *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,."}, key=len)[
            ::-1
        ]

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        while text:
            index = next(i for i, piece in enumerate(self.pieces) if text.startswith(piece))
            ids.append(index)
            text = text[len(self.pieces[index]) :]
        return ids

    def decode(self, ids: list[int]) -> str:
        return "".join(self.pieces[i] for i in ids)

    def token_texts(self, ids: list[int]) -> list[str]:
        return [self.pieces[i] for i in ids]


@pytest.fixture
def words() -> WordTokenizer:
    return WordTokenizer(VOCAB, bos=True)


@pytest.fixture
def plain_words() -> WordTokenizer:
    """The same without a beginning-of-sequence token."""
    return WordTokenizer(VOCAB, bos=False)


@pytest.fixture
def pieces() -> PieceTokenizer:
    return PieceTokenizer(PIECES)


@pytest.fixture
def word_tokenizer() -> type[WordTokenizer]:
    return WordTokenizer


@pytest.fixture
def piece_tokenizer() -> type[PieceTokenizer]:
    return PieceTokenizer
