"""Registration beside elastix, greedy, SimpleITK and ConvexAdam, on real volumes moved by known transforms.

    python -m experiments.bench.registration --out results/bench/registration.csv --cases 10 --peers PYTHON

writes one row a registration into the CSV and two tables beside it (.md). PYTHON is an interpreter whose environment
has the peers (extra ``bench``); left out, it is this one, and peers that are not there are left out. Cases come from
``registration_cases.py`` in the folder ``bench`` beside FUSETRACK_DATA. TRE is the mean distance over 2000 points, in
mm for the brains and µm for the zebrafish (ZF). Each method runs in a process of its own with one thread, after one
registration that is not counted; all methods take a case one after the other, so that they share what else the machine
does. A run that is begun anew goes on after the rows that are there.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.registration_growth import growth
from experiments.bench.registration_methods import METHODS, OURS, Method, Worker, known, workers
from experiments.bench.registration_rows import Row, read_rows, write_rows
from experiments.bench.registration_summary import summary
from experiments.bench.registration_tasks import TASKS, Case, Task, cases_module, make_case
from volumes.atomic import write_text
from volumes.errors import ConfigError

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.growth:
        write_text(options.out.with_suffix(".md"), growth(options.growth, options.threads))
        return
    tasks = [task for task in TASKS if task.name in options.tasks]
    methods = available(options.methods, options.peers)
    rows = [] if options.fresh else read_rows(options.out)
    for task in tasks:
        seeds = task.seeds(options.cases, options.first)
        rows = measure(task, seeds, methods, options.peers, rows, options.out)
    write_text(options.out.with_suffix(".md"), summary(rows))


def available(names: Sequence[str] | None, peers: Path) -> list[Method]:
    """The methods that can run, by name; without names all whose package the peers' interpreter has.

    Raises
    ------
    ConfigError : a method that was named, but has no package there.
    """
    there = known(peers, sorted({method.needs for method in METHODS if method.name != OURS}))
    found = [method for method in METHODS if method.name == OURS or method.needs in there]
    for method in METHODS:
        if method not in found:
            log.info("%s is left out: no package %s for %s", method.key, method.needs, peers)
    missing = set(names or ()) - {method.name for method in found}
    if missing:
        remedy = "Give --peers an interpreter that has it (extra bench)"
        raise ConfigError("cannot run", field="--methods", value=sorted(missing), remedy=remedy)
    return [method for method in found if names is None or method.name in names]


def measure(
    task: Task, seeds: range, methods: Sequence[Method], peers: Path, rows: Sequence[Row], out: Path
) -> list[Row]:
    """Register the cases of a task with each method; every row is written at once, and those that are there are kept.

    Parameters
    ----------
    task, seeds : what is to be registered.
    methods : those that look for another model than the task's are passed over.
    peers : the interpreter of all but ours.
    rows : what was measured before.
    out : the CSV.

    Returns
    -------
    All rows, the new ones last.
    """
    done, known_keys = [*rows], {row.key for row in rows}
    taking = [method for method in methods if method.model in task.models]
    with tempfile.TemporaryDirectory() as place, workers(taking, peers) as crew:
        for seed in seeds:
            left = [
                worker
                for worker in crew
                if (task.pair, task.kind, worker.method.model, worker.method.name, seed) not in known_keys
            ]
            if not left:
                continue
            case = make_case(cases_module(), task, seed, Path(place) / str(seed))
            for worker in left:
                done.append(_row(task, seed, worker, case))
                write_rows(out, done)
                log.info("%s %d, %s: %s", task.name, seed, worker.method.key, _said(done[-1]))
                if len(seeds) == 1:
                    worker.close()
    return done


def _row(task: Task, seed: int, worker: Worker, case: Case) -> Row:
    out = case.folder / "out.npz"
    answer = worker.ask(case.folder, out)
    try:
        distances = {} if "error" in answer else scored(case, out)
    except (ValueError, KeyError, OSError) as error:
        answer = {"error": f"no result: {error}"}
        distances = {}
    finally:
        out.unlink(missing_ok=True)
    return _filled(task, seed, worker.method, case, answer, distances)


def scored(case: Case, out: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Distances (n,) of the points that a method mapped from where they belong.

    Raises
    ------
    ValueError : points that are not finite, or not as many as were asked for.
    KeyError : no points at all.
    """
    distances = {}
    with np.load(out, allow_pickle=False) as archive:
        for name in ("found", "affine"):
            if name == "affine" and name not in archive:
                continue
            points = archive[name]
            if points.shape != case.truth.shape or not np.isfinite(points).all():
                raise ValueError(f"{name}: points of shape {points.shape} that must be finite {case.truth.shape}")
            distances[name] = np.linalg.norm(points - case.truth, axis=1)
    return distances


def _filled(
    task: Task, seed: int, method: Method, case: Case, answer: dict[str, Any], distances: dict[str, Any]
) -> Row:
    tre = float(distances["found"].mean()) if distances else math.nan
    return Row(
        pair=task.pair,
        kind=task.kind,
        model=method.model,
        method=method.name,
        case=seed,
        initial=case.initial,
        affine=float(distances["affine"].mean()) if "affine" in distances else math.nan,
        tre=tre,
        p95=float(np.percentile(distances["found"], 95)) if distances else math.nan,
        success=bool(distances) and (task.limit is None or tre < task.limit),
        cpu_s=float(answer.get("cpu_s", math.nan)),
        wall_s=float(answer.get("wall_s", math.nan)),
        peak_mb=float(answer.get("peak_mb", math.nan)),
        status=str(answer.get("status", "")),
        error=" ".join(str(answer.get("error", "")).split())[:300],
    )


def _said(row: Row) -> str:
    return row.error or f"{row.tre:.2f}, {row.cpu_s:.2f} s, {row.peak_mb:.0f} MB {row.status}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the tables go beside it")
    parser.add_argument("--cases", type=int, default=10, help="seeds of each task (still: one)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    names = [task.name for task in TASKS]
    parser.add_argument("--tasks", nargs="+", choices=names, default=names, metavar="PAIR:KIND")
    parser.add_argument("--methods", nargs="+", choices=sorted({method.name for method in METHODS}))
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="python that has the peers")
    parser.add_argument("--fresh", action="store_true", help="forget the rows that are there")
    parser.add_argument("--growth", type=int, nargs="+", metavar="SIDE", help="measure seconds a voxel of ours instead")
    parser.add_argument(
        "--threads", type=int, default=1, help="with --growth: must give the bytes that one thread does"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
