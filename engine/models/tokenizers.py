"""Text to token ids and back: a vocabulary of whole words, and the tokenizers that come with checkpoints."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessions.errors import CallError, nearest

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerBase

    from engine.models.protocols import Tokenizer

_ENDS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>")  # how tokenizers call the end of a text
_WORDS = re.compile(r"\w+|[^\w\s]")


class WordTokenizer:
    """One token per word, split at white space: `encode(" Mary") == encode("Mary")`. What the vocabulary does not hold
    as it stands is split further, into words and punctuation marks: "store," is "store" and ",".

    `vocab` is in the order of the ids. `bos`, one of its words, goes before every prompt. CallError when the vocabulary
    is empty or says a word twice, or does not hold `bos`.
    """

    def __init__(self, vocab: Sequence[str], bos: str | None = None, name: str = "words") -> None:
        self.name = name
        self.vocab = tuple(vocab)
        self._ids = {word: i for i, word in enumerate(self.vocab)}
        if not self.vocab or len(self._ids) != len(self.vocab):
            twice = next((w for i, w in enumerate(self.vocab) if self._ids[w] != i), None)
            problem = f"the vocabulary says '{twice}' twice" if twice is not None else "the vocabulary is empty"
            raise CallError(problem, name, "list every word once, in the order of its id")
        if bos is not None and bos not in self._ids:
            raise CallError(
                f"the vocabulary does not hold the beginning word '{bos}'", name, "add it, or set bos to null"
            )
        self.bos_id = None if bos is None else self._ids[bos]

    def encode(self, text: str) -> list[int]:
        """Ids of the words. CallError names the first unknown word and its nearest neighbours."""
        return [self._id(word) for chunk in text.split() for word in self._words(chunk)]

    def _words(self, chunk: str) -> list[str]:
        return [chunk] if chunk in self._ids else _WORDS.findall(chunk)

    def _id(self, word: str) -> int:
        if word in self._ids:
            return self._ids[word]
        close = difflib.get_close_matches(word, self.vocab, n=3, cutoff=0.5)
        remedy = (
            f"nearest: {', '.join(close)}" if close else f"it knows {len(self.vocab)} words, such as {self._some()}"
        )
        raise CallError(f"'{word}' is not in the model's vocabulary", self.name, remedy)

    def _some(self) -> str:
        return ", ".join([w for w in self.vocab if w.isalpha()][:5])

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.vocab[i] for i in ids)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [self.vocab[i] for i in ids]

    def describe(self) -> dict[str, Any]:
        """What `restore_tokenizer` makes the same tokenizer of."""
        bos = None if self.bos_id is None else self.vocab[self.bos_id]
        return {"type": "words", "vocab": list(self.vocab), "bos": bos, "name": self.name}


class CheckpointTokenizer:
    """A Hugging Face tokenizer. `bos_id` is set only where the tokenizer itself begins every text so (Llama does,
    GPT-2 and Pythia do not): the model then sees what it saw in training.

    Tokenizers that put a space before the text (SentencePiece, as in Llama 2) give `encode(" Mary") == encode("Mary")`.
    """

    def __init__(self, inner: PreTrainedTokenizerBase, name: str, size: int) -> None:
        self.name = name
        self._inner = inner
        self._size = size  # of the model's embedding; a tokenizer may have been given more tokens than that
        begins = inner("a")["input_ids"][:1]
        self.bos_id: int | None = (
            int(inner.bos_token_id) if inner.bos_token_id is not None and begins == [inner.bos_token_id] else None
        )
        first = inner.convert_ids_to_tokens(self._plain("a"))[:1]
        self._adds_space = first[:1] != [] and str(first[0]).startswith("▁")
        self.eos_id: int | None = None if inner.eos_token_id is None else int(inner.eos_token_id)

    def _plain(self, text: str) -> list[int]:
        return [int(i) for i in self._inner.encode(text, add_special_tokens=False)]

    def encode(self, text: str) -> list[int]:
        """Ids of the text, without special tokens. CallError for a token the model has no embedding of."""
        ids = self._plain(text.removeprefix(" ") if self._adds_space else text)
        if beyond := [i for i in ids if i >= self._size]:
            raise CallError(
                f"token '{self.decode(beyond[:1])}' has id {beyond[0]}, and the model knows {self._size:,} tokens",
                self.name,
                "the tokenizer belongs to another model, or the text holds one of its added tokens",
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._inner.decode(list(ids), clean_up_tokenization_spaces=False))

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """Each id alone, with its leading space; a fragment of a character is shown as the vocabulary writes it."""
        return [self._text(i, str(raw)) for i, raw in zip(ids, self._inner.convert_ids_to_tokens(list(ids)))]

    def _text(self, token: int, raw: str) -> str:
        if raw.startswith("▁"):
            return raw.replace("▁", " ")
        text = self.decode([token])
        return raw if "\N{REPLACEMENT CHARACTER}" in text or not text else text

    def describe(self) -> dict[str, Any] | None:
        """What `restore_tokenizer` makes the same tokenizer of; None of one that is program text and not a table."""
        if not self._inner.is_fast:
            return None
        special = {"bos": self._inner.bos_token, "eos": self._inner.eos_token}
        inner = self._inner.backend_tokenizer.to_str()
        return {"type": "checkpoint", "json": inner, **special, "size": self._size, "name": self.name}


class FileTokenizer:
    """A tokenizer of the tokenizers library, for models that are a safetensors file with its configuration."""

    def __init__(self, inner: tokenizers.Tokenizer, bos: str | None, name: str) -> None:
        self.name = name
        self._inner = inner
        self.bos_id: int | None = None if bos is None else inner.token_to_id(bos)
        if bos is not None and self.bos_id is None:
            raise CallError(f"the vocabulary does not hold the beginning token '{bos}'", name, "set bos to null")
        ends = (inner.token_to_id(text) for text in _ENDS)
        self.eos_id: int | None = next((int(token) for token in ends if token is not None), None)

    def encode(self, text: str) -> list[int]:
        return [int(i) for i in self._inner.encode(text, add_special_tokens=False).ids]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._inner.decode(list(ids), skip_special_tokens=False))

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [self.decode([i]) or str(self._inner.id_to_token(i)) for i in ids]

    def describe(self) -> dict[str, Any]:
        """What `restore_tokenizer` makes the same tokenizer of."""
        bos = None if self.bos_id is None else self._inner.id_to_token(self.bos_id)
        return {"type": "tokenizers", "json": self._inner.to_str(), "bos": bos, "name": self.name}


def restore_tokenizer(described: Any, where: str) -> Tokenizer:
    """The tokenizer that `describe` described, from that alone. CallError for anything else."""
    try:
        match described["type"]:
            case "words":
                return WordTokenizer(described["vocab"], described["bos"], described["name"])
            case "tokenizers":
                import tokenizers

                inner = tokenizers.Tokenizer.from_str(described["json"])
                return FileTokenizer(inner, described["bos"], described["name"])
            case "checkpoint":
                import tokenizers
                from transformers import PreTrainedTokenizerFast

                special = {f"{name}_token": text for name in ("bos", "eos") if (text := described[name]) is not None}
                table = tokenizers.Tokenizer.from_str(described["json"])
                fast = PreTrainedTokenizerFast(tokenizer_object=table, clean_up_tokenization_spaces=False, **special)
                return CheckpointTokenizer(fast, described["name"], described["size"])
            case other:
                raise CallError(f"unknown tokenizer type '{other}'", where)
    except CallError:
        raise
    except Exception as error:  # the library raises bare Exception for text it cannot read
        raise CallError(f"the tokenizer stored with the weights cannot be read ({error})", where) from None


def read_tokenizer(described: Any, folder: Path, where: str) -> Tokenizer:
    """The tokenizer that a model's configuration describes:

    `{"type": "words", "vocab": [...], "bos": "<bos>" or null}` or
    `{"type": "tokenizers", "file": "tokenizer.json", "bos": ...}`, a file in the same folder, or
    `{"type": "tokenizers", "json": {...}, "bos": ...}` with that file's contents. CallError otherwise.
    """
    remedy = 'give "tokenizer": {"type": "words", "vocab": [...], "bos": null}'
    if not isinstance(described, dict):
        raise CallError("the configuration describes no tokenizer", where, remedy)
    bos = described.get("bos")
    match described.get("type"):
        case "words":
            vocab = described.get("vocab")
            if not isinstance(vocab, list) or not all(isinstance(word, str) for word in vocab):
                raise CallError("the tokenizer's vocab is not a list of words", where, remedy)
            return WordTokenizer(vocab, bos, name=f"words of {where}")
        case "tokenizers":
            import tokenizers

            if "json" in described:
                try:
                    inner = tokenizers.Tokenizer.from_str(json.dumps(described["json"]))
                except Exception as error:  # the library raises bare Exception for what it cannot read
                    raise CallError(
                        f"the tokenizer in the configuration cannot be read ({str(error)[:80]})", where
                    ) from None
                return FileTokenizer(inner, bos, name=f"subwords of {where}")
            path = folder / Path(str(described.get("file", "tokenizer.json"))).name
            if not path.is_file():
                raise CallError(f"the tokenizer's file {path.name} is missing", where, f"put it into {folder}")
            try:
                inner = tokenizers.Tokenizer.from_file(str(path))
            except Exception as error:  # the library raises bare Exception for a file it cannot read
                raise CallError(f"{path.name} is not a tokenizer file ({error})", where) from None
            return FileTokenizer(inner, bos, name=path.name)
        case other:
            raise CallError(f"unknown tokenizer type '{other}'", where, nearest(str(other), ["words", "tokenizers"]))
