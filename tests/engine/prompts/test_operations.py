import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.models.protocols import Tokenizer
from engine.operations import Operation, describe, parse
from engine.prompts import operations, tpp
from engine.prompts.operations import OPERATIONS
from engine.prompts.vocabulary import word_list
from sessions.artifacts import Prompts, Text
from sessions.codec import decode, encode
from sessions.errors import CallError


class Context:
    """Only what the prompt operations may ask for."""

    def __init__(self, seed: int = 0, model: Any = None, artifacts: dict[str, Any] | None = None) -> None:
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self._model, self._artifacts = model, artifacts or {}
        self.logged: list[str] = []

    def transformer(self, ref: str) -> Any:
        return self._model

    def artifact(self, ref: str) -> Any:
        return self._artifacts[ref]

    def log(self, message: str) -> None:
        self.logged.append(message)


def run(name: str, context: Context, **values: Any) -> Prompts:
    operation = next(o for o in OPERATIONS if o.name == name)
    (made,) = operation.function(parse(operation, values), context)
    assert isinstance(made, Prompts)
    assert decode(encode(made)) == made
    return made


def a_model(tokenizer: Tokenizer, n_ctx: int = 32) -> SimpleNamespace:
    return SimpleNamespace(tokenizer=tokenizer, config=SimpleNamespace(n_ctx=n_ctx))


@pytest.fixture
def nouns_only(word_tokenizer: type) -> Tokenizer:
    made: Tokenizer = word_tokenizer(list(word_list("nouns")[:50]), bos=True)
    return made


def test_listing_the_operations_loads_no_torch() -> None:
    code = "import sys, engine.prompts.operations as o; sys.exit('torch' in sys.modules or not o.OPERATIONS)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_every_parameter_has_help(operation: Operation) -> None:
    assert all(field.help for field in describe(operation).fields)


def test_make_says_what_it_made() -> None:
    made = run("prompts.make", Context(seed=5), task="tpp", n=30)
    assert len(made.rows) == 30
    assert made.task == "tpp"
    assert made.facts["seed"] == 5
    assert made.title == "tpp, 30 prompts"
    assert made.summary == "7 groups, all with a corrupt partner"
    assert made.tokenizer == ""
    assert made == run("prompts.make", Context(seed=5), task="tpp", n="30")


def test_make_for_a_model_uses_its_words_and_fills_its_tokens_in(nouns_only: Tokenizer) -> None:
    made = run("prompts.make", Context(model=a_model(nouns_only)), task="induction", n=5, length=6, model="@1")
    assert made.tokenizer == nouns_only.name
    for row in made.rows:
        assert row.problem == ""
        assert row.clean_tokens[0] == "<bos>"
        assert row.clean_tokens[2:7] == row.clean_tokens[8:13]
        assert len(row.corrupt_tokens) == len(row.clean_tokens) == 13
        assert row.scored_from == 8


def test_a_set_too_long_for_the_model_is_marked_not_lost(nouns_only: Tokenizer) -> None:
    context = Context(model=a_model(nouns_only, n_ctx=12))
    made = run("prompts.make", context, task="induction", n=3, length=6, model="@1")
    assert "3 cannot be used" in made.summary
    assert "13 tokens, and the model's context holds 12" in made.rows[0].problem


def test_open_keeps_good_rows_and_reports_bad_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("clean,answer\nhello,world\n,lost\n")
    context = Context()
    made = run("prompts.open", context, path=str(path))
    assert [row.clean for row in made.rows] == ["hello"]
    assert made.rejected == ("line 3: the prompt is empty",)
    assert context.logged == list(made.rejected)
    assert "1 of the file's rows rejected" in made.summary


def test_looking_with_another_model_changes_the_tokens_and_can_drop_what_it_cannot_use(
    word_tokenizer: type, plain_words: Tokenizer
) -> None:
    most = word_tokenizer(list(word_list("nouns")[:300]), bos=True)
    made = run("prompts.make", Context(), task="induction", n=40, length=3)
    look = Context(model=a_model(most), artifacts={"@1": made})
    seen = run("prompts.look", look, prompts="@1", model="@2")
    usable = [row for row in seen.rows if not row.problem]
    assert seen.tokenizer == most.name
    assert most.name in seen.title
    assert len(seen.rows) == 40
    assert any("not in the vocabulary" in row.problem for row in seen.rows)
    assert 0 < len(usable) < 40
    assert list(run("prompts.look", look, prompts="@1", model="@2", keep="usable").rows) == usable
    with pytest.raises(CallError, match="none of the 40 prompts"):
        run(
            "prompts.look",
            Context(model=a_model(plain_words), artifacts={"@1": made}),
            prompts="@1",
            model="@2",
            keep="usable",
        )


def test_what_is_no_prompts_is_refused() -> None:
    with pytest.raises(CallError, match="@1 is a text, not prompts"):
        run("prompts.look", Context(artifacts={"@1": Text(title="t", markdown="")}), prompts="@1", model="@2")


def test_a_large_set_is_made_for_a_model_but_its_tokens_are_not_filled_in(
    word_tokenizer: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = a_model(
        word_tokenizer(re.findall(r"\w+", " ".join(tpp.TEMPLATES)) + list(word_list("nouns")[:40]), bos=False)
    )
    monkeypatch.setattr(operations, "FILLED", 30)
    small = run("prompts.make", Context(model=model), task="tpp", n=30, model="@1")
    large = run("prompts.make", Context(model=model), task="tpp", n=31, model="@1")
    assert all(row.clean_tokens for row in small.rows)
    assert not any(row.clean_tokens or row.positions for row in large.rows)
    assert large.tokenizer == ""
    assert "tokens not filled in (more than 30 prompts)" in large.summary
    known = set(model.tokenizer.vocab)
    assert all(set(row.clean.split()) <= known for row in large.rows)


def test_a_hundred_thousand_prompts_take_seconds_and_tens_of_megabytes() -> None:
    values = {"task": "tpp", "n": 100_000, "part": "train", "corrupt": "none", "nouns": "all"}
    operation = next(o for o in OPERATIONS if o.name == "prompts.make")
    started = time.process_time()
    (made,) = operation.function(parse(operation, values), Context())
    assert time.process_time() - started < 30  # 5 s on one core of this project's machine
    assert isinstance(made, Prompts)
    assert len(made.rows) == 100_000
    assert len(encode(made).document) < 45e6  # 36 MB
    assert made.facts["part"] == "train"
