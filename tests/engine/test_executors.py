"""Units run elsewhere: in processes of ours, or on a cluster (a real Dask scheduler where `distributed` is installed,
and always a double with its interface)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.executors import Processes, check, cores, executor, stop
from sessions.errors import CallError, IwbError

from .units import die, fail, sleep, square, surroundings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _units_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)  # as the child's path is ours


@pytest.fixture
def two() -> Iterator[Any]:
    made = executor("local:2")
    yield made
    stop(made, at_once=True)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and ") Z " in status.read_text():  # dead, and not yet buried
            return True
        time.sleep(0.02)
    return False


def test_units_run_in_calm_processes_of_their_own(two: Any) -> None:
    before = dict(os.environ)
    there = two.submit(surroundings).result()
    assert there["pid"] != os.getpid()
    assert there["threads"] == "1"
    assert there["safe"]
    assert not there["torch"]  # starting must not cost what nobody asked for
    assert dict(os.environ) == before
    assert list(two.map(square, range(10))) == [x * x for x in range(10)]
    with pytest.raises(ValueError, match="as told"):
        two.submit(fail).result()


def test_stopping_at_once_ends_what_runs(two: Any) -> None:
    pid = two.submit(sleep, 0).result()
    running = two.submit(sleep, 600)
    waiting = [two.submit(sleep, 600) for _ in range(5)]
    stop(two, at_once=True)
    assert gone(pid)
    assert waiting[-1].cancelled()
    with pytest.raises((BrokenExecutor, CancelledError)):
        running.result(20)


def test_a_process_that_dies_is_told_as_such(two: Any) -> None:
    with pytest.raises(BrokenExecutor):
        two.submit(die).result()


def test_no_process_outlives_us() -> None:
    code = (
        "import os, sys\nfrom engine.executors import executor\nfrom tests.engine.units import sleep\n"
        "if __name__ == '__main__':\n    e = executor('local:1')\n    print(e.submit(sleep, 0).result(), flush=True)\n"
        "    e.submit(sleep, 600)\n    sys.stdin.read()\n    os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.communicate("")
    assert process.returncode == -9
    assert gone(pid)


def test_how_many() -> None:
    for spec, count in (("", cores()), ("local", cores()), ("local:3", 3)):
        made = executor(spec)
        assert isinstance(made, Processes)
        assert made.count == count
        stop(made)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("locl", "'locl' names no executor; write \"local\""),
        ("local:", "'local:' names no executor"),
        ("local:two", "'local:two' names no executor"),
        ("local:0", "'local:0' asks for 0 processes"),
        ("local:5000", "asks for 5000 processes; give a number from 1 to 1024"),
        ("tcp://", "'tcp://' names no executor"),
        ("http://x:1", "'http://x:1' names no executor"),
    ],
)
def test_other_words_are_refused(spec: str, sentence: str) -> None:
    for asked in (executor, check):
        if asked is check and spec == "tcp://":
            continue
        with pytest.raises(CallError) as refused:
            asked(spec)
        assert sentence in str(refused.value)


class Double:
    """What we use of distributed.Client."""

    def __init__(self, address: str, *, timeout: float, set_as_default: bool) -> None:
        self.address, self.closed = address, False
        self.threads: dict[str, int] = {"tcp://a": 2, "tcp://b": 3}
        self.error: Exception | None = None
        assert not set_as_default
        made.append(self)
        if "nobody" in address:
            raise OSError(f"Timed out trying to connect to {address} after {timeout} s")
        if "empty" in address:
            self.threads = {}

    def nthreads(self) -> dict[str, int]:
        return self.threads

    def run(self, function: Any) -> dict[str, Any]:
        if "strange" in self.address:
            raise ModuleNotFoundError("No module named 'engine'")
        return {name: function() for name in self.threads}

    def get_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(2)

    def close(self) -> None:
        self.closed = True


made: list[Double] = []


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Double))


@pytest.mark.usefixtures("double")
def test_a_cluster_is_an_executor() -> None:
    cluster = executor("tcp://host:8786")
    assert cluster.submit(square, 7).result() == 49
    assert list(cluster.map(square, [1, 2, 3])) == [1, 4, 9]
    assert cluster.count == 5  # type: ignore[attr-defined]
    stop(cluster)
    assert made[0].closed


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("address", "kind", "sentence"),
    [
        ("tcp://nobody:1", IwbError, "no Dask scheduler answers (Timed out"),
        ("tcp://empty:1", CallError, "the cluster has no workers; start some: dask worker tcp://empty:1"),
        ("tcp://strange:1", CallError, "the cluster's workers cannot run iwb"),
    ],
)
def test_a_cluster_that_cannot_be_used(address: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as refused:
        executor(address)
    assert sentence in str(refused.value)
    assert made[0].closed or "nobody" in address


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CallError, match=r"Dask is not installed here; pip install 'iwb\[dask\]'"):
        executor("tcp://host:8786")


@pytest.mark.slow
def test_a_real_scheduler() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        ours = executor(cluster.scheduler_address)
        futures = [ours.submit(square, x) for x in range(20)]
        assert [future.result(30) for future in futures] == [x * x for x in range(20)]
        assert list(ours.map(square, [3, 4])) == [9, 16]
        with pytest.raises(ValueError, match="as told"):
            ours.submit(fail).result(30)
        stop(ours, at_once=True)
    with pytest.raises(IwbError, match="no Dask scheduler answers"):
        executor("tcp://127.0.0.1:9")
