"""Progress of long steps: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LINES = 10


@contextmanager
def track(console: Console, title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A function `(done, total, message)` that shows how far a step is; about ten lines a step without a terminal."""
    if not console.is_terminal:
        console.print(f"{title} ...", markup=False)

        def line(done: int, total: int, message: str) -> None:
            if done * LINES // total > (done - 1) * LINES // total:
                console.print(f"  {done}/{total} {message}", markup=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[message]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=None, message="")

        def bar(done: int, total: int, message: str) -> None:
            bars.update(task, completed=done, total=total, message=message)

        yield bar
