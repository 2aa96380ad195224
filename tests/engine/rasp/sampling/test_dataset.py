"""Datasets: the same for any number of workers and any interruption, and nothing of the test in the training set."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.sampling import shard, writing
from engine.rasp.sampling.dataset import Dataset, read, read_manifest
from engine.rasp.sampling.flatten import Sizes, flatten, scaled
from engine.rasp.sampling.shard import SPLITS, Plan, decode, make, split_of
from engine.rasp.sampling.tokens import VOCABULARY, detokenise, tokenise
from engine.rasp.sampling.writing import write
from engine.rasp.syntax import parse
from sessions.errors import CallError, CancelledError

PLAN = Plan(seed=3, shard_size=20, shortest=4, longest=6)


def _files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


class Backwards(ThreadPoolExecutor):
    """Later shards are done earlier."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def late() -> Any:
            time.sleep(0.4 / (1 + args[1]))
            return fn(*args, **kwargs)

        return super().submit(late)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("dataset") / "new" / "folder"
    write(folder, 70, PLAN)
    return folder


def test_a_datapoint_is_what_the_compiler_makes(written: Path) -> None:
    points = list(read(written))
    assert len(points) == 70
    for point in points:
        program = detokenise(point.tokens)
        assert tokenise(parse(point.text)) == list(point.tokens) == tokenise(program)
        compiled = compile_program(program, Domain((0, 1, 2, 3, 4), 5))
        assert point.sizes == Sizes.of(compiled)
        assert np.array_equal(point.weights, flatten(compiled))  # the tokens alone decide the weights
        assert 4 <= point.length <= 6
    assert len({p.tokens for p in points}) == 70


def test_the_manifest_counts(written: Path) -> None:
    manifest = read_manifest(written)
    assert manifest.datapoints == 70 == sum(manifest.splits.values()) == sum(manifest.lengths.values())
    assert manifest.draws == 20 * len(manifest.shards)
    in_files = sum(entry.datapoints for entry in manifest.shards)
    assert manifest.draws - in_files <= manifest.repeated + manifest.too_large
    assert manifest.vocabulary == VOCABULARY.words
    for entry in manifest.shards:
        assert hashlib.sha256((written / entry.file).read_bytes()).hexdigest() == entry.sha256
    assert set(manifest.lengths) == {"4", "5", "6"}


def test_any_number_of_workers_writes_the_same(written: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        write(tmp_path / "threads", 70, PLAN, pool)
    assert _files(tmp_path / "threads") == _files(written)


def test_the_order_in_which_shards_are_done_does_not_matter(written: Path, tmp_path: Path) -> None:
    with Backwards(5) as pool:
        write(tmp_path / "backwards", 70, PLAN, pool)
    assert _files(tmp_path / "backwards") == _files(written)


def test_what_was_interrupted_goes_on(written: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, note: str) -> None:
        if done > 30:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        write(tmp_path, 70, PLAN, progress=stop)
    there = len(list(tmp_path.glob("shard-*")))
    assert there >= 2
    finished = write(tmp_path, 70, PLAN)
    assert finished.found == there
    assert finished.made == len(read_manifest(written).shards) - there
    assert _files(tmp_path) == _files(written)
    again = write(tmp_path, 70, PLAN)
    assert again.made == 0
    assert again.extrapolation() == "nothing was made in this run, so there is no rate"
    more = write(tmp_path, 100, PLAN)
    assert more.manifest.datapoints == 100
    assert more.found == len(finished.manifest.shards)


def test_a_damaged_shard_is_made_again(written: Path, tmp_path: Path) -> None:
    write(tmp_path, 70, PLAN)
    whole = (tmp_path / "shard-00001.safetensors").read_bytes()
    for damage in (whole[:-5], whole[:50], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        (tmp_path / "shard-00001.safetensors").write_bytes(damage)
        with pytest.raises(CallError, match="shard-00001"):
            list(read(tmp_path))
        assert write(tmp_path, 70, PLAN).made == 1
        assert _files(tmp_path) == _files(written)


def test_what_a_killed_writer_left_is_cleared_away(written: Path, tmp_path: Path) -> None:
    (tmp_path / ".shard-00001.safetensors.4711").write_bytes(b"half a sh")
    write(tmp_path, 70, PLAN)
    assert _files(tmp_path) == _files(written)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sizes", lambda a: a * 1000),
        ("weight_places", lambda a: a + 60_000),
        ("weight_offsets", lambda a: a[::-1].copy()),
        ("token_offsets", lambda a: a[:-1]),
        ("split", lambda a: a + 3),
        ("behaviour", lambda a: a[:-1]),
        ("length", None),
    ],
)
def test_a_forged_shard_is_refused(name: str, change: Any) -> None:
    """Its digest fits, its numbers do not."""
    arrays = dict(decode(make(PLAN, 0).data).arrays)
    whole = arrays.pop(name)
    if change is not None:
        arrays[name] = change(whole)
    metadata = {
        "format": shard.FORMAT,
        "plan": msgspec.to_builtins(PLAN),
        "shard": 0,
        "dropped": {},
        "vocabulary": [],
        "digest": shard._digest(arrays),
    }
    with pytest.raises(CallError, match=r"damaged|not what was written"):
        decode(save(arrays, {"iwb": json.dumps(metadata)}))


def test_another_dataset_is_left_alone(written: Path, tmp_path: Path) -> None:
    before = _files(written)
    with pytest.raises(CallError, match="other settings"):
        write(written, 70, Plan(seed=4, shard_size=20, shortest=4, longest=6))
    assert _files(written) == before
    first = tmp_path / "shard-00000.safetensors"
    first.write_bytes((written / first.name).read_bytes())
    with pytest.raises(CallError, match="another dataset"):
        write(tmp_path, 10, Plan(seed=4))
    assert first.read_bytes() == (written / first.name).read_bytes()


def test_the_test_split_shares_no_program_with_training(tmp_path: Path) -> None:
    plan = Plan(seed=0, shard_size=100, shortest=4, longest=4, held_out=0.2)
    write(tmp_path, 150, plan)
    splits = {name: {p.tokens for p in read(tmp_path, name)} for name in SPLITS}
    assert all(splits.values())
    assert not splits["train"] & splits["test"]
    assert not splits["train"] & splits["val"]
    assert sum(map(len, splits.values())) == 150
    keys = np.random.default_rng(0).integers(2**63, size=100_000).astype(np.uint64) * np.uint64(2)
    shares = np.bincount(split_of(keys, 0.03)) / 100_000
    assert np.allclose(shares, [0.94, 0.03, 0.03], atol=0.003)


def test_equal_programs_of_different_shards_count_once(tmp_path: Path) -> None:
    plan = Plan(seed=0, shard_size=60, shortest=3, longest=3)
    done = write(tmp_path, 100, plan)
    tokens = [p.tokens for p in read(tmp_path)]
    assert len(tokens) == len(set(tokens)) == 100
    assert done.manifest.repeated > 50
    assert any(entry.left_out for entry in done.manifest.shards)


def test_it_ends_where_there_is_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BARREN", 3)
    done = write(tmp_path, 1_000, Plan(shard_size=60, shortest=2, longest=2))
    assert 0 < done.manifest.datapoints < 60
    assert "CPU-hours (published: 1,000)" in done.extrapolation()


def test_models_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    plan = Plan(shard_size=60, shortest=5, longest=5, most_weights=6_000, most_tokens=30)
    done = write(tmp_path, 40, plan)
    assert done.manifest.too_large > 0
    assert max(len(p.weights) for p in read(tmp_path)) <= 6_000
    assert max(len(p.tokens) for p in read(tmp_path)) <= 30


def test_a_dataset_in_memory_gives_batches(written: Path) -> None:
    data = Dataset(written)
    points = list(read(written))
    assert len(data) == 70
    weights, tokens = data.batch([5, 60])
    assert weights.shape == (2, 256, 256)
    assert tokens.shape == (2, 128)
    for row, (i, point) in enumerate((i, points[i]) for i in (5, 60)):
        assert data[i].tokens == point.tokens
        assert np.array_equal(weights[row].ravel()[: len(point.weights)], scaled(point.weights))
        assert tuple(tokens[row, : len(point.tokens)]) == point.tokens
        assert not tokens[row, len(point.tokens) :].any()
    assert len(Dataset(written, "train")) == read_manifest(written).splits["train"]
    with pytest.raises(CallError, match="larger than"):
        data.batch([0], m=512)


def test_a_shard_has_the_same_bytes_every_time() -> None:
    first, again = make(PLAN, 2), make(PLAN, 2)
    assert first.data == again.data
    assert decode(first.data, PLAN).number == 2
    assert make(PLAN, 3).data != first.data


def test_what_is_no_dataset_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no dataset"):
        list(read(tmp_path))
    (tmp_path / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(CallError, match="not the manifest"):
        list(read(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CallError, match="damaged"):
        Dataset(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CallError, match="cannot be made"):
        write(tmp_path / "file", 1, PLAN)
