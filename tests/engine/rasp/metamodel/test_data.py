"""Batches beside the published layout computed the slow way, and splits that share no program."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.rasp.compiler import compile_program
from engine.rasp.metamodel.architecture import Size
from engine.rasp.metamodel.data import Corpus, Row, Source, compiled_of, draw, load, row_of
from engine.rasp.sampling.dataset import read
from engine.rasp.sampling.flatten import flatten, padded
from engine.rasp.sampling.shard import SPLITS, Split
from engine.rasp.sampling.tokens import detokenise
from engine.rasp.sampling.writing import write
from tests.engine.rasp.metamodel.conftest import SOURCE, TINY


def test_a_batch_is_the_published_layout(rows: list[Row], corpus: Corpus) -> None:
    which = np.array([7, 2, 2, 0])
    weights, tokens = corpus.batch(which)
    compiled = [compile_program(detokenise(rows[i].tokens), SOURCE.domain) for i in which]
    wanted = padded([flatten(c) for c in compiled], TINY.m, TINY.d, TINY.padding)
    np.testing.assert_array_equal(weights.numpy(), wanted)
    for row, i in zip(tokens.tolist(), which):
        own = rows[i].tokens
        assert tuple(row[: len(own)]) == own
        assert not any(row[len(own) :])
    assert tokens.shape[1] == max(len(rows[i].tokens) for i in which)


def test_what_does_not_fit_is_left_out_and_counted(rows: list[Row]) -> None:
    large = row_of(np.ones(TINY.m + 1, dtype=np.float32), rows[0].tokens, 3)
    long = rows[0]._replace(tokens=(1,) * (TINY.r + 1))
    found = Corpus([large, *rows, long], TINY)
    assert (len(found), found.dropped) == (len(rows), 2)
    full = row_of(np.ones(TINY.m, dtype=np.float32), rows[0].tokens, 3)
    assert len(Corpus([full], TINY)) == 1


def test_drawn_programs_are_the_same_for_any_number_of_workers_and_in_one_split_only() -> None:
    alone = draw(SOURCE, 60)
    with ThreadPoolExecutor(3) as executor:
        assert _tokens(draw(SOURCE, 60, executor=executor).rows) == _tokens(alone.rows)
    kept = {split: set(tokens) for split, tokens in _tokens(alone.rows).items()}
    assert sum(map(len, kept.values())) == 60 == len(set().union(*kept.values()))
    assert all(kept.values())
    # drawn alone, from other shards, the test split still has nothing of the others
    later = set(_tokens(draw(SOURCE, 30, splits=("test",), first_shard=50).rows)["test"])
    assert not later & (kept["train"] | kept["val"])


def _tokens(rows: dict[Split, list[Row]]) -> dict[Split, list[tuple[int, ...]]]:
    return {split: [row.tokens for row in some] for split, some in rows.items()}


def test_no_more_programs_than_there_are() -> None:
    plan = msgspec.structs.replace(SOURCE.plan, shortest=2, longest=2)
    found = draw(Source(plan=plan), 1_000)
    assert 5 < sum(map(len, found.rows.values())) < 40


def test_a_dataset_on_disk_is_read_split_by_split(tmp_path: Path) -> None:
    write(tmp_path, 50, SOURCE.plan)
    source = msgspec.structs.replace(SOURCE, folder=str(tmp_path))
    for split in SPLITS:
        assert [row.tokens for row in load(source, split)] == [point.tokens for point in read(tmp_path, split)]
    point = next(read(tmp_path, "train"))
    row = load(source, "train")[0]
    dense = np.zeros(row.weights, dtype=np.float32)
    dense[row.places] = row.values
    np.testing.assert_array_equal(dense, padded([point.weights], 65_536).ravel()[: row.weights])


def test_dense_models_are_smaller_and_have_hardly_a_zero(rows: list[Row]) -> None:
    source = msgspec.structs.replace(SOURCE, dense=0.9)
    tokens = rows[0].tokens
    sparse, dense = compiled_of(tokens, SOURCE), compiled_of(tokens, source)
    assert dense.d_model == int(0.9 * sparse.d_model)
    assert np.mean(dense.state["embed.W_E"] != 0) > 0.9
    np.testing.assert_array_equal(flatten(compiled_of(tokens, source)), flatten(dense))
    drawn = draw(source, 5, splits=("train",)).rows["train"]
    assert len(drawn[0].places) > 0.5 * (drawn[0].weights - 200)


@pytest.mark.parametrize(("m", "d", "heads"), [(100, 64, 2), (1024, 64, 3)])
def test_a_size_that_does_not_divide_is_refused(m: int, d: int, heads: int) -> None:
    from engine.rasp.metamodel.architecture import Metamodel
    from sessions.errors import CallError

    with pytest.raises(CallError, match="do not divide"):
        Metamodel(Size(m=m, d=d, heads=heads))
