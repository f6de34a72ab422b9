"""Fusion in three dimensions: restlessness from slice to slice, what only a third source shows, and movies.

    OMP_NUM_THREADS=1 python -m experiments.bench.fusion_volumes --out results/bench/fusion_volumes.csv

T1, T2, PET and CT of one head on one grid (91 × 109 × 91, 2 mm) come from FUSETRACK_DATA, each from its 0.5 to its
99.8 percentile as 0 to 255. Fused as volumes, and slice by slice at the same scale, their flicker over z is compared
(:mod:`experiments.bench.fusion_flicker`). Blobs are planted in one source at a time, and an observer looks for them in
what is fused of each set of sources (:mod:`experiments.bench.fusion_blobs`). A movie of two stains of a zebrafish's
brain that bleach, drift and are noisy is fused with one scale for all frames and with one for each
(:mod:`experiments.bench.fusion_movie`).
"""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from experiments.bench.fusion_blobs import planted
from experiments.bench.fusion_flicker import z_flicker
from experiments.bench.fusion_kinds import KINDS, Named, named
from experiments.bench.fusion_movie import PLANE, STACK, movie_flicker
from fusion.ranges import robust_range
from volumes import Volume, read
from volumes.atomic import write_text

log = logging.getLogger(__name__)

FILES = {"T1": "spm_T1", "T2": "spm_T2", "PET": "spm_PET", "CT": "clinical_scct"}
MODALITIES = {"T1": "MRI", "T2": "MRI", "PET": "PET", "CT": "CT"}
MASK = "spm_brainmask"
STACKS = (("T1", "T2"), ("T1", "CT"), ("T1", "PET"), ("T1", "T2", "CT"), ("T1", "T2", "CT", "PET"))
"""What is fused for the flicker."""
THREE = ("T1", "T2", "CT")
TOP = 255.0
COMPARED = ("max", "mean", "dwt", "lpf", "lpf-max-base", "dmf-lp", "dmf-lp-4", "dmf-lp-guided")
"""Kinds that are measured where none are named, as far as their weights are there."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Parameters
    ----------
    test : ``flicker over z``, ``detectability`` or ``flicker over t``.
    kind, sources : the fuser, and what it fused.
    measure : what was measured.
    value, low, high : the figure, and its 95 % interval where it has one.
    """

    test: str
    kind: str
    sources: str
    measure: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fusers = _chosen(options)
    heads = read_heads(options.data / "registration", options.crop)
    found: list[Figure] = []
    for fuser in fusers:
        for figure in _figures(fuser, heads, options):
            found.append(figure)
            write_text(options.out, as_csv(found))
            log.info("%s: %s of %s: %s %.3f", figure.test, fuser.name, figure.sources, figure.measure, figure.value)
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}; weights: {', '.join(f'{f.name} {f.sha}' for f in fusers if f.sha) or 'none'}."
    )
    write_text(options.out.with_suffix(".md"), f"{head}\n\n{as_text(found)}")


def read_heads(folder: Path, crop: int = 0) -> dict[str, Volume]:
    """The sources by name, and the brain's mask, float32; sources on 0–255.

    Parameters
    ----------
    folder : where the files lie.
    crop : voxels that are left out at either end of each axis, for a smaller run.
    """
    out = {}
    for name, file in {**FILES, "brain": MASK}.items():
        volume = read(folder / f"{file}.nii.gz", modality=MODALITIES.get(name, "MRI"))
        data = np.asarray(volume.channel(), np.float32)
        if name != "brain":
            low, high = robust_range(data, name)
            data = np.clip((data - low) * (TOP / (high - low)), 0, TOP).astype(np.float32)
        inner = (slice(crop, -crop) if crop else slice(None),) * 3
        grid = replace(volume.grid, shape=data[inner].shape)
        out[name] = Volume(np.ascontiguousarray(data[inner])[None], grid, volume.channels)
    return out


def as_csv(found: Sequence[Figure]) -> str:
    """The figures as CSV, with a header; a missing value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Figure)])
    for figure in found:
        cells = (f"{value:.6g}" if isinstance(value, float) else value for value in astuple(figure))
        writer.writerow(["" if cell == "nan" else cell for cell in cells])
    return text.getvalue()


def as_text(found: Sequence[Figure]) -> str:
    """A Markdown table for each test: a row for each kind and its sources, a column for each measure."""
    out = []
    for test in dict.fromkeys(figure.test for figure in found):
        own = [figure for figure in found if figure.test == test]
        measures = [*dict.fromkeys(figure.measure for figure in own)]
        cells = {(f.kind, f.sources, f.measure): _said(f) for f in own}
        head = [test, "sources", *measures]
        keys = dict.fromkeys((figure.kind, figure.sources) for figure in own)
        lines = [[kind, of, *(cells.get((kind, of, measure), "–") for measure in measures)] for kind, of in keys]
        out.append("".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines)))
    return "\n".join(out)


def _figures(fuser: Named, heads: dict[str, Volume], options: argparse.Namespace) -> Iterator[Figure]:
    if "z" in options.tests:
        for stack in STACKS:
            for measure, value in z_flicker(fuser, [heads[name] for name in stack]).items():
                yield Figure("flicker over z", fuser.name, " + ".join(stack), measure, value)
    if "blobs" in options.tests:
        three = {name: heads[name] for name in THREE}
        brain = heads["brain"].channel() > 0.5
        for found in planted(fuser, three, brain, options.resamples):
            yield Figure("detectability", fuser.name, *found)
    if "movie" in options.tests:
        for shown, planes in (("tERK + H2B-RFP", STACK), ("the same, one plane", PLANE)):
            for measure, value in movie_flicker(fuser, options.frames, planes).items():
                yield Figure("flicker over t", fuser.name, shown, measure, value)


def _said(figure: Figure) -> str:
    if np.isnan(figure.low):
        return f"{figure.value:.3f}" if np.isfinite(figure.value) else "–"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def _chosen(options: argparse.Namespace) -> list[Named]:
    if options.kinds:
        return named(options.kinds, options.weights)
    return [fuser for fuser in named(None, options.weights) if fuser.name in COMPARED]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the tables go beside it")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help=f"left out: of {', '.join(COMPARED)}")
    parser.add_argument("--weights", type=Path, help="of dmf-lp; left out: those that come with the package")
    parser.add_argument("--tests", nargs="+", choices=("z", "blobs", "movie"), default=("z", "blobs", "movie"))
    parser.add_argument("--crop", type=int, default=0, help="voxels left out at either end of each axis")
    parser.add_argument("--frames", type=int, default=8, help="of the movie")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over positions")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
