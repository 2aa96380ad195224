"""The models this engine holds in memory: the few used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sessions.artifacts import Model
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel, TransformerModel

HELD = 4  # a base model and its three fine-tuned sisters


def _identity(handle: Model) -> bytes:
    return msgspec.json.encode(
        [handle.source, handle.sha256, handle.device, handle.dtype, handle.processing], order="deterministic"
    )


SESSION = "session:"  # how the source of a model begins whose weights a step kept in the session file


class ModelShelf:
    """Loads a handle's model once, and lets go of the one used longest ago. `stored` gives the weights that the session
    holds under a sha256."""

    def __init__(self, stored: Callable[[str], bytes]) -> None:
        self._stored = stored
        self._held: OrderedDict[bytes, TransformerModel | RecurrentModel] = OrderedDict()

    def load(self, handle: Model) -> TransformerModel | RecurrentModel:
        """The model behind the handle. IwbError when it is gone or is no longer the same (by its sha256)."""
        key = _identity(handle)
        if key not in self._held:
            self._put(key, self._loaded(handle))
        self._held.move_to_end(key)
        return self._held[key]

    def _loaded(self, handle: Model) -> TransformerModel | RecurrentModel:
        if not handle.source.startswith(SESSION):
            from engine.models.loading import reload

            return reload(handle)
        from engine.hardware import choose_device, torch_dtype
        from engine.models.stored import decode_stored

        data = self._stored(handle.source.removeprefix(SESSION))
        try:
            device = choose_device(handle.device)
        except CallError:  # made on a machine with another device
            device = choose_device("auto")
        if handle.family == "rnn":
            from engine.models.stored_rnn import decode_rnn

            return decode_rnn(data, handle, device)
        return decode_stored(data, handle, device, torch_dtype(handle.dtype))

    def hold(self, model: TransformerModel | RecurrentModel) -> None:
        self._put(_identity(model.handle), model)

    def _put(self, key: bytes, model: TransformerModel | RecurrentModel) -> None:
        self._held[key] = model
        while len(self._held) > HELD:
            self._held.popitem(last=False)
