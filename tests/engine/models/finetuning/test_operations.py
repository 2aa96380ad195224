"""Fine-tuning and generation as operations: in a session, from one engine to the next, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from engine.models.finetuning import finetune_operations
from engine.models.finetuning.finetune_operations import FINETUNE
from engine.models.finetuning.generate_operations import GENERATE
from engine.models.loading import load_model
from engine.models.operations import OPERATIONS
from engine.models.stored import as_bytes, decode_stored, describe_tokenizer, trained_handle
from engine.models.transformer import Transformer
from engine.operations import Context, parse
from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact, Model, PromptRow, Prompts, Series, Table
from sessions.errors import CallError, CancelledError
from sessions.file import SessionFile
from tests.engine.models.conftest import WORDS, make, save_model, small_config

torch.set_num_threads(1)
SAVE = next(operation for operation in OPERATIONS if operation.name == "models.save")


def prompts(n: int = 30, seed: int = 0) -> Prompts:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        words = [WORDS[i] for i in rng.integers(1, 10, 4)]
        rows.append(PromptRow(clean=" ".join(words), answers=(words[1],)))
    return Prompts(title="second words", task="second", rows=tuple(rows))


class Bench:
    """A Context with a session's memory: what was saved, what was kept, and a cancel at a chosen progress."""

    seed = 3

    def __init__(self, **inputs: Any) -> None:
        self.inputs = inputs
        self.saved: dict[str, Any] = {}
        self.kept: dict[str, bytes] = {}
        self.partials: list[Any] = []
        self.notes: list[tuple[int, int, str]] = []
        self.cancel_at: int | None = None

    def artifact(self, ref: str) -> Any:
        found = self.inputs[ref]
        return found.handle if isinstance(found, Transformer) else found

    def transformer(self, ref: str) -> Any:
        found = self.inputs[ref]
        if isinstance(found, Model):
            return decode_stored(self.kept[found.source], found)
        return found

    def stored_weights(self, ref: str) -> bytes:
        return self.kept[self.inputs[ref].source]

    def keep_weights(self, data: bytes) -> str:
        source = f"session:{hashlib.sha256(data).hexdigest()}"
        self.kept[source] = data
        return source

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.notes.append((done, total, note))
        if self.cancel_at is not None and len(self.notes) > self.cancel_at:
            raise CancelledError("cancelled")

    def partial(self, artifact: Any) -> None:
        self.partials.append(artifact)

    def checkpoints(self) -> dict[str, Any]:
        return dict(self.saved)

    def checkpoint(self, unit: str, value: Any) -> None:
        self.saved[unit] = value

    def log(self, message: str) -> None: ...


@pytest.fixture
def base(tmp_path: Path) -> Transformer:
    path = save_model(tmp_path / "base.safetensors", small_config(d_vocab=10))
    loaded = load_model(str(path), device="cpu")
    assert isinstance(loaded, Transformer)
    return loaded


@pytest.fixture
def bench(base: Transformer) -> Bench:
    return Bench(**{"@1": base, "@2": prompts()})


VALUES: dict[str, Any] = {"model": "@1", "prompts": "@2", "batch": 8, "epochs": 3.5, "lr": 0.01, "checkpoints": 2}


def tuned(bench: Bench, **values: Any) -> Sequence[AnyArtifact]:
    return FINETUNE.function(parse(FINETUNE, VALUES | values), cast("Context", bench))


def test_what_it_leaves(bench: Bench, base: Transformer) -> None:
    final, first, second, series = tuned(bench)
    assert isinstance(final, Model)
    assert isinstance(first, Model)
    assert isinstance(second, Model)
    assert isinstance(series, Series)
    # 27 of 30 prompts in batches of 8: 4 updates an epoch.
    assert final.facts["updates"] == 14
    assert (final.facts["n"], final.facts["n_held_out"]) == (27, 3)
    assert final.title == "base, fine-tuned on second (27 x 3.5)"
    assert first.title.endswith("after 5 of 14 updates")
    assert len({final.source, first.source, second.source, base.handle.source}) == 4
    assert series.x.tolist() == list(range(15))
    assert [curve.name for curve in series.curves] == ["training loss", "held-out loss", "held-out accuracy"]
    training = series.curves[0].y
    assert np.isnan(training[0])
    assert np.isfinite(training[1:]).all()
    assert training[-1] < training[1]
    assert {note[:2] for note in bench.notes} >= {(0, 14), (13, 14), (14, 14)}
    assert len(bench.partials) == 15


def test_what_is_kept_computes_what_was_measured(bench: Bench) -> None:
    more = {"@3": prompts(17, seed=9)}
    bench.inputs |= more
    final, *_, series = tuned(bench, evaluate="@3")
    assert isinstance(final, Model)
    assert isinstance(series, Series)
    model = decode_stored(bench.kept[final.source], final)
    losses = []
    for row in more["@3"].rows:
        tokens = torch.tensor([[0, *model.tokenizer.encode(row.clean)]])
        logits = model.unembed(model.forward(tokens).resid_pre[-1])[0, -1]
        losses.append(-float(logits.log_softmax(-1)[model.tokenizer.encode(row.answers[0])[0]]))
    assert series.curves[1].y[-1] == pytest.approx(np.mean(losses), abs=1e-5)  # rounding of single precision


@pytest.mark.parametrize("at", [1, 8, 20, 28])
def test_an_interrupted_run_goes_on_bit_for_bit(bench: Bench, base: Transformer, at: int) -> None:
    whole = tuned(bench)
    other = Bench(**bench.inputs)
    other.cancel_at = at
    with pytest.raises(CancelledError):
        tuned(other)
    again = Bench(**bench.inputs)
    again.saved = other.saved
    after = tuned(again)
    assert again.notes[0][0] == other.notes[-1][0]  # nothing was done twice
    for one, two in zip(whole, after):
        if isinstance(one, Model) and isinstance(two, Model):
            assert one.sha256 == two.sha256
        if isinstance(one, Series) and isinstance(two, Series):
            for a, b in zip(one.curves, two.curves):
                assert np.array_equal(a.y, b.y, equal_nan=True)
    assert again.kept == bench.kept


def test_saved_states_do_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune_operations, "SAVE_SECONDS", -1e9)
    monkeypatch.setattr(finetune_operations, "PIECE", 2**14)
    bench.cancel_at = 25
    with pytest.raises(CancelledError):
        tuned(bench, checkpoints=0)
    numbers = 3 * sum(leaf.numel() for leaf in _weights(bench.inputs["@1"]))
    sizes = [value.nbytes for unit, value in bench.saved.items() if unit.startswith("state")]
    assert max(sizes) <= 2**14
    assert sum(sizes) == 2 * 4 * numbers
    whole = Bench(**bench.inputs)
    again = Bench(**bench.inputs)
    again.saved = bench.saved
    one, two = (cast("Model", tuned(each, checkpoints=0)[0]) for each in (again, whole))
    assert one.sha256 == two.sha256


def _weights(model: Transformer) -> list[torch.Tensor]:
    from engine.models.weights import state_dict

    return list(state_dict(model.config, model.weights).values())


def test_a_model_of_the_session_is_trained_further(bench: Bench) -> None:
    final = tuned(bench)[0]
    assert isinstance(final, Model)
    bench.inputs["@5"] = final
    further = tuned(bench, model="@5", checkpoints=0)[0]
    assert isinstance(further, Model)
    assert further.facts["base"] == final.source
    assert further.sha256 != final.sha256


def test_bytes_give_the_same_model_again() -> None:
    config = small_config(positions="rotary", rotary_dim=4, n_kv_heads=2, gated_mlp=True, normalization="RMS")
    from engine.models.weights import random_state, state_dict

    model = make(config, random_state(config, 1), dtype=torch.float32)
    data = as_bytes(model, describe_tokenizer(model.tokenizer, model.handle))
    handle = trained_handle(data, title="t", source="session:x")
    assert as_bytes(model, describe_tokenizer(model.tokenizer, model.handle)) == data
    again = decode_stored(data, handle)
    for name, tensor in state_dict(config, model.weights).items():
        assert torch.equal(state_dict(config, again.weights)[name], tensor)
    assert again.tokenizer.encode("Mary gave") == model.tokenizer.encode("Mary gave")
    assert again.config == config
    with pytest.raises(CallError, match="not the weights of a trained model"):
        decode_stored(data[:50], handle)
    with pytest.raises(CallError, match="damaged"):
        decode_stored(data[:-8], handle)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"prompts": "@1"}, "@1 is a model, not prompts"),
        ({"evaluate": "@4"}, "evaluate, row 1: 'Sue' is not in the model's vocabulary.*keep=usable"),
        ({"prompts": "@5"}, "the set of prompts is empty"),
        ({"model": "@6"}, "attends to later tokens"),
    ],
)
def test_wrong_calls_are_told(bench: Bench, values: dict[str, Any], told: str) -> None:
    strange = Prompts(title="s", task="s", rows=(PromptRow(clean="Sue gave", answers=("a",)),))
    config = small_config(attention="bidirectional")
    from engine.models.weights import random_state

    bench.inputs |= {
        "@4": strange,
        "@5": Prompts(title="e", task="e", rows=()),
        "@6": make(config, random_state(config, 0)),
    }
    with pytest.raises(CallError, match=told):
        tuned(bench, **values)


def test_what_does_not_fit_is_refused_before_it_starts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.hardware.free_memory", lambda device="cpu": 100_000)
    with pytest.raises(CallError, match=r"training needs [\d.]+ KiB .* and 97.7 KiB are free on cpu"):
        tuned(bench)
    assert not bench.notes


def test_in_a_session_and_in_the_next_engine(tmp_path: Path) -> None:
    def run(worker: Worker, name: str, **values: Any) -> int:
        accepted = worker.submit(name, values)
        worker.work_until_idle()  # the model it names by its source is loaded first
        return accepted.result(timeout=0).step

    path = tmp_path / "s.iwb"
    with SessionFile.open(path, create=True) as session:
        worker = Worker(session, lambda event: None)
        run(worker, "prompts.make", task="tpp", n=20, model="zoo:tpp")
        step = run(worker, "models.finetune", model="zoo:tpp", prompts="@last", epochs=1.0)
        assert session.step(step).status == "done", session.step(step).error
        number = session.artifacts(step)[0].id
    with SessionFile.open(path) as session:
        later = Worker(session, lambda event: None)
        handle = session.artifact(number)
        assert isinstance(handle, Model)
        step = run(later, "models.generate", model=f"@{number}", other="zoo:tpp", prompts="@2", n=3, tokens=2)
        assert session.step(step).status == "done", session.step(step).error
        table = session.artifact(session.artifacts(step)[0].id)
        assert isinstance(table, Table)
        assert len(table.rows) == 3


def continued(bench: Bench, **values: Any) -> Table:
    found = GENERATE.function(
        parse(GENERATE, {"model": "@1", "prompts": "@2", "tokens": 4} | values), cast("Any", bench)
    )
    assert isinstance(found[0], Table)
    return found[0]


def test_greedy_generation_takes_the_likeliest_token_each_time(bench: Bench, base: Transformer) -> None:
    rows = (PromptRow(clean="Mary gave a drink"), PromptRow(clean="John"), PromptRow(clean="the store"))
    bench.inputs["@2"] = Prompts(title="p", task="p", rows=rows)
    table = continued(bench)
    for row, prompt in zip(table.rows, rows):
        ids = [0, *base.tokenizer.encode(prompt.clean)]
        for _ in range(4):
            ids.append(int(base.unembed(base.forward(torch.tensor([ids])).resid_pre[-1])[0, -1].argmax()))
        assert row == (prompt.clean, base.tokenizer.decode(ids[-4:]))


def test_two_models_are_compared_and_draws_do_not_depend_on_the_batch(bench: Bench) -> None:
    config = small_config(d_vocab=10)
    from engine.models.weights import random_state

    bench.inputs["@3"] = make(config, random_state(config, 8), dtype=torch.float32)
    one, many = (continued(bench, other="@3", temperature=1.0, batch=batch) for batch in (1, 7))
    assert one.rows == many.rows
    assert [column.name for column in one.columns] == ["prompt", "answer", "base", "test", "same"]
    assert one.facts["same"] == np.mean([row[2] == row[3] for row in one.rows])
    assert continued(bench, other="@1").facts["same"] == 1.0


def test_drawn_tokens_follow_the_probabilities(bench: Bench, base: Transformer) -> None:
    bench.inputs["@2"] = Prompts(title="p", task="p", rows=(PromptRow(clean="Mary gave"),) * 2000)
    words = [row[1] for row in continued(bench, n=2000, tokens=1, temperature=0.7).rows]
    tokens = torch.tensor([[0, *base.tokenizer.encode("Mary gave")]])
    logits = base.unembed(base.forward(tokens).resid_pre[-1])[0, -1]
    for word, p in zip(WORDS, (logits / 0.7).softmax(-1).tolist()):
        assert words.count(word) / 2000 == pytest.approx(p, abs=4 * (0.25 / 2000) ** 0.5)  # four standard errors


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"text": "Mary"}, "give either prompts or text"),
        ({"tokens": 9}, "row 1: the prompt has 5 tokens, and 9 more do not fit into the 12 of base"),
        ({"prompts": None, "text": "Sue"}, "'Sue' is not in the model's vocabulary"),
    ],
)
def test_wrong_questions_are_told(bench: Bench, values: dict[str, Any], told: str) -> None:
    with pytest.raises(CallError, match=told):
        continued(bench, **values)
