"""Models whose weights a step keeps in the session, and programs given as text, as a file or as an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from msgspec import Meta

from engine.models.labelled import encode_model, handle_of
from engine.models.labels import Labels
from engine.models.loading import load_model
from engine.models.protocols import TransformerConfig
from engine.models.weights import expected_shapes
from engine.operations import Context, ModelRef, Operation, Params, RaspText, describe
from engine.server import text_files
from engine.server import worker as worker_module
from engine.server.model_shelf import ModelShelf
from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact, Matrix, Model, Program, Text
from sessions.compare import compare
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile
from sessions.recipes import parse, recipe_of, resolve, write

from . import conftest
from .test_worker import finished

CONFIG = TransformerConfig(
    architecture="rasp", n_layers=1, n_heads=1, d_model=4, d_head=2, d_mlp=3, d_vocab=5, n_ctx=4, act_fn="relu",
    normalization="none", attn_scale=1.0, attention="bidirectional", d_vocab_out=2,
)  # fmt: skip
LABELS = Labels(tokens=("a", "b", "c", "BOS", "PAD"), bos=3, pad=4, outputs=(0, 1))


def made(seed: int, moved: float = 0.0) -> bytes:
    rng = np.random.default_rng(seed)
    shapes = {name: s for name, s in expected_shapes(CONFIG).items() if ".b_" not in name}
    state = {name: (rng.normal(size=s) + moved).astype(np.float32) for name, s in shapes.items()}
    return encode_model(CONFIG, state, LABELS)


class Make(Params):
    fail: bool = False
    family: str = "transformer"


class Use(Params):
    model: ModelRef | None = None


class Write(Params):
    program: RaspText
    other: Annotated[RaspText | None, Meta(description="another")] = None


def make(params: Make, ctx: Context) -> Sequence[AnyArtifact]:
    data = made(ctx.seed)
    source = ctx.keep_weights(data)
    if params.fail:
        raise IwbError("it does not work")
    handle = handle_of(data, title="made", source=source)
    return (
        [Model(title="made", source=source, family=params.family, architecture="x", sha256=handle.sha256)]
        # type: ignore[arg-type]
        if (params.family != "transformer")
        else [handle]
    )


def use(params: Use, ctx: Context) -> Sequence[AnyArtifact]:
    if params.model is None:
        return [Text(title="none", markdown="no model")]
    model = ctx.transformer(params.model)
    assert model.labels == LABELS
    assert len(ctx.stored_weights(params.model)) > 100
    logits = model.unembed(model.forward(torch.tensor([[3, 0, 1]])).resid_pre[-1])
    return [Matrix(title="logits", values=logits[0].numpy(), axes=())]


def recurrent(params: Use, ctx: Context) -> Sequence[AnyArtifact]:
    assert params.model is not None
    ctx.rnn(params.model)
    return []


def weights(params: Use, ctx: Context) -> Sequence[AnyArtifact]:
    assert params.model is not None
    return [Text(title="bytes", markdown=str(len(ctx.stored_weights(params.model))))]


def program(params: Write, ctx: Context) -> Sequence[AnyArtifact]:
    text = params.program
    if text.startswith("@"):
        given = ctx.artifact(text)
        assert isinstance(given, Program)
        text = given.source
    return [Program(title="p", source=text, language="rasp"), Program(title="q", source="x = 1", language="python")]


MORE = [
    Operation(name=name, title="t", summary="s", params=params, gives=("model",), function=function)
    for name, params, function in (
        ("test.make", Make, make),
        ("test.use", Use, use),
        ("test.recurrent", Use, recurrent),
        ("test.weights", Use, weights),
        ("test.program", Write, program),
    )
]


@pytest.fixture(autouse=True)
def _more(monkeypatch: pytest.MonkeyPatch) -> None:
    known = conftest.OPERATIONS | {operation.name: operation for operation in MORE}
    monkeypatch.setattr(worker_module, "find_operation", known.__getitem__)


def error(session: SessionFile, step: int) -> str:
    found = session.step(step).error
    assert found is not None
    return str(found)


def test_a_model_that_a_step_made_is_found_again_by_another_engine(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.make", seed=3)
    handle = session.artifact(1)
    assert isinstance(handle, Model)
    assert handle.source == f"session:{handle.sha256}"
    first = session.artifacts(finished(worker, "test.use", {"model": "@last"}))[0].id
    later = Worker(session, lambda event: None)  # as after the lid was closed
    again = session.artifacts(finished(later, "test.use", {"model": "@1"}, again=True))[0].id
    assert again != first
    assert compare(session.artifact(first), session.artifact(again)).same
    assert ModelShelf(session.weights).load(handle).handle == handle


def test_a_step_that_fails_leaves_no_weights(worker: Worker, session: SessionFile) -> None:
    step = finished(worker, "test.make", {"fail": True})
    assert session.step(step).status == "failed"
    with session.writing() as db:
        assert db.execute("SELECT count(*) FROM weights").fetchone() == (0,)


def test_the_same_model_made_twice_is_one_input(worker: Worker) -> None:
    finished(worker, "test.make")
    finished(worker, "test.make", again=True)
    assert finished(worker, "test.use", {"model": "@1"}) == finished(worker, "test.use", {"model": "@2"})


def test_missing_weights_name_the_step_that_makes_them(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.make")
    with session.writing() as db:
        db.execute("UPDATE weights SET data = x'00'")
    assert "are damaged; run step 1 again to make them" in error(session, finished(worker, "test.use", {"model": "@1"}))


@pytest.mark.parametrize(
    ("family", "operation", "sentence"),
    [
        ("transformer", "test.recurrent", "made is a transformer; choose a recurrent network"),
        ("rnn", "test.use", "made is a recurrent network; choose a transformer"),
        ("metamodel", "test.use", "made is a meta-model; choose a transformer"),
        ("transformer_program", "test.recurrent", "made is a Transformer Program; choose a recurrent network"),
    ],
)
def test_a_model_of_another_family_is_refused_in_words(
    worker: Worker, session: SessionFile, family: str, operation: str, sentence: str
) -> None:
    finished(worker, "test.make", {"family": family})
    assert sentence in error(session, finished(worker, operation, {"model": "@1"}))


def test_any_family_may_keep_its_weights(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.make", {"family": "metamodel"})
    assert session.step(finished(worker, "test.weights", {"model": "@1"})).status == "done"
    finished(worker, "models.load", {"source": "zoo:x"})
    assert "the weights of m are not in the session" in error(
        session, finished(worker, "test.weights", {"model": "@3"})
    )


def test_kept_weights_are_not_loaded_by_their_name() -> None:
    with pytest.raises(CallError, match="found through the model itself; write model=@ID"):
        load_model("session:" + "0" * 64)


def test_an_optional_model_may_stay_away(worker: Worker, session: SessionFile) -> None:
    for values in ({}, {"model": None}, {"model": "none"}, {"model": ""}):
        stored = session.artifacts(finished(worker, "test.use", values, again=True))[0]
        assert stored.title == "none"
    assert describe(MORE[1]).fields[0].optional


def test_verifying_compares_the_weights_themselves(tmp_path: Path) -> None:
    def kept(name: str, data: bytes) -> tuple[SessionFile, Model]:
        session = SessionFile.open(tmp_path / name, create=True)
        worker = Worker(session, lambda event: None)
        step = finished(worker, "test.make")
        session.put_weights(data, step=step)
        return session, handle_of(data, title="made")

    then, a = kept("then.iwb", made(0))
    for moved, same in ((1e-7, True), (1e-2, False)):
        now, b = kept(f"{same}.iwb", made(0, moved))
        assert a.sha256 != b.sha256
        comparison = compare(a, b, weights=(then.weights, now.weights))
        assert comparison.same == same, comparison.differences
        assert comparison.numbers > 50
        assert not compare(a, b).same
        now.close()
    then.close()


def test_a_program_is_the_text_of_a_file_an_artifact_or_itself(
    worker: Worker, session: SessionFile, tmp_path: Path
) -> None:
    (tmp_path / "mine.rasp").write_bytes(b"\xef\xbb\xbfa = tokens\r\nreturn a\r\n")
    step = finished(worker, "test.program", {"program": "@mine.rasp"}, folder=str(tmp_path))
    assert session.step(step).parameters == {"program": "a = tokens\nreturn a\n", "other": None}
    (tmp_path / "mine.rasp").unlink()  # the session holds it
    step = finished(worker, "test.program", {"program": "@last", "other": "sort"}, folder=str(tmp_path))
    assert session.step(step).inputs == {"program": 1}  # @2 is newer, and Python
    assert session.step(step).parameters == {"program": "@1", "other": "sort"}
    stored = session.artifact(3)
    assert isinstance(stored, Program)
    assert stored.source == "a = tokens\nreturn a\n"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("@missing.rasp", "there is no file 'missing.rasp'; did you mean '@missing.txt'?"),
        ("@folder", "folder is a folder; name a file in it"),
        ("@large", "large is larger than the 1 MiB that a program may have"),
        ("@latin", "latin is not text in UTF-8"),
        ("@zeros", "zeros is not text: it has zero bytes"),
        ("@empty", "empty is empty"),
        ("@at", "at begins with '@'"),
        ("@", "'@' alone names nothing"),
        ("@" + "x" * 5000, "cannot be read"),
        ("@a\0b", "cannot be read"),
        ("@99", "there is no artifact @99"),
        ("@1", "@1 is a matrix, not a program"),
        ("@3", "@3 is a program in python, not in rasp"),
    ],
)
def test_what_is_no_program_is_one_sentence(
    worker: Worker, session: SessionFile, tmp_path: Path, value: str, sentence: str
) -> None:
    finished(worker, "test.count")
    finished(worker, "test.program", {"program": "sort"})
    (tmp_path / "missing.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * (text_files.LARGEST + 1))
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "zeros").write_bytes(b"a\0")
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "at").write_text("@2")
    with pytest.raises(CallError) as refused:
        worker.submit("test.program", {"program": value}, folder=str(tmp_path))
    assert sentence in str(refused.value)
    assert len(session.steps()) == 2


def test_last_program_needs_one_in_its_language(worker: Worker) -> None:
    with pytest.raises(CallError, match="there is no program in rasp in the session yet"):
        worker.submit("test.program", {"program": "@last"})


def test_programs_go_into_a_recipe_as_lines_and_as_references(worker: Worker, session: SessionFile) -> None:
    text = 'a = tokens  # "quoted" \\ """\n\n  return a\n'
    finished(worker, "test.program", {"program": text})
    finished(worker, "test.program", {"program": "@1"})
    recipe = write(recipe_of(session))
    assert "a = tokens  # " in recipe.splitlines()[-20:] or "\n  return a\n" in recipe
    first, second = parse(recipe).steps
    assert first.parameters["program"] == text
    assert resolve(second, {first.id: [7, 8]})["program"] == "@7"


def test_a_rasp_field_is_described() -> None:
    first, second = describe(MORE[4]).fields
    assert (first.type, first.text, first.required) == ("str", "rasp", True)
    assert (second.text, second.optional, second.help) == ("rasp", True, "another")
