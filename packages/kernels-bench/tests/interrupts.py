"""Ctrl-C, a while after a command has started."""

import signal
import subprocess
import sys
import time

# A shell that runs the tests in the background has them ignore the signal, which a child would inherit.
CODE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("kernels_bench", run_name="__main__")
"""


def interrupted(*arguments: str, seconds: float) -> tuple[int, str]:
    """Exit status and errors of `kernels-bench` with these arguments, interrupted so long after its first line."""
    command = [sys.executable, "-u", "-c", CODE, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    # CPython ends with the signal itself, which shells show as 130 too, when it came within an exec() of an import.
    return 130 if process.returncode == -signal.SIGINT else process.returncode, errors
