"""What a person types as inputs and vocabulary is read, or refused in a sentence."""

from __future__ import annotations

import pytest

from engine.rasp.reading import read_inputs, read_vocab
from sessions.errors import CallError


@pytest.mark.parametrize("text", ["[" * 100_000, "[" + "9" * 5000 + "]", "[1,", "[[1], 2]", "[]", ""])
def test_inputs_that_cannot_be_read(text: str) -> None:
    with pytest.raises(CallError) as told:
        read_inputs(text, "rasp.run")
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("text", ["[" * 100_000, "[" + "9" * 5000 + "]", "[1, 1]", "[[1]]", "a,a"])
def test_vocabularies_that_cannot_be_read(text: str) -> None:
    with pytest.raises(CallError) as told:
        read_vocab(text, "rasp.compile")
    assert len(str(told.value)) < 400


def test_what_is_no_json_is_a_word() -> None:
    assert read_vocab("a, 1, false, 1.5", "") == ("a", 1, False, 1.5)
    assert read_inputs("3 b 2", "") == [[3, "b", 2]]
    digits = "9" * 5000  # more than Python reads as a number
    assert read_inputs(digits, "") == [[digits]]
