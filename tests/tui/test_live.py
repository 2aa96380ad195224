"""Asking while a person types: a pause first, one question at a time, the newest answer only."""

from __future__ import annotations

import asyncio
from typing import Any

from sessions.artifacts import AnyArtifact, Text
from sessions.errors import CallError, IwbError
from tui.live import LiveQuestion


class Typist:
    """Records what is asked; each question waits until the test lets it be answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard: list[str] = []
        self.doors: dict[str, asyncio.Event] = {}
        self.question = LiveQuestion(self._ask, self._answered, self._refused, pause=0.01)

    async def _ask(self, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        text = values["text"]
        self.asked.append(text)
        self.doors[text] = asyncio.Event()
        await self.doors[text].wait()
        if text == "wrong":
            raise CallError("no program")
        return (Text(title=text, markdown=text),)

    def _answered(self, values: dict[str, Any], artifacts: tuple[AnyArtifact, ...]) -> None:
        assert artifacts[0].title == values["text"]
        self.heard.append(values["text"])

    def _refused(self, values: dict[str, Any], error: IwbError) -> None:
        self.heard.append(f"{values['text']}: {error}")

    def type(self, *texts: str) -> None:
        for text in texts:
            self.question.put({"text": text})

    async def until(self, what: list[str], wanted: list[str]) -> None:
        async with asyncio.timeout(5):
            while what != wanted:
                await asyncio.sleep(0.001)


async def test_only_what_stands_after_the_pause_is_asked() -> None:
    typist = Typist()
    typist.type("a", "ab", "abc")
    assert typist.question.waiting
    await typist.until(typist.asked, ["abc"])
    typist.doors["abc"].set()
    await typist.until(typist.heard, ["abc"])
    assert not typist.question.waiting


async def test_a_stale_answer_is_dropped_and_the_newest_text_asked_after_it() -> None:
    typist = Typist()
    typist.type("a")
    await typist.until(typist.asked, ["a"])
    typist.type("ab", "abc")
    await asyncio.sleep(0.03)
    assert typist.asked == ["a"]  # one at a time
    typist.doors["a"].set()
    await typist.until(typist.asked, ["a", "abc"])
    typist.doors["abc"].set()
    await typist.until(typist.heard, ["abc"])


async def test_a_refusal_is_heard_and_the_next_text_is_asked_again() -> None:
    typist = Typist()
    typist.type("wrong")
    await typist.until(typist.asked, ["wrong"])
    typist.doors["wrong"].set()
    await typist.until(typist.heard, ["wrong: no program"])
    typist.type("right")
    await typist.until(typist.asked, ["wrong", "right"])


async def test_dropped_nothing_is_heard() -> None:
    typist = Typist()
    typist.type("a")
    await typist.until(typist.asked, ["a"])
    typist.question.drop()
    typist.doors["a"].set()
    await asyncio.sleep(0.02)
    assert typist.heard == []
