"""For all tests: one thread per process, and nobody's own settings.

On models this small a second thread of torch only waits for the first; on two busy cores it makes the tests many times
slower. The setting is read when torch is imported, so it has to be made here, before any test module is.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("NO_COLOR", None)
os.environ.pop("SSH_CONNECTION", None)
