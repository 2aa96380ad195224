"""Token ids of a model whose words are values: the vocabulary a program was compiled for, and the one it answers in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.models.labels import Labels
from sessions.errors import CallError, nearest

_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]+')
_PLAIN = re.compile(r"[^\s\",\[\]]+")


class Values:
    """One token per value: `3`, `a`, `true`, `[1,2]`. Encodes what stands between spaces or commas.

    A text is written as it is, unless it has a space, comma, quote or bracket in it or reads as another value of the
    vocabulary does (the text "1" beside the number 1): then it is in JSON's quotes. Everything else is as JSON writes
    it. Ids in `silent` are shown, and never read.
    """

    def __init__(
        self, values: Sequence[Any], name: str, *, bos_id: int | None = None, silent: Iterable[int] = ()
    ) -> None:
        self.name = name
        self.bos_id = bos_id
        self.vocab = words(values)
        hidden = set(silent)
        read = [i for i in range(len(values)) if i not in hidden]
        self._ids = {self.vocab[i]: i for i in read}
        self._others: dict[str, int] = {}  # ways to write a value that mean no other
        for i in read:
            for text in (str(values[i]), *_numbers(values[i])):
                self._others.setdefault(text, i)

    def encode(self, text: str) -> list[int]:
        """Ids of the values in the text. CallError names the first that is not in the vocabulary."""
        found = self._id(text.strip())
        if found is not None:
            return [found]
        return [i for part in _PARTS.findall(text) for i in self._part(part)]

    def _part(self, part: str) -> list[int]:
        found = self._id(part)
        if found is not None:
            return [found]
        pieces = [piece for piece in part.split(",") if piece] if "," in part and "[" not in part else [part]
        ids = [self._id(piece) for piece in pieces]
        for piece, i in zip(pieces, ids):
            if i is None:
                raise CallError(f"'{piece}' is not in the model's vocabulary", self.name, nearest(piece, self._ids))
        return [i for i in ids if i is not None]

    def _id(self, text: str) -> int | None:
        return self._ids.get(text, self._others.get(text))

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.vocab[i] for i in ids)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [self.vocab[i] for i in ids]


class ValueTokenizer(Values):
    """The tokenizer that a compiled model's labels amount to (`engine.models.protocols.TwoVocabularies`): prompts are
    read as its tokens, answers as its outputs."""

    def __init__(self, labels: Labels, name: str, *, causal: bool = False) -> None:
        special = (labels.bos,) if labels.pad is None else (labels.bos, labels.pad)
        super().__init__(labels.tokens, name, bos_id=labels.bos, silent=special)
        self.pad_id = labels.pad
        self.mixes_lengths = causal or (labels.masks_pad and labels.pad is not None)
        outputs = f"outputs of {name}"
        self.outputs = _Number(outputs) if labels.outputs is None else Values(labels.outputs, outputs)


class _Number(Values):
    """The one logit of a numerical program: the answer itself, and not the score of some answer."""

    def __init__(self, name: str) -> None:
        super().__init__(("number",), name, silent=(0,))

    def encode(self, text: str) -> list[int]:
        raise CallError(
            f"the model gives a number and no scores, so '{text}' has no logit",
            self.name,
            "compile a program with categorical outputs, or compare numbers with rasp.run",
        )


def words(values: Sequence[Any]) -> tuple[str, ...]:
    """Each value as a word of its own."""
    written = [_word(value) for value in values]
    twice = {word for word in written if written.count(word) > 1} if len(set(written)) < len(written) else set()
    return tuple(_json(v) if w in twice and isinstance(v, str) else w for w, v in zip(written, values))


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _numbers(value: Any) -> tuple[str, ...]:
    """2 may be written 2.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ()
    return (f"{float(value)}", f"{float(value):g}")
