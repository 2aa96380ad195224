"""Where independent units of work run: processes of this machine, or the workers of a Dask cluster (DESIGN, section 5).

Either way it is a `concurrent.futures.Executor`. What is sent to it goes through pickle, between processes that we
started or a cluster that the person named: functions are module-level ones of ours, arguments plain values and arrays.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ParamSpec, TypeVar

from sessions.errors import CallError, IwbError

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 10  # that a cluster's scheduler may take to answer
# One thread each: as many workers as cores must not start as many threads each. -P: a folder named engine/ in the
# user's working directory must never shadow ours.
_CALM = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONSAFEPATH"), "1")
_HOW = 'write "local", "local:4" for four processes, or "tcp://HOST:8786" for a Dask scheduler'


def executor(spec: str = "") -> Executor:
    """The executor that the words name: "" or "local" (one process per core), "local:N", "tcp://HOST:PORT".

    Processes start when the first unit is submitted. `stop` it when done. CallError for words that name none, when the
    extra `dask` is not installed, or the cluster has no workers that know iwb; IwbError when no scheduler answers.
    """
    kind, colon, rest = spec.strip().partition(":")
    if kind in ("", "local") and not (colon and not rest.isdecimal()):
        count = int(rest) if rest else cores()
        if not 1 <= count <= 1024:
            raise CallError(f"'{spec}' asks for {count} processes", "executor", "give a number from 1 to 1024")
        return Processes(count)
    if kind in ("tcp", "tls") and rest.startswith("//") and rest.strip("/"):
        return Cluster(spec.strip())
    raise CallError(f"'{spec}' names no executor", "executor", _HOW)


def check(spec: str) -> None:
    """CallError where `executor` would raise it for the words alone."""
    if spec.strip().startswith(("tcp://", "tls://")):
        return
    executor(spec).shutdown()


def stop(running: Executor, *, at_once: bool = False) -> None:
    """Let go of an executor. `at_once`: units that run are given up too, as after a cancel."""
    if isinstance(running, Processes | Cluster):
        running.stop(at_once=at_once)
    else:
        running.shutdown(wait=not at_once, cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes(ProcessPoolExecutor):
    """Fresh Python processes on this machine. They end with us, however we end."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._started = _Starting()
        super().__init__(count, mp_context=self._started, initializer=_ready)

    def stop(self, *, at_once: bool = False) -> None:
        self.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            for process in self._started.processes:
                process.kill()
            for process in self._started.processes:
                process.join(5)


class Cluster(Executor):
    """The workers of a Dask cluster, through its client."""

    def __init__(self, address: str) -> None:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError:
            raise CallError(
                "Dask is not installed here", f"executor {address}", "pip install 'iwb[dask]', or use --executor local"
            ) from None
        try:
            self._client = distributed.Client(address, timeout=SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise IwbError(
                f"no Dask scheduler answers ({str(error) or type(error).__name__})",
                f"executor {address}",
                "start one (dask scheduler) and check host and port",
            ) from None
        try:
            self.count = sum(self._client.nthreads().values())
            if not self.count:
                raise CallError(
                    "the cluster has no workers", f"executor {address}", f"start some: dask worker {address}"
                )
            self._ask_for_iwb(address)
        except BaseException:
            self._client.close()
            raise
        self._inner: Executor = self._client.get_executor()

    def _ask_for_iwb(self, address: str) -> None:
        """The workers run our functions, so they need the same packages."""
        try:
            self._client.run(cores)
        except Exception as error:  # whatever a worker says that cannot import it
            raise CallError(
                f"the cluster's workers cannot run iwb ({type(error).__name__}: {error})",
                f"executor {address}",
                "install the same iwb for them",
            ) from None

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        # Dask gives the same result for the same call; units draw random numbers from their arguments, so this is pure.
        made: Future[Any] = self._inner.submit(fn, *args, **kwargs)
        return made

    def map(self, fn: Any, *iterables: Any, timeout: float | None = None, chunksize: int = 1) -> Iterator[Any]:
        made: Iterator[Any] = self._inner.map(fn, *iterables, timeout=timeout)
        return made

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.stop(at_once=not wait)

    def stop(self, *, at_once: bool = False) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot be said goodbye to
            self._inner.shutdown(wait=not at_once)
        with contextlib.suppress(Exception):
            self._client.close()


class _Starting(SpawnContext):
    """How processes are started: calmly, and remembered."""

    def __init__(self) -> None:
        self.processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = _CalmProcess(*args, **kwargs)
        self.processes.append(process)
        return process


_environment = threading.Lock()


class _CalmProcess(SpawnProcess):
    def start(self) -> None:
        """A child takes its environment from ours; numpy reads the number of threads before any code of ours runs."""
        with _environment:
            before = {name: os.environ.get(name) for name in _CALM}
            os.environ.update(_CALM)
            try:
                super().start()
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value


def _ready() -> None:
    """In a new process: Ctrl-C is for the parent, and without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
