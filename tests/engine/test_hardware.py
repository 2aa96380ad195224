"""Devices, free memory, and work that halves its batch when memory runs out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine import hardware
from engine.hardware import (
    choose_device,
    free_memory,
    halving,
    human_bytes,
    is_out_of_memory,
    rows_that_fit,
    torch_dtype,
)
from sessions.errors import CallError, IwbError


def test_the_module_loads_without_torch() -> None:
    code = "import sys, engine.hardware; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == "cpu"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("cuda", "not available on this machine"), ("cdua", "did you mean 'cuda'"), ("cpu:x", "unknown device")],
)
def test_a_device_that_is_not_there_is_refused(wanted: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CallError, match=said):
        choose_device(wanted)


def test_number_formats_by_name() -> None:
    assert torch_dtype("bfloat16") is torch.bfloat16
    with pytest.raises(CallError, match="did you mean 'float16'"):
        torch_dtype("flot16")


def test_sizes_as_a_person_reads_them() -> None:
    assert [human_bytes(n) for n in (512, 1536, 150 * 2**20, 1.5 * 2**30, 2**41)] == [
        "512 B",
        "1.5 KiB",
        "150 MiB",
        "1.5 GiB",
        "2.0 TiB",
    ]


def cgroup(root: Path, limit: str, used: int, cache: int) -> Path:
    (root / "memory.max").write_text(limit + "\n")
    (root / "memory.current").write_text(f"{used}\n")
    (root / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nactive_file 7\n")
    return root


def test_a_containers_limit_counts_and_its_page_cache_does_not(tmp_path: Path) -> None:
    assert hardware._container_memory(cgroup(tmp_path, "1000", 700, 200)) == 500
    assert hardware._container_memory(cgroup(tmp_path, "max", 700, 200)) is None
    assert hardware._container_memory(tmp_path / "none") is None


def test_free_memory_is_no_more_than_the_container_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_container_memory", lambda: 12345)
    assert free_memory("cpu") == 12345


def test_rows_follow_from_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "free_memory", lambda device: 1000)
    assert rows_that_fit(10, share=0.5) == 50
    assert rows_that_fit(10_000) == 1
    assert rows_that_fit(1, most=7) == 7


class Machine:
    """Runs out of memory above `room` rows, as torch says it on each device."""

    def __init__(self, room: int, complaint: Exception) -> None:
        self.room, self.complaint, self.asked = room, complaint, []

    def run(self, start: int, stop: int) -> list[int]:
        self.asked.append(stop - start)
        if stop - start > self.room:
            raise self.complaint
        return list(range(start, stop))


COMPLAINTS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes"
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB). Tried to allocate 3.00 MB on private pool."),
    MemoryError(),
]


@pytest.mark.parametrize("complaint", COMPLAINTS, ids=["cuda", "cpu", "mps", "python"])
def test_chunks_are_halved_until_they_fit_and_every_row_is_run_once(complaint: Exception) -> None:
    machine = Machine(3, complaint)
    results = list(halving(machine.run, 20, 16))
    assert [row for chunk in results for row in chunk] == list(range(20))
    assert machine.asked[:4] == [16, 8, 4, 2]
    assert set(machine.asked[3:]) == {2}  # what did not fit once is not tried again


def test_a_row_that_does_not_fit_says_how_much_it_needed() -> None:
    with pytest.raises(IwbError, match=r"one row needs 2\.0 GiB more than the .* free on cpu; use shorter prompts"):
        list(halving(Machine(0, COMPLAINTS[0]).run, 5, 4))
    with pytest.raises(IwbError, match=r"one row needs 9\.8 KiB more"):
        list(halving(Machine(0, MemoryError()).run, 5, 4, bytes_per_row=10_000))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        list(halving(Machine(0, RuntimeError("shapes do not match")).run, 5, 4))


def test_a_real_allocation_that_cannot_be_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)  # 32 PiB
    assert is_out_of_memory(caught.value)
    assert hardware._asked_for(str(caught.value)) == 2**55


def test_nothing_to_run_runs_nothing() -> None:
    machine = Machine(1, MemoryError())
    assert list(halving(machine.run, 0, 4)) == []
    assert machine.asked == []
