"""How one tokenizer reads one prompt row: its tokens, where the named positions fall, and why it cannot be used, if so.

Plain numbers in and out; `tokenized.py` makes tensors of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.models.protocols import answers_of
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

SCORED = "scored"  # the span whose every token is predicted, in rows with `scored_from`


class Reader:
    """Reads rows with one tokenizer and one context length. `number` counts rows from 1 and names them in errors."""

    def __init__(self, tokenizer: Tokenizer, n_ctx: int) -> None:
        self.tokenizer = tokenizer
        self.n_ctx = n_ctx
        self.bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        self.answers = answers_of(tokenizer)
        self._single: dict[str, list[int]] = {}

    def clean(self, row: PromptRow, number: int) -> list[int]:
        """Token ids of the clean prompt, beginning-of-sequence first where the tokenizer has one.

        CallError: empty prompt, a word outside the vocabulary, longer than the context.
        """
        return self._prompt(row.clean, number, "prompt")

    def corrupt(self, row: PromptRow, number: int, clean: Sequence[int]) -> list[int]:
        """Token ids of the corrupt partner. CallError: there is none, or it has another length."""
        if not row.corrupt:
            raise CallError("the prompt has no corrupt partner", f"row {number}", "give every row one")
        ids = self._prompt(row.corrupt, number, "corrupt prompt")
        if len(ids) != len(clean):
            parting = next((i for i, (a, b) in enumerate(zip(clean, ids)) if a != b), min(len(ids), len(clean)))
            name = next((n for n, i in self.positions(row, clean).items() if i == parting and n != "end"), "")
            read = [self.tokenizer.token_texts(list(part[parting : parting + 1])) for part in (clean, ids)]
            here, there = (repr(texts[0]) if texts else "nothing" for texts in read)
            raise CallError(
                f"the clean prompt has {len(clean)} tokens and its corrupt partner {len(ids)}; they part at token "
                f"{parting}{f' ({name})' if name else ''}: {here} against {there}",
                f"row {number}",
                "pairs need the same number of tokens",
            )
        return ids

    def next_tokens(self, row: PromptRow, number: int, clean: Sequence[int], what: str = "answer") -> list[int]:
        """Ids of the row's answers (or foils), each one token. CallError: it is missing, or how it splits.

        An answer is read by itself; where that gives several tokens it is read as the prompt's continuation, which is
        what tokenizers that mark word starts (Llama's) need.
        """
        texts = row.answers if what == "answer" else row.foils
        if not texts:
            raise CallError(f"the prompt has no {what}", f"row {number}", f"give every row a {what}")
        return [self._next_token(row, number, clean, text, what) for text in texts]

    def outputs(self, row: PromptRow, number: int, clean: Sequence[int], count: int, what: str = "answer") -> list[int]:
        """Ids of a compiled model's outputs at each of `count` scored positions; -1 where the row names none.

        CallError when it names another number of them.
        """
        texts = row.answers if what == "answer" else row.foils
        if not texts and what == "answer":
            return [-1] * count
        if len(texts) != count:
            raise CallError(
                f"{count} positions are scored and {len(texts)} {what}s given", f"row {number}", "give one for each"
            )
        return [self._next_token(row, number, clean, text, what) for text in texts]

    def positions(self, row: PromptRow, clean: Sequence[int]) -> dict[str, int]:
        """Token indices by name: for a span, the token that holds its last character; the span of
        `X+1` is that of X, and its position one further; `end` is the last token."""
        found = {
            name: self._token_at(row.clean, stop, clean) + name.endswith("+1")
            for name, (_, stop) in row.spans.items()
            if name != SCORED
        }
        return dict(sorted(found.items(), key=lambda item: item[1])) | {"end": len(clean) - 1}

    def scored_from(self, row: PromptRow, clean: Sequence[int]) -> int | None:
        """Index of the first token of the part that is predicted whole; None for rows with a single answer."""
        if row.scored_from is None:
            return None
        if SCORED in row.spans:
            return self._token_at(row.clean, row.spans[SCORED][0], clean) + 1
        return row.scored_from

    def problem(self, row: PromptRow, number: int) -> str:
        """Why the row cannot be used with this tokenizer; empty when it can."""
        try:
            ids = self.clean(row, number)
            if row.corrupt:
                self.corrupt(row, number, ids)
            if row.scored_from is None:
                self.next_tokens(row, number, ids)
                if row.foils:
                    self.next_tokens(row, number, ids, "foil")
        except CallError as error:
            return error.what
        return ""

    def _prompt(self, text: str, number: int, what: str) -> list[int]:
        ids = self.bos + self._encode(text, number)
        if len(ids) == len(self.bos):
            raise CallError(f"the {what} is empty", f"row {number}")
        if len(ids) > self.n_ctx:
            raise CallError(
                f"the {what} has {len(ids)} tokens, and the model's context holds {self.n_ctx}",
                f"row {number}",
                "shorten it or take a model with a longer context",
            )
        return ids

    def _encode(self, text: str, number: int, tokenizer: Tokenizer | None = None) -> list[int]:
        try:
            return (tokenizer or self.tokenizer).encode(text)
        except CallError as error:
            raise CallError(error.what, f"row {number}", error.remedy) from None

    def _next_token(self, row: PromptRow, number: int, clean: Sequence[int], text: str, what: str) -> int:
        if text not in self._single:
            self._single[text] = self._encode(text, number, self.answers)
        ids = self._single[text]
        if len(ids) != 1 and self.answers is self.tokenizer:
            prompt = list(clean[len(self.bos) :])
            joined = self._encode(row.clean + text, number)
            if len(joined) > len(prompt) and joined[: len(prompt)] == prompt:
                ids = joined[len(prompt) :]
        if len(ids) == 1 or (ids and row.first_token_only):
            return ids[0]
        split = " | ".join(repr(piece) for piece in self.answers.token_texts(ids))
        raise CallError(
            f"the {what} {text!r} is not one token of {self.answers.name}: it splits into {split or 'nothing'}",
            f"row {number}",
            "choose a one-token word (mind the leading space)",
        )

    def _token_at(self, text: str, stop: int, clean: Sequence[int]) -> int:
        """Index of the token that holds character `stop - 1`; for stop 0 the one before the prompt (-1 without one)."""
        start = len(self.bos)
        prompt = list(clean[start:])
        before = self.tokenizer.encode(text[:stop]) if stop else []
        last = len(before) - 1
        if last < len(prompt) and before[:-1] == prompt[: max(last, 0)]:
            return start + last
        # The cut changed how earlier characters merge: measure decoded lengths instead.
        for index in range(len(prompt)):
            if len(self.tokenizer.decode(prompt[: index + 1])) >= stop:
                return start + index
        return len(clean) - 1
