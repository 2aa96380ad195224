"""What is read off the process must be readable at any moment, also while torch is half imported."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, threading
from engine.server.environment import environment, memory
problems = []
def look():
    while "torch" not in sys.modules or not ready.is_set():
        try:
            memory(); environment()
        except Exception as error:
            problems.append(repr(error))
ready = threading.Event()
thread = threading.Thread(target=look)
thread.start()
import torch
ready.set()
thread.join()
assert environment().torch == str(torch.__version__)
print(problems[:1])
"""


def test_the_environment_can_be_read_while_another_thread_imports_torch() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
