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
        case "doctor":
            from engine.server.doctor import examination

            return examination()
