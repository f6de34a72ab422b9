"""CPU time and memory of linking, whole processes, beside trackpy; and how both grow with the number of cells.

    OMP_NUM_THREADS=1 python -m experiments.bench.linking_speed --out results/bench/linking_speed.csv

Every run is a process of its own (:mod:`linking_tool`): start, imports, reading, linking. Real cases are those of
:mod:`linking`, with trackpy at the setting that was its best there; ``crowd:N:F`` are N cells in each of F
frames, scattered evenly and moving a little. The least of the repeats is given, since other work only adds.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from experiments.bench import linking
from experiments.bench.linking_case import Case, made, nearest
from experiments.bench.linking_peers import Setting, Tool, run
from volumes.atomic import write_text

log = logging.getLogger(__name__)

CASES = ("Pm05", "drosophila", "synthetic", "crowd:1000:100", "crowd:10000:100", "crowd:100000:4", "crowd:1000000:4")
SETTINGS: Mapping[str, tuple[float, int, bool]] = {
    "drosophila": (0.75, 1, True),
    "drosophila:5": (1.0, 1, True),
    "synthetic": (1.5, 1, False),
}
"""trackpy's search range in distances to the nearest neighbour, memory, and whether it predicts by velocity."""
USUAL = (0.75, 2, False)
TOO_MANY = 500_000
"""Detections past which trackpy is not run."""
LIMIT_S = 3600.0
"""Seconds that one run may take."""


@dataclass(frozen=True)
class Run:
    """One tool on one case: CPU seconds and peak MB of its process."""

    case: str
    tool: str
    detections: int
    cpu_s: float
    peak_mb: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and write the table as CSV, and as markdown beside it."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    runs: list[Run] = []
    for name in options.cases:
        case = crowd(name, options.seed) if name.startswith("crowd") else _real(name, options)
        for tool in _tools(name, case):
            runs.append(measured(name, tool, case, options.repeats))
            log.info("%s", runs[-1])
    command = f"python -m experiments.bench.linking_speed {' '.join(arguments or sys.argv[1:])}"
    write(runs, Path(options.out), command)


def crowd(name: str, seed: int) -> Case:
    """``crowd:N:F``: N cells in each of F frames, one in a cube of 10 µm on average, that take steps of 1 µm."""
    n, frames = (int(part) for part in name.split(":")[1:])
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 10 * n ** (1 / 3), (n, 3))
    steps = rng.normal(0, 1 / np.sqrt(3), (frames, n, 3))
    steps[0] = 0
    zyx = (place + np.cumsum(steps, axis=0)).reshape(-1, 3)
    return {"T": np.repeat(np.arange(frames), n), "C": zyx, "V": np.full(n * frames, np.nan)}


def measured(name: str, tool: Tool, case: Case, repeats: int) -> Run:
    """The cheapest of some runs of a tool in a process of its own."""
    tried = [run(tool, case, LIMIT_S) for _ in range(repeats)]
    best = min(tried, key=lambda output: output.process_cpu_s)
    return Run(name, tool.name, len(case["T"]), best.process_cpu_s, best.peak_mb)


def table(runs: Sequence[Run]) -> list[dict[str, str]]:
    """The runs as text, by column, each with its CPU time in that of trackpy on the same case."""
    theirs = {run.case: run.cpu_s for run in runs if run.tool == "trackpy"}
    return [
        {
            "case": run.case,
            "tool": run.tool,
            "detections": str(run.detections),
            "CPU s": f"{run.cpu_s:.2f}",
            "of trackpy's": f"{run.cpu_s / theirs[run.case]:.2f}" if run.case in theirs else "–",
            "µs a detection": f"{1e6 * run.cpu_s / run.detections:.1f}",
            "peak MB": f"{run.peak_mb:.0f}",
        }
        for run in runs
    ]


def write(runs: Sequence[Run], out: Path, command: str) -> None:
    """Write the table as CSV, and as markdown beside it."""
    rows = table(runs)
    machine = f"{os.uname().machine} {os.uname().sysname}, {os.cpu_count()} cores, one thread"
    lines = [f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine}", "", f"| {' | '.join(rows[0])} |"]
    lines += [f"|{'---|' * len(rows[0])}", *(f"| {' | '.join(row.values())} |" for row in rows)]
    write_text(out.with_suffix(".md"), "\n".join(lines) + "\n")
    write_text(out, "".join(",".join(row) + "\n" for row in [list(rows[0]), *(list(row.values()) for row in rows)]))


def _real(name: str, options: argparse.Namespace) -> Case:
    folder = Path(options.data)
    cases = linking.module_at(folder.parent / "bench" / "linking_cases.py")
    return made(cases, folder, name, options.seed)


def _tools(name: str, case: Case) -> list[Tool]:
    """Ours at its defaults, and trackpy where there are not too many detections for it."""
    ours = Tool("fusetrack", "fusetrack", sys.executable, ({"kind": "constraint"},))
    if len(case["T"]) > TOO_MANY:
        return [ours]
    factor, memory, velocity = SETTINGS.get(name, USUAL)
    setting: Setting = {"reach": factor * nearest(case), "memory": memory, "velocity": velocity}
    return [ours, Tool("trackpy", "trackpy", sys.executable, (setting,))]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="results/bench/linking_speed.csv")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    default = os.environ.get("FUSETRACK_DATA", repository.parent / "shared" / "data")
    parser.add_argument("--data", default=default, help="the data folder; bench/ lies beside it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
