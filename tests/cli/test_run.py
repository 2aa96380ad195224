"""`iwb run` and `iwb show`: the JSON of the README, and one sentence for every mistake."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.server.client import start_engine
from engine.server.places import running
from sessions.file import SessionFile

from .conftest import Call


def test_run_prints_the_step_and_its_artifacts_as_the_readme_says(iwb: Call) -> None:
    said = iwb("run", "a.iwb", "models.load", "source=zoo:induction", "--json").json()
    assert said["step"] == 1
    assert said["status"] == "done"
    assert said["seconds"] >= 0
    (artifact,) = said["artifacts"]
    assert set(artifact) == {"id", "kind", "title", "summary"}
    assert (artifact["id"], artifact["kind"]) == (1, "model")


def test_a_sweep_by_reference_and_its_matrix_whole(loaded: Call) -> None:
    done = loaded(
        "run", "a.iwb", "circuits.head_sweep", "model=@1", "prompts=@2", "ablation=zero", "metric=loss", "--json"
    ).json()
    matrix = next(a for a in done["artifacts"] if a["kind"] == "matrix")
    whole = loaded("show", "a.iwb", f"@{matrix['id']}", "--json").json()
    assert whole["kind"] == "matrix"
    assert np.array(whole["values"], dtype=float).shape == (2, 4)
    assert [axis["name"] for axis in whole["axes"]] == ["layer", "head"]
    again = loaded(
        "run", "a.iwb", "circuits.head_sweep", "model=@last", "prompts=@last", "metric=loss", "--json"
    ).json()
    assert again["cached"]
    assert again["step"] == done["step"]


def test_a_source_stands_for_a_model_and_its_loading_is_recorded(loaded: Call) -> None:
    done = loaded("run", "b.iwb", "prompts.make", "task=induction", "n=4", "model=zoo:induction", "--json").json()
    assert done["step"] == 2
    steps = loaded("show", "b.iwb", "--json").json()["steps"]
    assert [s["operation"] for s in steps] == ["models.load", "prompts.make"]
    assert steps[1]["parameters"]["model"] == "@1"


def test_the_timeline_as_json_is_the_readmes(loaded: Call) -> None:
    document = loaded("show", "a.iwb", "--json").json()
    step = document["steps"][1]
    assert step["command"] == "prompts.make task=induction n=8 model=@1 --seed 1"
    assert (step["seed"], step["status"], step["inputs"]) == (1, "done", {"model": 1})
    assert step["environment"]["iwb"]
    assert [a["kind"] for a in step["artifacts"]] == ["prompts"]


def test_a_large_artifact_is_written_beside(iwb: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.show.LISTED_NUMBERS", 3)
    iwb("run", "a.iwb", "prompts.make", "task=induction", "n=4", "model=zoo:induction")
    done = iwb("run", "a.iwb", "circuits.head_sweep", "model=@1", "prompts=@2", "metric=loss", "--json").json()
    shown = iwb("show", "a.iwb", str(done["artifacts"][0]["id"]), "--json").json()
    with np.load(shown["arrays"], allow_pickle=False) as arrays:
        assert arrays[shown["values"]["$array"]].shape == (2, 4)


def wrong(iwb: Call, *words: str) -> str:
    said = iwb(*words)
    assert said.status == 2, said
    assert said.out == ""
    return said.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run a.iwb circuits.head_swep", "unknown operation 'circuits.head_swep'; did you mean 'circuits.head_sweep'?"),
        ("run a.iwb circuits.head_sweep modle=@1", "unknown parameter 'modle'; did you mean 'model'?"),
        ("run a.iwb circuits.head_sweep prompts=@2", "parameter 'model' is missing"),
        ("run a.iwb circuits.head_sweep model=@1 prompts=@2 ablation=zreo", "did you mean 'zero'?"),
        ("run a.iwb circuits.head_sweep model=@2 prompts=@2", "@2 is a prompts, not a model; use @1"),
        ("run a.iwb circuits.head_sweep model=@9 prompts=@2", "there is no artifact @9"),
        ("run a.iwb prompts.make task=tpp n=many", "'many' does not fit parameter 'n'; give a whole number"),
        ("run a.iwb prompts.make task=tpp n=0", "n=0 is out of range"),
        ("run a.iwb prompts.make tpp", "'tpp' is not a parameter"),
        ("run a.iwb prompts.make task=tpp task=ioi", "given twice"),
        ("run a.iwb prompts.make task=tpp --device cpu", "--device means nothing to prompts.make"),
        ("run a.iwb prompts.open path=none.csv", "none.csv"),
        ("run a.iwb models.load source=zoo:tpq", "zoo:tpp"),
        ("run a.iwb none.toml", "none.toml"),
        ("run", "required: file, operation"),
        ("show none.iwb", "there is no such session file"),
        ("show a.iwb 99", "there is no artifact @99"),
        ("show a.iwb step99", "there is no step 99"),
        ("show a.iwb what", "neither an artifact nor a step"),
        ("export a.iwb --to docx", "invalid choice: 'docx'"),
        ("ops circuits.hed_sweep", "did you mean 'circuits.head_sweep'?"),
        ("swho a.iwb", "unknown command 'swho'; did you mean 'show'?"),
        ("swho", "neither a command nor a session file"),
        ("attach 7", "there is no engine 7"),
        ("new.iwb", "the workbench needs a terminal"),
        ("bench nonsense", "there is no benchmark 'nonsense'"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2_and_loses_nothing(loaded: Call, words: str, sentence: str) -> None:
    before = loaded("show", "a.iwb", "--json").json()["steps"]
    assert sentence in wrong(loaded, *words.split())
    after = loaded("show", "a.iwb", "--json").json()["steps"]
    assert after[: len(before)] == before


def test_a_pickle_is_refused_and_never_loaded(iwb: Call, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    assert "pickle" in wrong(iwb, "run", "a.iwb", "models.load", f"source={folder}")
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "weights.json").write_text('{"family": "transformer"}')
    wrong(iwb, "run", "a.iwb", "models.load", "source=weights.safetensors")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(200)])
def test_a_foreign_file_is_refused_by_every_command_and_left_as_it_is(
    iwb: Call, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "other.iwb"
    file.write_bytes(content)
    for words in (
        "show other.iwb",
        "run other.iwb models.load source=zoo:tpp",
        "replay other.iwb",
        "export other.iwb --to md",
    ):
        wrong(iwb, *words.split())
    assert file.read_bytes() == content


def test_a_session_that_is_being_written_elsewhere_is_named(iwb: Call, tmp_path: Path) -> None:
    with SessionFile.open(tmp_path / "a.iwb", create=True):
        code = (
            "import sys; from cli.main import main; sys.exit(main(['run', 'a.iwb', 'prompts.make', 'task=tpp', 'n=3']))"
        )
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"written by another iwb (process {os.getpid()}" in done.stderr


def test_run_hands_its_step_to_the_engine_that_holds_the_file(iwb: Call, tmp_path: Path) -> None:
    start_engine(tmp_path / "a.iwb")
    engine = running()[0].pid
    try:
        said = iwb("run", "a.iwb", "models.load", "source=zoo:rnn/Parity_All", "--json").json()
        assert said["status"] == "done"
        with SessionFile.open(tmp_path / "a.iwb", readonly=True) as session:
            assert session.step(1).environment.peak_memory_bytes > 0
        assert wrong(iwb, "run", "a.iwb", "models.load", "source=zoo:nothing")
        assert str(tmp_path / "a.iwb") in iwb("attach").out
    finally:
        os.kill(engine, signal.SIGTERM)


def test_ctrl_c_cancels_with_status_130_and_the_same_command_goes_on(iwb: Call, tmp_path: Path) -> None:
    iwb("run", "a.iwb", "prompts.make", "task=induction", "n=3000", "model=zoo:induction")
    words = ["run", "a.iwb", "circuits.head_sweep", "model=@1", "prompts=@2", "metric=loss", "batch=20"]
    command = [sys.executable, "-P", "-m", "cli.main", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "circuits.head_sweep" in line and "0/1 " not in line:
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    with SessionFile.open(tmp_path / "a.iwb", readonly=True) as session:
        assert session.step(3).status == "cancelled"
        kept = len(session.checkpoints(3))
        assert kept > 0
    assert iwb(*words, "--json").json()["step"] == 3


def test_recipes_run_and_come_back_out(loaded: Call, tmp_path: Path) -> None:
    loaded("export", "a.iwb", "--to", "recipe", "-o", "a.toml")
    done = loaded("run", "b.iwb", "a.toml", "--json").json()
    assert [s["operation"] for s in done["steps"]] == ["models.load", "prompts.make"]
    (tmp_path / "bad.toml").write_text('[[step]]\nid = "x"\noperation = "models.laod"\n')
    assert "models.load" in wrong(loaded, "run", "c.iwb", "bad.toml")


def test_replay_verifies_and_notices_a_difference(loaded: Call, tmp_path: Path) -> None:
    loaded("run", "a.iwb", "circuits.head_sweep", "model=@1", "prompts=@2", "metric=loss")
    said = loaded("replay", "a.iwb", "--verify")
    assert said.status == 0, said
    assert "every step gave the same result" in said.out
    with SessionFile.open(tmp_path / "a.iwb") as session:  # as if another machine had recorded another number
        stored = session.artifacts(3)[0]
        artifact = session.artifact(stored.id)
        changed = msgspec.structs.replace(artifact, values=artifact.values + 0.01)  # type: ignore[union-attr]
        from sessions.codec import encode

        encoded = encode(changed)
        with session.writing() as db:
            db.execute(
                "UPDATE artifacts SET arrays = ?, document = ?, sha256 = ? WHERE id = ?",
                (encoded.arrays, encoded.document.decode(), encoded.sha256, stored.id),
            )
    said = loaded("replay", "a.iwb", "--verify")
    assert said.status == 1
    assert "differs" in said.out
    assert [s["status"] for s in msgspec.json.decode(loaded("replay", "a.iwb", "--verify", "--json").out)["steps"]] == [
        "same",
        "same",
        "differs",
    ]


@pytest.mark.parametrize("words", ["ops", "ops circuits.head_sweep", "models", "prompts", "doctor"])
def test_listings_are_text_for_people_and_one_json_document_for_programs(iwb: Call, words: str) -> None:
    assert iwb(*words.split()).out.strip()
    assert iwb(*words.split(), "--json").json()


def test_lists_of_references_are_run_exported_run_from_the_recipe_and_replayed(loaded: Call, tmp_path: Path) -> None:
    loaded("run", "a.iwb", "prompts.make", "task=induction", "n=4", "model=@1", "--seed", "2")
    words = ("circuits.baselines", "models=zoo:induction", "prompts=@2,@3", "--json")
    done = loaded("run", "a.iwb", *words).json()
    table = loaded("show", "a.iwb", f"@{done['artifacts'][0]['id']}", "--json").json()
    assert [row[5] for row in table["rows"]] == [8, 4]  # n of each set
    assert loaded("run", "a.iwb", *words).json()["cached"]
    assert "circuits.baselines models=@1 prompts=@2,@3" in loaded("show", "a.iwb").out
    loaded("export", "a.iwb", "--to", "recipe", "-o", "r.toml")
    text = (tmp_path / "r.toml").read_text()
    again = loaded("run", "b.iwb", "r.toml", "--json").json()["steps"][-1]
    shown = loaded("show", "b.iwb", f"@{again['artifacts'][0]['id']}", "--json").json()
    assert shown["rows"] == table["rows"]
    assert loaded("replay", "a.iwb", "--verify").status == 0
    (tmp_path / "wrong.toml").write_text(text.replace('"@prompts2",', '"@promts2",'))
    wrong = loaded("run", "c.iwb", "wrong.toml")
    assert wrong.status == 2
    assert "'@promts2' refers to no step; did you mean 'prompts2'?" in wrong.sentence
    assert "list of @ID of prompts, written @1,@2" in loaded("run", "a.iwb", words[0], words[1], "prompts=@2,").sentence


def test_every_operation_is_listed_with_help_for_every_parameter(iwb: Call) -> None:
    operations = iwb("ops", "--json").json()["operations"]
    assert {"models.load", "prompts.make", "prompts.open", "circuits.head_sweep", "synthesis.extract"} <= {
        o["name"] for o in operations
    }
    for operation in operations:
        assert operation["summary"]
        for field in operation["fields"]:
            assert field["help"], (operation["name"], field["name"])
