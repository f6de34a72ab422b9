"""How much a phantom's pictures resemble real ones, in numbers: the same statistics of real stacks and of drawn ones.

    OMP_NUM_THREADS=1 python -m experiments.bench.realism --out results/bench/realism.csv

Real stacks with their masks come from the data folder (FUSETRACK_DATA); the phantom is ``configs/phantom/crowded.yaml``
at its default difficulty and, beside it, at the two ends. Reading GoNuclear needs h5py (extra ``bench``).
"""

from __future__ import annotations

import argparse
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from experiments.phantom_file import load_phantom
from tracking3d import segment
from tracking3d.match import score
from volumes import Volume, from_array, read
from volumes.atomic import write_text
from volumes.shapes import Mask, Triple, Voxels

log = logging.getLogger(__name__)

LAPLACIAN = np.array([[[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]])
"""Immerkær's mask: blind to planes and edges along the axes, its answer to white noise is 6 σ."""
BANDS = (0.02, 0.2)
"""Lateral frequencies (cycles a voxel) over which the spectrum's slope is fitted."""
FEWEST = 3
"""Separate nuclei that a spread, or a score, needs."""
DIFFICULTIES = (0.0, 0.5, 1.0)
SCANNED = ("embryo", "zebrafish")
"""Configs beside that of the stacks whose CT and MRI are measured, too."""
SEEDS = (20, 21, 22)
"""Others than those that the defaults were chosen on, 0 to 3 and 10 to 12."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A stack (z, y, x), its nuclei as numbers or as a mask, and its voxel size in µm."""

    name: str
    raw: Voxels
    labels: Voxels
    spacing_um: Triple


@dataclass(frozen=True)
class Realism:
    """Statistics of one stack; all but the first two are relative to the contrast, mean inside − mean outside.

    Parameters
    ----------
    ratio : mean inside the nuclei over mean outside, raw as the file has it, offset included; NaN in Hounsfield units.
    correlation : of raw with the mask, over all voxels.
    fill : share of the voxels inside.
    noise : standard deviation of the finest noise (Immerkær 1996, "Fast noise variance estimation", CVIU 64).
    edge : mean lateral gradient a voxel on the rim of the mask.
    flat : median lateral gradient a voxel outside.
    spread : standard deviation of the nuclei's mean brightness; NaN without separate nuclei.
    slope : of the lateral power spectrum between 0.02 and 0.2 cycles a voxel, log-log.
    watershed : AP at IoU 0.5 of the watershed segmenter at its defaults; NaN without separate nuclei.
    """

    ratio: float
    correlation: float
    fill: float
    noise: float
    edge: float
    flat: float
    spread: float
    slope: float
    watershed: float


def realism(stack: Stack) -> Realism:
    """The statistics of a stack."""
    values, labels = stack.raw.astype(np.float64), stack.labels
    mask: Mask = labels > 0
    inside, outside = values[mask].mean(), values[~mask].mean()
    contrast = inside - outside
    gradient = np.hypot(*np.gradient(values, axis=(1, 2)))
    rim = mask ^ ndimage.binary_erosion(mask, np.ones((1, 3, 3), bool))
    return Realism(
        ratio=float(inside / outside) if outside > 0 else math.nan,
        correlation=float(np.corrcoef(values.ravel(), mask.ravel())[0, 1]),
        fill=float(mask.mean()),
        noise=_noise(values) / contrast,
        edge=float(gradient[rim].mean() / contrast),
        flat=float(np.median(gradient[~mask]) / contrast),
        spread=_spread(values, labels) / contrast,
        slope=_slope(values),
        watershed=_watershed(stack),
    )


def _noise(values: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(ndimage.convolve(values, LAPLACIAN))) / 0.6745 / 6)


def _spread(values: NDArray[np.float64], labels: Voxels) -> float:
    numbers = np.unique(labels[labels > 0])
    if len(numbers) < FEWEST:
        return math.nan
    return float(np.std(ndimage.mean(values, labels, numbers)))


def _watershed(stack: Stack) -> float:
    if stack.labels.dtype == np.bool_ or len(np.unique(stack.labels)) < FEWEST:
        return math.nan
    image = from_array(stack.raw, stack.spacing_um, modality="fluorescence")
    truth = from_array(stack.labels.astype(np.int32), stack.spacing_um, modality="labels")
    return float(score(truth, segment(image)).ap)


def _slope(values: NDArray[np.float64]) -> float:
    """Of the radially averaged power of the planes, each less its mean."""
    planes = values - values.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(planes)) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(values.shape[1])[:, None], np.fft.fftfreq(values.shape[2])[None])
    edges = np.geomspace(*BANDS, 9)
    rings = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    known = [(np.log(frequency[ring].mean()), np.log(power[ring].mean())) for ring in rings if ring.any()]
    x, y = np.array(known).T
    return float(np.polyfit(x, y, 1)[0])


def real_stacks(data: Path) -> Iterator[Stack]:
    """The real stacks whose nuclei are known."""
    import h5py
    import tifffile

    folder = data / "segmentation"
    with h5py.File(folder / "gonuclear" / "1135_mini.h5") as file:
        yield Stack("GoNuclear 1135", file["raw"][...], file["label"][...], (0.284, 0.127, 0.127))
    nuclei = [tifffile.imread(folder / "cells3d" / f"{name}.tif") for name in ("nuclei", "nuclei_label")]
    yield Stack("cells3d (silver)", nuclei[0], nuclei[1], (0.29, 0.26, 0.26))
    stem = "example_datasets_images_{}_8_cell_stage.tif"
    embryo = [tifffile.imread(folder / "qcanet" / stem.format(name)) for name in ("raw", "nsn")]
    yield Stack("qcanet, 8 cells", embryo[0], ndimage.label(embryo[1] > 0)[0], (1.75, 0.8, 0.8))
    with np.load(folder / "bbbc033" / "bbbc033_xyds4.npz") as file:
        yield Stack("BBBC033", file["raw"], file["label"], (0.5, 0.404, 0.404))
    movie = data / "tracking" / "movies"
    frames = [tifffile.imread(movie / f"Fluo-N3DH-CHO_02_{kind}.tif") for kind in ("img", "ERR_SEG")]
    shape = (20, 5, 443, 512)
    first, truth = (frame.reshape(shape)[0] for frame in frames)
    yield Stack("Fluo-N3DH-CHO t0 (silver)", first, truth, (1.0, 0.202, 0.202))


def drawn_stacks(config: Path) -> Iterator[Stack]:
    """Each optical volume of a phantom, over difficulties and seeds."""
    for difficulty in DIFFICULTIES:
        for seed in SEEDS if difficulty == 0.5 else SEEDS[:1]:
            phantom = load_phantom(config, {"difficulty": str(difficulty), "seed": str(seed)}).build()
            for name, acquisition in phantom.acquisitions.items():
                stack = f"phantom {name}, difficulty {difficulty:g}, seed {seed}"
                image, labels = acquisition.image()[0].channel(), acquisition.labels()[0].channel()
                yield Stack(stack, image, labels, acquisition.grid.spacing_um)


def real_scans(data: Path) -> Iterator[Stack]:
    """A real CT, a real MRI and a live light-sheet stack, with what is above Otsu's threshold."""
    kinds = {
        "niivue_CT_pitch.nii.gz": ("head, clinical CT", "CT"),
        "clinical_tutorial_T2.nii.gz": ("head, clinical MRI (T2)", "MRI"),
        "zf_lightsheet_ref_2016-10-18fish1_pre_xyz5um.nrrd": ("zebrafish, light sheet, at 5 µm", "fluorescence"),
    }
    for file, (name, modality) in kinds.items():
        unit = "um" if file.endswith(".nrrd") else None
        yield _above_otsu(name, read(data / "registration" / file, modality=modality, unit=unit))


def drawn_scans(config: Path) -> Iterator[Stack]:
    """The CT and the MRI of a phantom at the default difficulty, with what is above Otsu's threshold."""
    phantom = load_phantom(config, {"difficulty": "0.5"}).build()
    for name in ("ct", "mri"):
        yield _above_otsu(f"phantom {config.stem}, {name}", phantom[name].image()[0])


def _above_otsu(name: str, volume: Volume) -> Stack:
    from skimage.filters import threshold_otsu

    values = volume.channel().astype(np.float32)
    return Stack(name, values, values > threshold_otsu(values), volume.grid.spacing_um)


def table(rows: Sequence[tuple[str, Realism]]) -> str:
    """The statistics as CSV."""
    names = list(asdict(rows[0][1]))
    lines = [",".join(["stack", *names])]
    for name, found in rows:
        lines.append(",".join([f'"{name}"', *(f"{value:.3f}" for value in asdict(found).values())]))
    return "\n".join(lines) + "\n"


def markdown(rows: Sequence[tuple[str, Realism]]) -> str:
    """The statistics as a Markdown table."""
    names = list(asdict(rows[0][1]))
    lines = [f"| stack | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, found in rows:
        lines.append(f"| {name} | {' | '.join(map(_said, asdict(found).values()))} |")
    return "\n".join(lines) + "\n"


def _said(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure real and drawn stacks, write the table as CSV and as Markdown beside it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--config", type=Path, default=Path("configs/phantom/crowded.yaml"))
    parser.add_argument("--out", type=Path, default=Path("results/bench/realism.csv"))
    options = parser.parse_args(arguments)
    rows = []
    scanned = [drawn_scans(options.config.with_name(f"{name}.yaml")) for name in SCANNED]
    for stacks in (real_stacks(options.data), drawn_stacks(options.config), real_scans(options.data), *scanned):
        for stack in stacks:
            rows.append((stack.name, realism(stack)))
            log.info("%s: %s", stack.name, rows[-1][1])
    write_text(options.out, table(rows))
    text = f"{markdown(rows)}\nMeasured {datetime.now(UTC):%Y-%m-%d}.\n"
    write_text(options.out.with_suffix(".md"), text)
    log.info("%s", text)


if __name__ == "__main__":
    main()
