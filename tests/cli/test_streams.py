"""What `iwb` does when the streams, the folder or the file system around it are not what they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sessions.artifacts import Axis, Matrix
from sessions.file import SessionFile
from sessions.steps import Environment

from .conftest import Call

IWB = f"{sys.executable} -P -m cli.main"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        (f"{IWB} ops >/dev/full", 1, "No space left on device"),
        (f"{IWB} ops >&-", 0, ""),
        (f"{IWB} x.iwb <&-", 2, "the workbench needs a terminal"),
        (f"mkdir gone; cd gone; rmdir ../gone; {IWB} show x.iwb", 1, "the working folder is gone"),
        (f"{IWB} run models.load source=zoo:tpp", 2, "write iwb run FILE.iwb OPERATION"),
    ],
)
def test_odd_surroundings_are_one_sentence(tmp_path: Path, command: str, status: int, sentence: str) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == status
    assert "this is a bug" not in done.stderr
    assert sentence in done.stderr


def test_a_closed_pipe_for_messages_does_not_stop_the_work(iwb: Call, tmp_path: Path) -> None:
    shell(f"{IWB} run a.iwb prompts.make task=tpp n=5 2>&1 | true", tmp_path)
    assert iwb("show", "a.iwb", "--json").json()["steps"][0]["status"] == "done"


def test_replay_names_an_input_it_could_not_make(iwb: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("prompt,answer\na b,c\n")
    iwb("run", "a.iwb", "prompts.open", "path=mine.csv")
    assert iwb("run", "a.iwb", "prompts.look", "prompts=@1", "model=zoo:induction").err.count("bug") == 0
    (tmp_path / "mine.csv").unlink()
    said = iwb("replay", "a.iwb", "--verify")
    assert said.status == 1
    assert "its input @1 could not be made again" in said.err
    assert "bug" not in said.err


def test_a_changed_prompt_file_is_read_again(iwb: Call, tmp_path: Path) -> None:
    for n, text in enumerate(("prompt,answer\na b,c\n", "prompt,answer\na b,d\n"), start=1):
        (tmp_path / "mine.csv").write_text(text)
        assert iwb("run", "a.iwb", "prompts.open", "path=mine.csv", "--json").json()["step"] == n


def test_a_large_artifact_of_a_read_only_folder_is_written_where_one_may(
    iwb: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with SessionFile.open(theirs / "a.iwb", create=True) as session:
        step = session.add_step(operation="x", version=1, parameters={}, seed=0, key="k", inputs={})
        big = Matrix(title="big", values=np.zeros((400, 400)), axes=(Axis("a"), Axis("b")))
        session.finish(step.id, [big], seconds=0, environment=Environment())
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != theirs and access(path, mode))
    assert iwb("show", "theirs/a.iwb", "1", "--json").json()["arrays"] == str(tmp_path / "a-1.npz")
