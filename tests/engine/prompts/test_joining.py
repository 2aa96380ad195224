"""Several sets as one: every row is there, in order, and what cannot be joined is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.prompts.joining import Join, join
from sessions.artifacts import PromptRow, Prompts, Text
from sessions.codec import decode, encode
from sessions.errors import CallError


class Desk:
    def __init__(self, **artifacts: Any) -> None:
        self.artifacts = artifacts

    def artifact(self, ref: str) -> Any:
        return self.artifacts[ref[1:]]


def a_set(task: str, *words: str, tokenizer: str = "") -> Prompts:
    rows = tuple(PromptRow(clean=word, answers=(word,)) for word in words)
    return Prompts(title=f"{task} set", task=task, rows=rows, tokenizer=tokenizer, facts={"seed": 3})


def joined(*sets: Any, refs: tuple[str, ...] = ()) -> Prompts:
    desk = Desk(**{chr(97 + i): each for i, each in enumerate(sets)})
    params = Join(prompts=refs or tuple(f"@{name}" for name in desk.artifacts))
    (made,) = join(params, desk)  # type: ignore[arg-type]
    assert isinstance(made, Prompts)
    assert decode(encode(made)) == made
    return made


def test_rows_follow_one_another_as_they_were() -> None:
    first, second = a_set("tpp", "x", "y", tokenizer="words"), a_set("tpp", "z", tokenizer="words")
    made = joined(first, second)
    assert made.rows == first.rows + second.rows
    assert (made.task, made.tokenizer, made.title) == ("tpp", "words", "tpp, 3 prompts")
    assert made.facts["sets"] == [{"seed": 3, "title": "tpp set"}] * 2
    assert joined(first, second, refs=("@b", "@a")).rows == second.rows + first.rows


def test_sets_of_two_tasks_are_of_neither() -> None:
    rejected = msgspec.structs.replace(a_set("ioi", "z"), rejected=("line 3",))
    made = joined(a_set("tpp", "x"), rejected)
    assert (made.task, made.title, made.rejected) == ("own", "tpp and ioi, 2 prompts", ("line 3",))


def test_what_cannot_be_joined_is_refused_in_one_sentence() -> None:
    one = a_set("tpp", "x")
    with pytest.raises(CallError, match="@a is named twice"):
        joined(one, refs=("@a", "@a"))
    with pytest.raises(CallError, match="there is nothing to join"):
        joined(one)
    with pytest.raises(CallError, match="the sets have tokens of none and 'words'; see all of them as one model"):
        joined(one, a_set("tpp", "y", tokenizer="words"))
    with pytest.raises(CallError, match="@b is a text, not prompts"):
        joined(one, Text(title="t", markdown=""))
