"""Code in a fresh Python process, on the CPU and with warnings as errors."""

import os
import subprocess
import sys

WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "arviz"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
