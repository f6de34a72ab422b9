"""A line on the terminal for every stage of a run, with a spinner while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from experiments.stage import State, Watcher, unwatched

Counter: TypeAlias = Callable[[str, int, int], None]
"""Told of (what, how many are done, of how many)."""


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


def drawing(quiet: bool = False) -> AbstractContextManager[Counter | None]:
    """Gives a watcher that shows which of a phantom's instruments is drawn; None when ``quiet``."""
    return _counted("the specimen", "drawn", quiet)


def training(quiet: bool = False) -> AbstractContextManager[Counter | None]:
    """Gives a watcher that shows the loss and the step that a training is at; None when ``quiet``."""
    return _counted("the network", None, quiet)


def scoring(quiet: bool = False) -> AbstractContextManager[Counter | None]:
    """Gives a watcher that shows which file was scored last; None when ``quiet``."""
    return _counted("the files", "scored", quiet)


@contextmanager
def _counted(before: str, after: str | None, quiet: bool) -> Iterator[Counter | None]:
    """Gives a watcher told of (what, how many are done, of how many), with what it says before and after."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(before, total=None)

        def watch(what: str, place: int, count: int) -> None:
            bar.update(task, description=what, completed=place, total=count)

        yield watch
        if after:
            bar.update(task, description=after, completed=bar.tasks[0].total)
