"""A line on the terminal for every stage of a run, with a spinner while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from experiments.stage import State, Watcher, unwatched


@contextmanager
def progress(quiet: bool = False) -> Iterator[Watcher]:
    """Gives a watcher that shows each stage as it starts, ends or is reused; silent when ``quiet``."""
    if quiet:
        yield unwatched
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def watch(part: str, stage: str, state: State) -> None:
            name = f"{part}  {stage}"
            if state == "start":
                tasks[name] = bar.add_task(name, total=1)
                return
            task = tasks.get(name)
            if task is None:
                task = bar.add_task(f"{name}  [dim]unchanged, reused", total=1)
            bar.update(task, completed=1)

        yield watch


@contextmanager
def drawing(quiet: bool = False) -> Iterator[Callable[[str, int, int], None] | None]:
    """Gives a watcher that shows which of a phantom's instruments is drawn; None when ``quiet``."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("the specimen", total=None)

        def watch(instrument: str, place: int, count: int) -> None:
            bar.update(task, description=instrument, completed=place, total=count)

        yield watch
        bar.update(task, description="drawn", completed=bar.tasks[0].total)
