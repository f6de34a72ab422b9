"""One saved tracking case, scored by py-ctcmetrics and by traccuracy: the numbers that ours are held against.

    python -m experiments.bench.ctc_golden --ctcmetrics PYTHON --traccuracy PYTHON --out tests/tracking3d/golden

PYTHON is the interpreter of an environment that holds that tool (traccuracy 0.4 wants click < 8.2, so one of its own).
``case.csv.gz`` holds the case, a cube of voxels a row; ``scores.json`` what both tools said of it, and which they were.
Some 60 cells move through 30 frames; a few divide. The result misses some cells, invents some, shifts masks, breaks and
swaps links, misses divisions and invents some. No mask of it holds two cells: traccuracy scores no divisions then.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from volumes.atomic import replacing_file, write_text
from volumes.shapes import AnyArray

FRAMES, SIDE, SHAPE = 30, 4, (12, 96, 96)
CELLS = 60
DIVIDE, MISS, SHIFT, BREAK = 0.006, 0.03, 0.25, 0.01
"""Chances of a cell in a frame: to divide, to be missed, its mask to move by a voxel, its track to break."""
INVENT, SWAP = 0.5, 0.15
"""Chances of a frame: a cell that is none, two tracks that change places."""

CTCMETRICS = """
import json, sys, importlib.metadata
from contextlib import redirect_stdout
from ctc_metrics.scripts.evaluate import evaluate_sequence
with redirect_stdout(sys.stderr):
    scores = evaluate_sequence(sys.argv[1] + "/01_RES", sys.argv[1] + "/01_GT", threads=1)
out = {k: (None if v is None else float(v)) for k, v in scores.items()}
print(json.dumps({"version": importlib.metadata.version("py-ctcmetrics"), "scores": out}))
"""
TRACCURACY = """
import json, sys, importlib.metadata
from traccuracy import run_metrics
from traccuracy.loaders import load_ctc_data
from traccuracy.matchers import CTCMatcher
from traccuracy.metrics import CTCMetrics, DivisionMetrics
truth = load_ctc_data(sys.argv[1] + "/01_GT/TRA", run_checks=False)
found = load_ctc_data(sys.argv[1] + "/01_RES", run_checks=False)
results, _ = run_metrics(truth, found, CTCMatcher(), [CTCMetrics(), DivisionMetrics(max_frame_buffer=1)])
ctc, divisions = (result["results"] for result in results)
out = {"version": importlib.metadata.version("traccuracy"), "scores": ctc, "divisions": divisions}
print(json.dumps(out, default=float))
"""


@dataclass
class Side:
    """Truth or result: cubes (frame, label, z, y, x), and the parent of each label that has one."""

    cubes: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    parent: dict[int, int] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the case, score it with both tools, and write both files."""
    options = _options(arguments)
    truth, found = drawn(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        write_side(truth, Path(folder) / "01_GT" / "TRA", "man_track")
        write_side(truth, Path(folder) / "01_GT" / "SEG", "man_seg")
        write_side(found, Path(folder) / "01_RES", "mask")
        said = {
            name: json.loads(_run(python, script, folder))
            for name, python, script in (
                ("py-ctcmetrics", options.ctcmetrics, CTCMETRICS),
                ("traccuracy", options.traccuracy, TRACCURACY),
            )
        }
    out = Path(options.out)
    _write_case(truth, found, out / "case.csv.gz")
    command = f"python -m experiments.bench.ctc_golden --seed {options.seed}"
    write_text(out / "scores.json", json.dumps({"command": command, **said}, indent=1, default=float) + "\n")


def drawn(seed: int) -> tuple[Side, Side]:
    """A truth and a result, from a seed."""
    rng = np.random.default_rng(seed)
    truth = _truth(rng)
    return truth, _result(truth, rng)


def write_side(side: Side, folder: Path, name: str) -> None:
    """The masks (uint16) as ``NAME000.tif``, …, and the table of tracks where the name has one."""
    import tifffile

    folder.mkdir(parents=True)
    for frame in range(FRAMES):
        file = folder / f"{name}{frame:03d}.tif"
        tifffile.imwrite(file, painted(side, frame), photometric="minisblack", compression="zlib")
    if name != "man_seg":
        table = "".join(f"{label} {b} {e} {side.parent.get(label, 0)}\n" for label, (b, e) in spans(side).items())
        (folder / ("man_track.txt" if name == "man_track" else "res_track.txt")).write_text(table, "ascii")


def painted(side: Side, frame: int) -> NDArray[np.uint16]:
    """One frame's cubes; where two meet, the later has the voxel."""
    voxels = np.zeros(SHAPE, np.uint16)
    for t, label, z, y, x in side.cubes:
        if t == frame:
            voxels[z : z + SIDE, y : y + SIDE, x : x + SIDE] = label
    return voxels


def spans(side: Side) -> dict[int, tuple[int, int]]:
    """First and last frame of each label, in the order of the labels."""
    frames: dict[int, list[int]] = {}
    for t, label, *_ in side.cubes:
        frames.setdefault(label, []).append(t)
    return {label: (min(frames[label]), max(frames[label])) for label in sorted(frames)}


def _truth(rng: np.random.Generator) -> Side:
    side = Side()
    # A lattice with a cell's width between neighbours, so that no two cubes meet.
    slots = [(z, y, x) for z in (0, 6) for y in range(0, 90, 10) for x in range(0, 90, 10)]
    places = [slots[k] for k in rng.permutation(len(slots))]
    living = {label: places.pop() for label in range(1, CELLS + 1)}
    newest = CELLS
    for frame in range(FRAMES):
        for label, place in list(living.items()):
            jitter = rng.integers(0, 3, 3)
            z, y, x = (np.asarray(place) + jitter * (1, 1, 1)).tolist()
            side.cubes.append((frame, label, z, y, x))
            if frame < FRAMES - 1 and rng.random() < DIVIDE and places:
                del living[label]
                for home in (place, places.pop()):
                    newest += 1
                    living[newest], side.parent[newest] = home, label
    return side


def _result(truth: Side, rng: np.random.Generator) -> Side:
    """The truth with each kind of mistake; a label is then a stretch without a gap, as the format asks."""
    shift = 1000
    rename: dict[int, int] = {label: label for label in spans(truth)}
    newest, parent_of = shift, dict(truth.parent)
    rows: list[tuple[int, int, int, int, int]] = []
    for frame in range(FRAMES):
        present = [cube for cube in truth.cubes if cube[0] == frame]
        for _, label, z, y, x in present:
            if rng.random() < BREAK:
                # Every other broken track goes on as one of two daughters, the other of which is no cell.
                newest += 2
                if newest % 4 == 0 and frame > 0:
                    parent_of |= {newest: rename[label], newest - 1: rename[label]}
                    rows.append((frame, newest - 1, (z + 5) % 8, y, x))
                rename[label] = newest
        if rng.random() < SWAP:
            a, b = rng.choice([cube[1] for cube in present], 2, replace=False).tolist()
            rename[a], rename[b] = rename[b], rename[a]
        for _, label, z, y, x in present:
            if rng.random() >= MISS:
                z, y, x = (v + int(rng.random() < SHIFT) for v in (z, y, x))
                rows.append((frame, rename[label], z, y, x))
        if rng.random() < INVENT:
            newest += 1
            rows.append((frame, newest, 4, *rng.integers(0, 90, 2).tolist()))
    dropped = [child for child in parent_of if rng.random() < 0.2]
    return _without_gaps(rows, {child: up for child, up in parent_of.items() if child not in dropped})


def _without_gaps(rows: Sequence[tuple[int, int, int, int, int]], parent: dict[int, int]) -> Side:
    """Labels that miss a frame are cut in two, the later hanging on the earlier; a parent that is not before is none.

    A lone child right after its parent is left out as well: py-ctcmetrics counts its link as one of a division, as the
    table says, traccuracy as one inside a track, so that there their AOGM differ by 1 each.
    """
    out, names = Side(), 0
    last: dict[int, int] = {}
    name: dict[int, int] = {}
    for t, label, z, y, x in sorted(rows):
        if label not in name or last[label] < t - 1:
            names += 1
            above = name.get(label, name.get(parent.get(label, 0), 0))
            if above and last[label if label in name else parent[label]] < t:
                out.parent[names] = above
            name[label] = names
        last[label] = t
        out.cubes.append((t, name[label], z, y, x))
    ends = spans(out)
    out.parent = {child: up for child, up in out.parent.items() if ends[up][1] < ends[child][0]}
    litter = Counter(out.parent.values())
    late = {child for child, up in out.parent.items() if ends[child][0] > ends[up][1] + 1}
    out.parent = {child: up for child, up in out.parent.items() if litter[up] > 1 or child in late}
    return out


def _write_case(truth: Side, found: Side, path: Path) -> None:
    text = io.StringIO()
    text.write("side,t,label,z,y,x,parent\n")
    for name, side in (("truth", truth), ("found", found)):
        for t, label, z, y, x in side.cubes:
            text.write(f"{name},{t},{label},{z},{y},{x},{side.parent.get(label, 0)}\n")
    with replacing_file(path) as temporary:
        temporary.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def read_case(path: Path) -> tuple[Side, Side]:
    """The truth and the result of a saved case."""
    sides = {"truth": Side(), "found": Side()}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file)
        for line in file:
            name, *values = line.strip().split(",")
            t, label, z, y, x, parent = map(int, values)
            sides[name].cubes.append((t, label, z, y, x))
            if parent:
                sides[name].parent[label] = parent
    return sides["truth"], sides["found"]


def as_movie(side: Side) -> AnyArray:
    """(T, Z, Y, X) labels of all frames."""
    return np.stack([painted(side, frame) for frame in range(FRAMES)])


def _run(python: str, script: str, folder: str) -> str:
    done = subprocess.run([python, "-c", script, folder], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return done.stdout.strip().splitlines()[-1]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ctcmetrics", default=sys.executable)
    parser.add_argument("--traccuracy", default=sys.executable)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="tests/tracking3d/golden")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
