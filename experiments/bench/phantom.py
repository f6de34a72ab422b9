"""How each stage does on the phantom, and beside it on real data: the gap from simulated to real, in one table.

    OMP_NUM_THREADS=1 python -m experiments.bench.phantom --out results/bench/phantom

runs ``configs/phantom/pipeline.yaml`` into the folder, or finds it done there; so it does with the real counterparts of
the folder of data (FUSETRACK_DATA), where they are. The table is shown and written beside them (``table.md``). Reading
GoNuclear needs h5py (extra ``bench``).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Experiment, load
from experiments.drawn import drawn
from experiments.pipeline import run
from experiments.run_folder import RunFolder
from experiments.scoring.table import Figure
from experiments.sources import open_first
from experiments.stages.evaluate import evaluated
from volumes import from_array, write
from volumes.atomic import write_text

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
GONUCLEAR_UM = (0.284, 0.127, 0.127)
CHO = {"axes": "TZYX", "sizes": [20, 5, 443, 512], "spacing_um": [1.0, 0.202, 0.202], "dt_s": 570.0}
BRAIN = {"rotation_deg": [9.0, -6.0, 11.0], "shift_um": [-9000.0, 12000.0, 7000.0], "noise": 0.02, "seed": 7}
ZEBRAFISH = {"rotation_deg": [9.0, -6.0, 11.0], "shift_um": [-25.0, 38.0, 31.0], "noise": 0.02, "seed": 7}


@dataclass(frozen=True)
class Scored:
    """A run's figures, and the voxel that its distances are put in proportion to.

    Parameters
    ----------
    name : of the data.
    rows : all figures.
    voxel_um : geometric mean of the reference's spacing; None without a volume.
    """

    name: str
    rows: tuple[Figure, ...]
    voxel_um: float | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not done yet and show the table."""
    parser = argparse.ArgumentParser(description="Every stage on the phantom and on real data.")
    parser.add_argument("--out", type=Path, default=Path("results/bench/phantom"))
    parser.add_argument("--config", type=Path, default=REPOSITORY / "configs" / "phantom" / "pipeline.yaml")
    default = os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="the folder of real data")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = load(chosen.config)
    if not isinstance(config, Experiment):
        parser.error("the config is a suite; one experiment is meant")
    simulated = scored(config, chosen.out / "phantom", config.name)
    real = [
        scored(experiment, chosen.out / experiment.name, name)
        for name, experiment in counterparts(chosen.data, chosen.out / "converted")
    ]
    text = table(simulated, real)
    write_text(chosen.out / "table.md", text)
    log.info("%s", text)


def scored(experiment: Experiment, out: Path, name: str) -> Scored:
    """The figures of an experiment, run into a folder or found done there."""
    run(experiment, out)
    done, folder = drawn(experiment, RunFolder(out)), RunFolder(out)
    grid = open_first(done.fixed, done.sources[done.fixed]).image.grid if done.sources else None
    voxel = float(np.prod(grid.spacing_um) ** (1 / 3)) if grid else None
    return Scored(name, evaluated(done, folder), voxel)


def counterparts(data: Path, converted: Path) -> Iterator[tuple[str, Experiment]]:
    """Real data that a stage can be scored on, with its name, as far as the folder holds it."""
    for name, values in _pairs(data / "registration"):
        files = [source["file"] for source in values["sources"].values()]
        if all(Path(file).is_file() for file in files):
            yield name, _experiment(values)
    raw = data / "segmentation" / "gonuclear" / "1135_mini.h5"
    if raw.is_file() and importlib.util.find_spec("h5py"):
        yield "GoNuclear 1135", _experiment(_gonuclear(raw, converted))
    movie = data / "tracking" / "movies" / "Fluo-N3DH-CHO_02_img.tif"
    if movie.is_file():
        yield "CHO (silver)", _experiment(_cho(movie))
    lineage = data / "tracking" / "lineages" / "phallusia_Pm03.csv.gz"
    if lineage.is_file():
        cells = {"file": str(lineage), "observed": {}}
        yield "Pm03, drop-outs", _experiment({"name": "pm03", "cells": cells, "link": {"kind": "constraint"}})


def table(simulated: Scored, real: Sequence[Scored]) -> str:
    """Markdown: a row for each figure of the phantom, with the same figure of the real data that have it."""
    heads = ["stage", "of", "figure", "phantom", "real data"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in simulated.rows:
        beside = [f"{other.name} {_shown(one, other)}" for other in real for one in other.rows if _alike(row, one)]
        cells = (row.stage, row.subject, row.measure, _shown(row, simulated), " · ".join(beside) or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _alike(row: Figure, other: Figure) -> bool:
    return (row.stage, row.measure) == (other.stage, other.measure)


def _shown(row: Figure, of: Scored) -> str:
    """A figure; a distance also in voxels, since brains and embryos differ in size."""
    if row.unit != "µm" or not of.voxel_um:
        return f"{row.value:.4g}"
    return f"{row.value:.3g} µm ({row.value / of.voxel_um:.2g} voxels)"


def _experiment(values: Mapping[str, Any]) -> Experiment:
    return Experiment.model_validate(values)


def _pairs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Volumes of one specimen, the second moved on purpose."""
    zebrafish = ("zbrain-tERK-8bit_xyz5um.nrrd", "zbrain-H2B-RFP_6dpf_mean10fish_8bit_xyz5um.nrrd")
    pairs = {
        "T1–T2": ("t1_t2", ("spm_T1.nii.gz", "spm_T2.nii.gz"), ("MRI", "MRI"), {}, BRAIN),
        "T1–CT": ("t1_ct", ("spm_T1.nii.gz", "clinical_scct.nii.gz"), ("MRI", "CT"), {}, BRAIN),
        "zbrain": ("zbrain", zebrafish, ("fluorescence", "fluorescence"), {"unit": "um"}, ZEBRAFISH),
    }
    for name, (short, files, modalities, extra, moved) in pairs.items():
        still, moving = (
            {"file": str(folder / file), "modality": modality, **extra}
            for file, modality in zip(files, modalities, strict=True)
        )
        sources = {"still": still, "moved": {**moving, "displaced": moved}}
        yield name, {"name": short, "sources": sources, "register": {"kind": "rigid"}, "allow_failed": True}


def _gonuclear(raw: Path, converted: Path) -> dict[str, Any]:
    """The stack as files that state their spacing, written once."""
    import h5py

    files = {"raw": converted / "1135_raw.nrrd", "label": converted / "1135_label.nrrd"}
    with h5py.File(raw) as archive:
        for key, file in files.items():
            modality = "fluorescence" if key == "raw" else "labels"
            voxels = np.asarray(archive[key])
            kept = voxels.astype(np.uint16) if key == "label" else voxels
            if not file.is_file():
                write(from_array(kept, GONUCLEAR_UM, modality=modality), file)
    return {
        "name": "gonuclear_1135",
        "sources": {"nuclei": {"file": str(files["raw"]), "modality": "fluorescence", "unit": "um"}},
        "segment": {"kind": "watershed"},
        "truth_labels": {"file": str(files["label"]), "modality": "labels", "unit": "um"},
    }


def _cho(movie: Path) -> dict[str, Any]:
    labels = movie.with_name("Fluo-N3DH-CHO_02_ERR_SEG.tif")
    return {
        "name": "cho",
        "sources": {"cells": {"file": str(movie), "modality": "fluorescence", "layout": CHO}},
        "segment": {"kind": "watershed"},
        "truth_labels": {"file": str(labels), "modality": "labels", "layout": CHO},
    }


if __name__ == "__main__":
    main()
