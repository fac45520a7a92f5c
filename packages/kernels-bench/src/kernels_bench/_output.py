"""Output: folders checked for writability before the work starts, files that are whole or absent."""

import os
import tempfile
from pathlib import Path


def prepare_folder(path: Path, *files: str) -> Path:
    """Create `path` if need be and make sure that these and other files can be written there.

    Raises:
        OSError: `path` is a file or a folder that is not writable, or one of `files` is a folder in it.
    """
    path.mkdir(parents=True, exist_ok=True)
    for file in files:
        if (path / file).is_dir():
            raise IsADirectoryError(f"{path / file} is a folder")
    with tempfile.TemporaryFile(dir=path):
        return path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and move it into place, so that no interruption leaves half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes the file private; a report is for sharing, so give it what a plain open() would have.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
