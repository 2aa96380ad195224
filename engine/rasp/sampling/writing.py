"""Writing a dataset. A `concurrent.futures.Executor` makes the shards; here each is written in one stroke, and what is
there and whole is not made again. Which datapoints count is decided in the order of the shards, so the folder is the
same, byte for byte, for any number of workers and interruptions."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.rasp.sampling.dataset import MANIFEST, Entry, Manifest, read_manifest
from engine.rasp.sampling.shard import FORMAT, SPLITS, Made, Plan, decode, make
from engine.rasp.sampling.tokens import VOCABULARY
from sessions.errors import CallError, IwbError

AHEAD = 16  # shards in the works at a time
BARREN = 20  # shards one after another that bring nothing new: there are no more such programs
PUBLISHED_PROGRAMS = 1_600_000
PUBLISHED_HOURS = 1_000  # CPU-hours for them, mostly compiling

Progress = Callable[[int, int, str], None]


class Written(NamedTuple):
    manifest: Manifest
    made: int  # shards that were made now
    found: int  # shards that were there
    seconds: float  # of this run
    cpu_seconds: float  # of making the shards of this run, over all workers
    draws: int  # of this run

    @property
    def per_cpu_second(self) -> float:
        return self.draws / self.cpu_seconds if self.cpu_seconds else 0.0

    def extrapolation(self) -> str:
        """What the published dataset would cost at this rate, in a sentence."""
        if not self.draws:
            return "nothing was made in this run, so there is no rate"
        kept = self.manifest.datapoints / max(self.manifest.draws, 1)
        hours = PUBLISHED_PROGRAMS / kept / self.per_cpu_second / 3600
        return (
            f"{self.draws:,} programs in {self.seconds:.1f} s ({self.draws / max(self.seconds, 1e-9):,.0f} a second, "
            f"{self.per_cpu_second:,.0f} per CPU-second, compiling included); {PUBLISHED_PROGRAMS / 1e6:.1f} million "
            f"different ones at this rate: {hours:.2g} CPU-hours (published: {PUBLISHED_HOURS:,})"
        )


def write(
    folder: Path, n: int, plan: Plan, executor: Executor | None = None, progress: Progress | None = None
) -> Written:
    """A dataset of n datapoints, or as many different ones as there are. `executor` makes the shards (None: here).

    CallError: the folder holds another dataset or cannot be written. What `progress` raises ends the work; the shards
    that were finished stay, and the same call goes on from them.
    """
    writing = _Writing(folder, n, plan, executor, progress or (lambda done, total, note: None))
    return writing.run()


class _Writing:
    def __init__(self, folder: Path, n: int, plan: Plan, executor: Executor | None, progress: Progress) -> None:
        self.folder, self.n, self.plan, self.executor, self.progress = folder, n, plan, executor, progress
        self.entries: list[Entry] = []
        self.keys: set[int] = set()
        self.count = self.repeated = self.too_large = self.barren = 0
        self.splits: dict[str, int] = dict.fromkeys(SPLITS, 0)
        self.lengths: dict[int, int] = {}
        self.made = self.found = 0
        self.cpu_seconds = 0.0
        self.waiting: dict[int, Future[Made]] = {}
        self.written: set[int] = set()

    def run(self) -> Written:
        started = time.perf_counter()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CallError(f"cannot be made ({error.strerror})", str(self.folder)) from None
        self._check_manifest()
        for half in self.folder.glob(".shard-*.safetensors.*"):  # a writer that was killed left it
            half.unlink(missing_ok=True)
        try:
            while self.count < self.n and self.barren < BARREN:
                self._take(len(self.entries))
        finally:
            for future in self.waiting.values():
                future.cancel()
        for index in self.written - set(range(len(self.entries))):  # made ahead, and not needed
            self._path(index).unlink(missing_ok=True)
        manifest = self._manifest()
        _write(self.folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        self._say()
        return Written(
            manifest,
            self.made,
            self.found,
            time.perf_counter() - started,
            self.cpu_seconds,
            self.made * self.plan.shard_size,
        )

    def _take(self, index: int) -> None:
        """The shard of that number into the dataset."""
        data = self._existing(index) if index not in self.written else self._path(index).read_bytes()
        if data is None:
            data = self._make(index)
        elif index not in self.written:
            self.found += 1
        shard = decode(data, self.plan)
        keys = shard.arrays["key"].tolist()
        left_out = []
        new = 0
        for i, key in enumerate(keys):
            if key in self.keys:
                self.repeated += 1
                left_out.append(i)
            elif self.count == self.n:
                left_out.append(i)
            else:
                self.keys.add(key)
                self.count += 1
                new += 1
                self.splits[SPLITS[shard.arrays["split"][i]]] += 1
                length = int(shard.arrays["length"][i])
                self.lengths[length] = self.lengths.get(length, 0) + 1
        self.barren = 0 if new else self.barren + 1
        self.repeated += shard.dropped["repeated"]
        self.too_large += shard.dropped["weights"] + shard.dropped["tokens"]
        self.entries.append(
            Entry(
                file=self._path(index).name,
                sha256=hashlib.sha256(data).hexdigest(),
                datapoints=len(keys),
                left_out=tuple(left_out),
            )
        )
        self._say()

    def _existing(self, index: int) -> bytes | None:
        """The shard if it is there and whole. CallError when it is of another dataset."""
        path = self._path(index)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CallError(f"cannot be read ({error.strerror})", str(path)) from None
        try:
            shard = decode(data)
        except CallError:
            return None  # damaged: made again
        if decode(data, self.plan).number != index or shard.number != index:
            return None
        return data

    def _make(self, index: int) -> bytes:
        if self.executor is None:
            return self._keep(make(self.plan, index))
        while index not in self.written:
            self._submit(index)
            done, _ = wait(self.waiting.values(), timeout=0.2, return_when=FIRST_COMPLETED)
            for at in [at for at, future in self.waiting.items() if future in done]:
                self._keep(self.waiting.pop(at).result())
            self._say()
        return self._path(index).read_bytes()

    def _submit(self, index: int) -> None:
        """This shard and those after it that will be needed, as far as one can tell."""
        assert self.executor is not None
        taken = max(len(self.entries), 1)
        expected = max(self.count / taken, self.plan.shard_size / 2 if not self.count else 1)
        needed = index + 1 + int((self.n - self.count) / expected)
        for at in range(index, min(needed, index + AHEAD)):
            if len(self.waiting) >= AHEAD:
                break
            if at not in self.waiting and at not in self.written and (at == index or not self._path(at).exists()):
                self.waiting[at] = self.executor.submit(make, self.plan, at)

    def _keep(self, made: Made) -> bytes:
        _write(self._path(made.number), made.data)
        self.written.add(made.number)
        self.made += 1
        self.cpu_seconds += made.cpu_seconds
        return made.data

    def _path(self, index: int) -> Path:
        return self.folder / f"shard-{index:05d}.safetensors"

    def _say(self) -> None:
        self.progress(self.count, self.n, f"{len(self.entries)} shards")

    def _check_manifest(self) -> None:
        path = self.folder / MANIFEST
        if path.exists() and (there := read_manifest(self.folder)).plan != self.plan:
            old, new = msgspec.structs.asdict(there.plan), msgspec.structs.asdict(self.plan)
            other = ", ".join(f"{name}={old[name]}" for name in old if old[name] != new[name])
            raise CallError(
                f"the folder holds a dataset with other settings ({other})",
                str(self.folder),
                "give the same, or another folder",
            )

    def _manifest(self) -> Manifest:
        return Manifest(
            format=FORMAT,
            plan=self.plan,
            datapoints=self.count,
            draws=len(self.entries) * self.plan.shard_size,
            repeated=self.repeated,
            too_large=self.too_large,
            splits=self.splits,
            lengths={str(length): self.lengths[length] for length in sorted(self.lengths)},
            vocabulary=VOCABULARY.words,
            shards=tuple(self.entries),
        )


def _write(path: Path, data: bytes) -> None:
    """The whole file or nothing."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise IwbError(f"cannot be written ({error.strerror})", str(path)) from None
