"""Plain facts that are no steps: what is bundled, which prompts can be made, what this machine has."""

from __future__ import annotations

from typing import Any

from engine.server.protocol import Topic


def facts(topic: Topic) -> dict[str, Any]:
    """The answer to an `Ask`, as plain values."""
    match topic:
        case "models":
            from engine.models.loading import available_models

            return {"models": available_models()}
        case "prompts":
            from engine.prompts.tasks import available_tasks

            return {"prompts": available_tasks()}
        case "rasp":
            return {"library": _library()}
        case "doctor":
            from engine.server.doctor import examination

            return examination()


def _library() -> list[dict[str, Any]]:
    """The RASP programs that come with iwb, as text to start from, and the inputs each is meant for."""
    from engine.rasp.library import LIBRARY, program
    from engine.rasp.printing import to_text

    return [
        {
            "name": name,
            "summary": entry.summary,
            "text": to_text(program(name)),
            "vocab": list(entry.vocab),
            "max_len": entry.max_len,
            "causal": entry.causal,
        }
        for name, entry in LIBRARY.items()
    ]
