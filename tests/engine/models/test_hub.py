"""Checkpoints by name: the cache first, then the hub, and what the hub may answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from engine.models import hub
from engine.models.checkpoints import INDEX
from sessions.errors import CallError, IwbError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put(cache: Path, name: str, *files: str) -> Path:
    """A snapshot as the hub's library lays it out."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for file in files:
        (snapshot / file).write_text("{}")
    return snapshot


class Hub:
    """What `model_info` and `snapshot_download` would do on the network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, int], error: Exception | None = None) -> None:
        self.error, self.asked = error, []
        siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in files.items()]
        self.info = SimpleNamespace(sha=COMMIT, siblings=siblings, safetensors=SimpleNamespace(total=1234))
        self._real = huggingface_hub.snapshot_download
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", self.model_info)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def model_info(self, name: str, **settings: Any) -> Any:
        if self.error is not None:
            raise self.error
        assert 0 < settings["timeout"] <= 10
        return self.info

    def snapshot_download(self, name: str, **settings: Any) -> str:
        if settings.get("local_files_only"):
            return self._real(name, **settings)
        self.asked.append(settings)
        return "/downloaded"


def test_what_is_in_the_cache_is_used_without_the_network(cache: Path) -> None:
    snapshot = put(cache, "org/tiny", "config.json", "model.safetensors")
    assert hub.fetch("org/tiny") == hub.Fetched(snapshot, COMMIT)


def test_a_snapshot_without_all_its_weights_is_not_whole(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = put(cache, "org/tiny", "config.json", "a.safetensors")
    (snapshot / INDEX).write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
    assert hub.fetch("org/tiny", weights=False).folder == snapshot
    online = Hub(monkeypatch, {"a.safetensors": 10, "b.safetensors": 10})
    assert hub.fetch("org/tiny").folder == Path("/downloaded")
    assert online.asked[0]["revision"] == COMMIT
    assert "*.safetensors" in online.asked[0]["allow_patterns"]
    (snapshot / "b.safetensors").write_text("{}")
    assert hub.fetch("org/tiny").folder == snapshot


def test_only_small_files_are_fetched_to_look_at_a_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online = Hub(monkeypatch, {"model.safetensors": 10})
    hub.fetch("org/tiny", weights=False)
    assert "*.safetensors" not in online.asked[0]["allow_patterns"]
    assert hub.published_parameters("org/tiny") == 1234


def test_pickles_on_the_hub_are_not_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online = Hub(monkeypatch, {"pytorch_model.bin": 10, "onnx/model.safetensors": 10})
    with pytest.raises(CallError, match="no safetensors weights, and a pickle is never loaded"):
        hub.fetch("org/tiny")
    assert online.asked == []


def test_a_full_disk_is_noticed_before_the_download(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online = Hub(monkeypatch, {"model.safetensors": 3 * 2**30})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    with pytest.raises(IwbError, match=r"the weights take 3\.0 GiB and 1\.0 GiB are free"):
        hub.fetch("org/tiny")
    assert online.asked == []


def answered(kind: type[errors.HfHubHTTPError]) -> Exception:
    made: Exception = kind.__new__(kind)
    made.args = ("as the hub says it",)
    return made


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answered(errors.RepositoryNotFoundError), CallError, "Hugging Face has no model 'tpp', or it is private"),
        (answered(errors.GatedRepoError), CallError, "accepted its terms"),
        (TimeoutError("slow"), IwbError, r"cannot be reached \(TimeoutError\); did you mean 'zoo:tpp'"),
        (errors.OfflineModeIsEnabled("off"), IwbError, r"cannot be reached \(OfflineModeIsEnabled\)"),
        (OSError("a test reached for the network"), IwbError, "cannot be reached"),
    ],
)
def test_the_hubs_refusals_are_one_sentence(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[IwbError], said: str
) -> None:
    Hub(monkeypatch, {}, error)
    with pytest.raises(kind, match=said) as caught:
        hub.fetch("tpp")
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
