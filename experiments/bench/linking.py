"""Linking against trackpy on real lineages with drop-outs and false detections: scores and CPU time, one thread.

    OMP_NUM_THREADS=1 python -m experiments.bench.linking --out results/bench/linking.csv

A case is a lineage (or ``synthetic``) and, after a colon, which frames are kept (``Pm05:5``: every fifth). Cases and
scores come from the folder ``bench`` beside the data (FUSETRACK_DATA). Ours runs with its defaults; trackpy with the
best, by edge F1, of a few settings chosen by hand, which favours it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import tracking3d
from volumes.atomic import write_text

log = logging.getLogger(__name__)

CASES = ("Pm03", "Pm05", "Pm07", "Pm08", "Pm09", "Pm05:3", "Pm05:5", "Pm08:5", "drosophila", "drosophila:5", "T", "B")
LINEAGES = {"drosophila": "drosophila_linajea_120828", "T": "immune_TCellsRaw", "B": "immune_BCellsRaw"}
SCORES = {"F1": "edge_F1", "false match": "false_match", "LNK": "LNK", "Div F1": "div_F1", "Div F1 ±1": "div_F1_tol1"}
RANGES = (0.5, 0.75, 1.0, 1.5, 2.0)
"""trackpy's search ranges, in median distances to the nearest neighbour."""
VARIANTS = ((1, False), (2, False), (1, True))
"""trackpy's memory (frames in a row in which a cell may be missed), and whether it predicts by the nearest velocity."""

Case: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays of a case: T frames, C centres, V volumes, G true nodes, gt_t, gt_P, gt_par the truth."""
Links: TypeAlias = NDArray[np.int64]
"""(e, 2) earlier and later detection."""


@dataclass(frozen=True)
class Row:
    """One tool on one case."""

    case: str
    tool: str
    setting: str
    detections: int
    cpu_s: float
    scores: Mapping[str, float]

    def cells(self) -> dict[str, str]:
        """The row as text, by column."""
        return {
            "case": self.case,
            "tool": self.tool,
            "setting": self.setting,
            "detections": str(self.detections),
            **{name: f"{self.scores[key]:.4f}" for name, key in SCORES.items()},
            "CPU s": f"{self.cpu_s:.2f}",
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and write the table as CSV, and as markdown beside it."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(options.data)
    cases, scorer = (_module(folder.parent / "bench" / f"{name}.py") for name in ("linking_cases", "linking_score"))
    rows: list[Row] = []
    _ours(made(cases, folder, "Pm05:5", options.seed))  # compiles, so that no row's time holds it
    for name in options.cases:
        case = made(cases, folder, name, options.seed)
        rows += [_run(name, "fusetrack", "defaults", _ours, case, scorer), _best_trackpy(name, case, scorer)]
        for row in rows[-2:]:
            log.info("%s", row.cells())
    _write(rows, Path(options.out), f"python -m experiments.bench.linking {' '.join(arguments or sys.argv[1:])}")


def made(cases: ModuleType, folder: Path, name: str, seed: int) -> Case:
    """The arrays of a case: 5 % drop-outs, 2 % false detections, jitter 0.5."""
    lineage, _, every = name.partition(":")
    stem = LINEAGES.get(lineage, f"phallusia_{lineage}")
    file = folder / "tracking" / "lineages" / f"{stem}.csv.gz"
    truth = cases.synth(seed=seed + 1) if lineage == "synthetic" else cases.real(file, int(every or 1))
    with tempfile.TemporaryDirectory() as place, Path(os.devnull).open("w") as nowhere:
        out = Path(place) / "case.npz"
        with redirect_stdout(nowhere):
            cases.save(out, *truth, drop=0.05, fp=0.02, jit=0.5, seed=seed)
        with np.load(out) as archive:
            return dict(archive)


def _ours(case: Case) -> Links:
    cells = tracking3d.Detections.of(case["T"], case["C"], case["V"])
    return tracking3d.link(cells).edges


def _trackpy(case: Case, search_range: float, memory: int, predict: bool) -> Links:
    import pandas as pd
    import trackpy
    from trackpy.predict import NearestVelocityPredict

    trackpy.quiet()
    table = pd.DataFrame(case["C"], columns=["z", "y", "x"]).assign(frame=case["T"], row=np.arange(len(case["T"])))
    link = NearestVelocityPredict().link_df if predict else trackpy.link
    linked = link(
        table,
        search_range,
        pos_columns=["z", "y", "x"],
        memory=memory,
        adaptive_stop=search_range / 20,
        adaptive_step=0.9,
    ).sort_values(["particle", "frame"])
    row, particle = linked["row"].to_numpy(), linked["particle"].to_numpy()
    same = particle[1:] == particle[:-1]
    return np.column_stack([row[:-1][same], row[1:][same]])


def _best_trackpy(name: str, case: Case, scorer: ModuleType) -> Row:
    spacing = _nearest(case)
    tried = []
    for factor, (memory, predict) in product(RANGES, VARIANTS):
        setting = f"range {factor} × nearest neighbour, memory {memory}{', velocity' if predict else ''}"
        linked = partial(_trackpy, search_range=factor * spacing, memory=memory, predict=predict)
        tried.append(_run(name, "trackpy, adaptive", setting, linked, case, scorer))
    return max(tried, key=lambda row: row.scores["edge_F1"])


def _nearest(case: Case) -> float:
    """Median distance to the nearest neighbour, over all frames with two cells at least."""
    frames = [case["C"][case["T"] == t] for t in np.unique(case["T"])]
    nearest = [np.asarray(cKDTree(f).query(f, k=[2])[0]).ravel() for f in frames if len(f) > 1]
    return float(np.median(np.concatenate(nearest)))


def _run(name: str, tool: str, setting: str, linked: Callable[[Case], Links], case: Case, scorer: ModuleType) -> Row:
    start = time.process_time()
    links = linked(case)
    spent = time.process_time() - start
    scores = {key: float(value) for key, value in scorer.score(case, links).items()}
    return Row(name, tool, setting, len(case["T"]), spent, scores)


def _write(rows: Sequence[Row], out: Path, command: str) -> None:
    table = [row.cells() for row in rows]
    header = [*table[0]]
    lines = [
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {_machine()}",
        "",
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row.values())} |" for row in table),
    ]
    write_text(out.with_suffix(".md"), "\n".join(lines) + "\n")
    text = [header, *([*row.values()] for row in table)]
    write_text(out, "".join(f"{','.join(_quoted(cell) for cell in row)}\n" for row in text))


def _quoted(cell: str) -> str:
    return f'"{cell}"' if "," in cell else cell


def _machine() -> str:
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    return f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path}: the benchmark's cases and scores are missing; set FUSETRACK_DATA")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="results/bench/linking.csv")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--seed", type=int, default=0)
    default = os.environ.get("FUSETRACK_DATA", repository.parent / "shared" / "data")
    parser.add_argument("--data", default=default, help="the data folder; bench/ lies beside it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
