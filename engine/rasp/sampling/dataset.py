"""A dataset of programs and the weights they compile to, as it lies in a folder: shards and a manifest that says which
of their datapoints count (of equal token sequences the first one does). `writing.write` makes one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int64

from engine.rasp.sampling.flatten import MOST_TOKENS, MOST_WEIGHTS, PADDING, PIECE, Sizes, padded
from engine.rasp.sampling.shard import FORMAT, SPLITS, Plan, Shard, Split, decode
from sessions.errors import CallError

MANIFEST = "manifest.json"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A shard in the manifest."""

    file: str
    sha256: str
    datapoints: int  # in the file
    left_out: tuple[int, ...]  # of those: their token sequence is in an earlier shard, or there are enough


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    plan: Plan
    datapoints: int  # that count: those left out are not among them
    draws: int
    repeated: int  # draws whose token sequence came before
    too_large: int  # draws left out because of their weights or tokens
    splits: dict[str, int]
    lengths: dict[str, int]
    vocabulary: tuple[str, ...]
    shards: tuple[Entry, ...]


class Datapoint(NamedTuple):
    weights: Float32[np.ndarray, " weights"]  # as `flatten.flatten` lays them out
    tokens: tuple[int, ...]  # BOS to EOS
    sizes: Sizes
    text: str
    length: int  # tokens and indices counted
    split: Split


def read_manifest(folder: Path) -> Manifest:
    """What a dataset holds. CallError when the folder has none, or one of another format."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CallError(f"holds no dataset ({error.strerror})", str(folder), "make one with rasp.dataset") from None
    except ValueError:
        raise CallError("is damaged", str(path)) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CallError("is not the manifest of a RASP dataset", str(path), f"this version reads {FORMAT}")
    try:
        return msgspec.convert(found, Manifest)
    except msgspec.ValidationError as error:
        raise CallError(f"is damaged ({error})", str(path)) from None


class Dataset:
    """A dataset, or one split of it, in memory (weights where they are not zero): about 2 KiB a program."""

    def __init__(self, folder: Path, split: Split | None = None) -> None:
        """CallError: no dataset there, or a shard of it is missing or damaged."""
        self.manifest = read_manifest(folder)
        self._shards = [
            (shard, _chosen(shard, entry, split))
            for entry in self.manifest.shards
            for shard in [_read(folder / entry.file, self.manifest.plan)]
        ]
        self._at = [(shard, i) for shard, some in self._shards for i in some]

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, i: int) -> Datapoint:
        shard, at = self._at[i]
        return _datapoint(shard, at)

    def by_shard(self) -> Iterator[tuple[Shard, list[int]]]:
        """Every shard, and which of its datapoints belong here."""
        yield from self._shards

    def batch(
        self,
        which: Iterable[int],
        *,
        m: int = MOST_WEIGHTS,
        piece: int = PIECE,
        r: int = MOST_TOKENS,
        padding: float = PADDING,
    ) -> tuple[Float32[np.ndarray, "batch pieces piece"], Int64[np.ndarray, "batch r"]]:
        """Weights and program tokens of some datapoints as a meta-model reads them (PAD is 0).

        CallError: a model larger than m or a program longer than r.
        """
        chosen = [self._at[i] for i in which]
        programs: np.ndarray[Any, np.dtype[np.int64]] = np.zeros((len(chosen), r), dtype=np.int64)
        for row, (shard, at) in zip(programs, chosen):
            tokens = shard.tokens(at)
            if len(tokens) > r:
                raise CallError(f"a program of {len(tokens)} tokens is longer than {r}", "tokens")
            row[: len(tokens)] = tokens
        return padded([shard.weights(at) for shard, at in chosen], m, piece, padding), programs


def read(folder: Path, split: Split | None = None) -> Iterator[Datapoint]:
    """The datapoints in order, shard by shard. CallError: no dataset there, or a shard is missing or damaged."""
    manifest = read_manifest(folder)
    for entry in manifest.shards:
        shard = _read(folder / entry.file, manifest.plan)
        for i in _chosen(shard, entry, split):
            yield _datapoint(shard, i)


def _chosen(shard: Shard, entry: Entry, split: Split | None) -> list[int]:
    out = set(entry.left_out)
    splits = shard.arrays["split"].tolist()
    return [i for i, which in enumerate(splits) if i not in out and split in (None, SPLITS[which])]


def _read(path: Path, plan: Plan) -> Shard:
    try:
        return decode(path.read_bytes(), plan)
    except OSError as error:
        raise CallError(
            f"cannot be read ({error.strerror})", str(path), "write the dataset again: it will be made"
        ) from None
    except CallError as error:
        raise CallError(error.what, str(path), "write the dataset again: it will be made anew") from None


def _datapoint(shard: Shard, i: int) -> Datapoint:
    return Datapoint(
        weights=shard.weights(i),
        tokens=shard.tokens(i),
        sizes=shard.sizes(i),
        text=shard.text(i),
        length=int(shard.arrays["length"][i]),
        split=SPLITS[shard.arrays["split"][i]],
    )
