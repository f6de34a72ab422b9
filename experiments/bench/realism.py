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
from volumes.atomic import write_text
from volumes.io import read
from volumes.shapes import Mask, Voxels

log = logging.getLogger(__name__)

LAPLACIAN = np.array([[[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]])
"""Immerkær's mask: blind to planes and edges along the axes, its answer to white noise is 6 σ."""
BANDS = (0.02, 0.2)
"""Lateral frequencies (cycles a voxel) over which the spectrum's slope is fitted."""
DIFFICULTIES = (0.0, 0.5, 1.0)
SCANNED = ("embryo", "zebrafish")
"""Configs beside that of the stacks whose CT and MRI are measured, too."""
SEEDS = (20, 21, 22)
"""Others than those that the defaults were chosen on, 0 to 3 and 10 to 12."""


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
    """

    ratio: float
    correlation: float
    fill: float
    noise: float
    edge: float
    flat: float
    spread: float
    slope: float


def realism(raw: Voxels, labels: Voxels) -> Realism:
    """The statistics of a stack (z, y, x) and its labels, or mask, on the same grid."""
    values = raw.astype(np.float64)
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
    )


def _noise(values: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(ndimage.convolve(values, LAPLACIAN))) / 0.6745 / 6)


def _spread(values: NDArray[np.float64], labels: Voxels) -> float:
    numbers = np.unique(labels[labels > 0])
    if len(numbers) < 3:
        return float("nan")
    return float(np.std(ndimage.mean(values, labels, numbers)))


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


def real_stacks(data: Path) -> Iterator[tuple[str, Voxels, Voxels]]:
    """(name, raw, labels) of the real stacks whose nuclei are known."""
    import h5py
    import tifffile

    folder = data / "segmentation"
    with h5py.File(folder / "gonuclear" / "1135_mini.h5") as file:
        yield "GoNuclear 1135", file["raw"][...], file["label"][...]
    nuclei = [tifffile.imread(folder / "cells3d" / f"{name}.tif") for name in ("nuclei", "nuclei_label")]
    yield "cells3d (silver)", nuclei[0], nuclei[1]
    stem = "example_datasets_images_{}_8_cell_stage.tif"
    embryo = [tifffile.imread(folder / "qcanet" / stem.format(name)) for name in ("raw", "nsn")]
    yield "qcanet, 8 cells", embryo[0], ndimage.label(embryo[1] > 0)[0]
    with np.load(folder / "bbbc033" / "bbbc033_xyds4.npz") as file:
        yield "BBBC033", file["raw"], file["label"]
    movie = data / "tracking" / "movies"
    frames = [tifffile.imread(movie / f"Fluo-N3DH-CHO_02_{kind}.tif") for kind in ("img", "ERR_SEG")]
    shape = (20, 5, 443, 512)
    yield "Fluo-N3DH-CHO t0 (silver)", frames[0].reshape(shape)[0], frames[1].reshape(shape)[0]


def drawn_stacks(config: Path) -> Iterator[tuple[str, Voxels, Voxels]]:
    """(name, image, labels) of each optical volume of a phantom, over difficulties and seeds."""
    for difficulty in DIFFICULTIES:
        for seed in SEEDS if difficulty == 0.5 else SEEDS[:1]:
            phantom = load_phantom(config, {"difficulty": str(difficulty), "seed": str(seed)}).build()
            for name, acquisition in phantom.acquisitions.items():
                stack = f"phantom {name}, difficulty {difficulty:g}, seed {seed}"
                yield stack, acquisition.image()[0].channel(), acquisition.labels()[0].channel()


def real_scans(data: Path) -> Iterator[tuple[str, Voxels, Voxels]]:
    """(name, raw, mask above Otsu's threshold) of a real CT, a real MRI and a live light-sheet stack."""
    kinds = {
        "niivue_CT_pitch.nii.gz": ("head, clinical CT", "CT"),
        "clinical_tutorial_T2.nii.gz": ("head, clinical MRI (T2)", "MRI"),
        "zf_lightsheet_ref_2016-10-18fish1_pre_xyz5um.nrrd": ("zebrafish, light sheet, at 5 µm", "fluorescence"),
    }
    for file, (name, modality) in kinds.items():
        unit = "um" if file.endswith(".nrrd") else None
        yield name, *_above_otsu(read(data / "registration" / file, modality=modality, unit=unit).channel())


def drawn_scans(config: Path) -> Iterator[tuple[str, Voxels, Voxels]]:
    """(name, image, mask above Otsu's threshold) of the CT and the MRI of a phantom at the default difficulty."""
    phantom = load_phantom(config, {"difficulty": "0.5"}).build()
    for name in ("ct", "mri"):
        yield f"phantom {config.stem}, {name}", *_above_otsu(phantom[name].image()[0].channel())


def _above_otsu(voxels: Voxels) -> tuple[Voxels, Voxels]:
    from skimage.filters import threshold_otsu

    values = voxels.astype(np.float32)
    return values, values > threshold_otsu(values)


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
        for name, raw, labels in stacks:
            rows.append((name, realism(raw, labels)))
            log.info("%s: %s", name, rows[-1][1])
    write_text(options.out, table(rows))
    text = f"{markdown(rows)}\nMeasured {datetime.now(UTC):%Y-%m-%d}.\n"
    write_text(options.out.with_suffix(".md"), text)
    log.info("%s", text)


if __name__ == "__main__":
    main()
