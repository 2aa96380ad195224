"""The models this engine holds in memory: the few used last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from sessions.artifacts import Model

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel, TransformerModel

HELD = 3  # a base model, its fine-tuned sister, and a small one


def _identity(handle: Model) -> bytes:
    return msgspec.json.encode(
        [handle.source, handle.sha256, handle.device, handle.dtype, handle.processing], order="deterministic"
    )


class ModelShelf:
    """Loads a handle's model once, and lets go of the one used longest ago."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, TransformerModel | RecurrentModel] = OrderedDict()

    def load(self, handle: Model) -> TransformerModel | RecurrentModel:
        """The model behind the handle. IwbError when it is gone or is no longer the same (by its sha256)."""
        key = _identity(handle)
        if key not in self._held:
            from engine.models.loading import reload

            self._put(key, reload(handle))
        self._held.move_to_end(key)
        return self._held[key]

    def hold(self, model: TransformerModel | RecurrentModel) -> None:
        self._put(_identity(model.handle), model)

    def _put(self, key: bytes, model: TransformerModel | RecurrentModel) -> None:
        self._held[key] = model
        while len(self._held) > HELD:
            self._held.popitem(last=False)
