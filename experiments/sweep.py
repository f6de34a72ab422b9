"""A sweep: the same training under several variants and seeds, one folder each, and one table of what came out.

Each training goes on where it was killed, and a finished one is left as it is; so does a sweep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from experiments.run_folder import RunFolder, write_json
from experiments.sweep_config import SweepExperiment, overrides
from experiments.sweep_summary import Comparison, Score, as_csv, as_json, as_text, compared, scores_of
from experiments.training import Trained, Watch, train
from experiments.training_config import TrainingExperiment, load_training, resolved
from volumes.atomic import write_text
from volumes.errors import FusetrackError, StageError

TABLE, SUMMARY, TEXT = "table.csv", "summary.json", "summary.txt"


@dataclass(frozen=True)
class Swept:
    """What a call of :func:`sweep` left.

    Parameters
    ----------
    folder : where it lies.
    status : ``finished``; or ``stopped`` where a training's budget of time ended: run it again to go on.
    finished : trainings that are finished, of ``trainings``.
    comparisons : every variant by every metric against the first; empty while it is not finished.
    """

    folder: Path
    status: Literal["finished", "stopped"]
    finished: int
    trainings: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class _Training:
    """One training of a sweep: which it is, its config, and where it lies."""

    variant: str
    seed: int
    config: TrainingExperiment
    folder: Path

    @property
    def label(self) -> str:
        return f"{self.variant}, seed {self.seed}"


def sweep(
    config: SweepExperiment,
    folder: str | Path,
    watch: Watch | None = None,
    jobs: int = 1,
    changes: Mapping[str, str] | None = None,
) -> Swept:
    """Run all trainings of a sweep, and write ``table.csv``, ``summary.json`` and ``summary.txt``.

    Parameters
    ----------
    config : the sweep.
    folder : missing, empty, or a sweep's.
    watch : told of every step, or with several jobs of every training.
    jobs : trainings at once, each in a process of its own.
    changes : dotted key → value as text, worked into every training before its variant's own.

    Raises
    ------
    ConfigError : a variant is no valid training; nothing has been run then.
    OutputError : another sweep holds the folder, or holds trainings of another config.
    StageError : trainings failed; the others have been run, and stand in the table.
    """
    place = RunFolder(Path(folder))
    trainings = _trainings(config, place.path, changes or {})
    with place.locked():
        ended = dict(_run(trainings, watch, jobs))
        done = [(one, ended[one.label]) for one in trainings]
        models = [(one, found.model) for one, found in done if isinstance(found, Trained) and found.weights]
        rows = [row for one, model in models for row in scores_of(one.variant, one.seed, model["validation"])]
        write_text(place.path / TABLE, as_csv(rows))
        _require_success(done, place.path)
        if len(models) < len(trainings):
            return Swept(place.path, "stopped", len(models), len(trainings), ())
        found = compared(rows, config.resamples)
        _write_summary(place.path, config, rows, found)
    return Swept(place.path, "finished", len(models), len(trainings), tuple(found))


def _trainings(config: SweepExperiment, folder: Path, changes: Mapping[str, str]) -> list[_Training]:
    return [
        _Training(
            variant,
            seed,
            load_training(config.base, {**changes, **overrides(change, seed)}),
            folder / variant / f"seed-{seed}",
        )
        for seed in config.seeds
        for variant, change in config.points.items()
    ]


def _run(trainings: list[_Training], watch: Watch | None, jobs: int) -> Iterator[tuple[str, Trained | FusetrackError]]:
    """Each training's label and what became of it, in any order."""
    if jobs == 1:
        yield from ((one.label, _ended(one, _labelled(one.label, watch))) for one in trainings)
        return
    # Fresh processes: a fork would share the threads and the GPU that this one may have begun to use.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_ended, one): one.label for one in trainings}
        for number, future in enumerate(as_completed(waiting), start=1):
            if watch:
                watch(waiting[future], number, len(waiting))
            yield waiting[future], future.result()


def _ended(one: _Training, watch: Watch | None = None) -> Trained | FusetrackError:
    """What became of a training; an error that it ended with is no reason to leave the others out."""
    try:
        return train(one.config.task.build(), one.config.loop, one.folder, watch, resolved(one.config))
    except FusetrackError as error:
        return StageError(str(error))


def _labelled(label: str, watch: Watch | None) -> Watch | None:
    return (lambda text, step, steps: watch(f"{label}: {text}", step, steps)) if watch else None


def _require_success(done: list[tuple[_Training, Trained | FusetrackError]], folder: Path) -> None:
    failed = [(one, found) for one, found in done if isinstance(found, FusetrackError)]
    if failed:
        raise StageError(
            f"{len(failed)} of {len(done)} trainings failed",
            file=folder,
            field="; ".join(one.label for one, _ in failed),
            remedy=f"The first: {failed[0][1]}",
        )


def _write_summary(folder: Path, config: SweepExperiment, rows: list[Score], found: list[Comparison]) -> None:
    write_text(folder / TEXT, as_text(found) + "\n")
    facts = {
        "name": config.name,
        "title": config.title,
        "variants": config.points,
        "seeds": list(config.seeds),
        "units": sorted({row.unit for row in rows}),
        "comparisons": as_json(found),
    }
    write_json(folder / SUMMARY, facts)
