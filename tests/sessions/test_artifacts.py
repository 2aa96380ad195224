"""Artifacts: kinds, what a verdict means, and how weight processing is said."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from sessions.artifacts import KINDS, AnyArtifact, Kind, Text, Verdict, WeightProcessing


def test_the_list_of_kinds_is_the_same_everywhere() -> None:
    assert set(KINDS) == set(get_args(Kind))
    assert set(KINDS.values()) == set(get_args(AnyArtifact))


def test_an_artifact_knows_its_kind_and_does_not_change(kinds: dict[str, AnyArtifact]) -> None:
    for artifact in kinds.values():
        assert KINDS[artifact.kind] is type(artifact)
        with pytest.raises(AttributeError):
            artifact.title = "other"  # type: ignore[misc]


def test_facts_are_not_shared_between_artifacts() -> None:
    first, second = Text(title="a", markdown=""), Text(title="b", markdown="")
    first.facts["n"] = 1
    assert second.facts == {}


@pytest.mark.parametrize(("agreed", "tested", "holds"), [(10, 10, True), (9, 10, False), (0, 0, False), (0, 10, False)])
def test_a_verdict_holds_when_all_of_something_agreed(agreed: int, tested: int, holds: bool) -> None:
    assert Verdict("the network", agreed, tested, True, "all").holds is holds


def test_a_verdict_says_whether_it_saw_everything() -> None:
    whole = Verdict("the network", 1024, 1024, True, "all bit sequences of length 10")
    assert str(whole) == (
        "agrees with the network on 1,024 of 1,024 sequences (all bit sequences of length 10; all there are)"
    )
    part = Verdict("the target", 9, 10, False, "10 sequences", "[1, 0]")
    assert str(part) == (
        "agrees with the target on 9 of 10 sequences (10 sequences; a sample, not all); first difference: [1, 0]"
    )


def test_weight_processing_is_said_in_words() -> None:
    assert str(WeightProcessing()) == "as trained"
    assert str(WeightProcessing(fold_ln=True, center_unembed=True)) == "fold_ln+center_unembed"
    flags = WeightProcessing.__struct_fields__
    assert str(WeightProcessing(**dict.fromkeys(flags, True))) == "+".join(flags)


def test_an_unknown_kind_is_not_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"kind": "picture", "title": "t"}', type=AnyArtifact)
