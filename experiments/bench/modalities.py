"""The defaults of each pair of modalities, measured: on phantoms of exact truth, and on real volumes moved on purpose.

    OMP_NUM_THREADS=1 python -m experiments.bench.modalities --out results/bench/modalities.csv

registers every two instruments of ``configs/phantom/embryo.yaml``, a confocal microscope added, with ``auto`` and with
plain ``rigid``, then real pairs of ``registration_cases.py`` in the folder ``bench`` beside FUSETRACK_DATA. One row a
registration goes into the CSV, a table beside it (.md). Errors are the mean distance at 2000 points of the specimen,
those in both fields, in µm and in voxels (geometric mean of the sides) of the coarser volume.

``--moments same`` draws all instruments at one time; ``own`` at the times of the config, where CT and MRI come 38
minutes after the first frames of the microscopes and cells have moved between.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from experiments import strict_yaml
from phantom.config import PhantomConfig
from phantom.phantom import Phantom
from registration.auto import AutoConfig
from registration.linear.linear import RigidConfig
from registration.result import Registrar
from volumes.atomic import write_text
from volumes.errors import VolumeFileError
from volumes.shapes import Points
from volumes.volume import Volume, from_array

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
CONFOCAL = {
    "kind": "confocal",
    "shape": [64, 128, 128],
    "spacing_um": [1.6, 1.05, 1.05],
    "rotation_deg": [5.0, 9.0, -7.0],
}
NAMES = ("light_sheet", "confocal", "swir", "brightfield", "ct", "mri")
REAL = {
    "T1-T2": ("MRI", "MRI", 1000.0),
    "T1-PD": ("MRI", "MRI", 1000.0),
    "T1-PET": ("MRI", "PET", 1000.0),
    "T1-CT": ("MRI", "CT", 1000.0),
    "ZF": ("fluorescence", "fluorescence", 1.0),
}
"""Each real pair's modalities, and µm in its unit."""
METHODS: dict[str, Registrar] = {"auto": AutoConfig().build(), "rigid": RigidConfig().build()}
POINTS = 2000
SUCCESS_VOXELS, WRONG_VOXELS = 2.0, 3.0
"""A mean error below the one is a success; above the other, a status that says good is false."""


@dataclass(frozen=True)
class Case:
    """Two volumes and where points of the one belong in the other.

    Parameters
    ----------
    data : ``simulated`` or ``real``.
    pair, case : names of the two, and the seed.
    fixed, moving : the volumes.
    points, places : world points (n, 3) of the fixed volume, and their true places in the moving one, µm.
    """

    data: str
    pair: str
    case: int
    fixed: Volume
    moving: Volume
    points: Points
    places: Points


@dataclass(frozen=True)
class Row:
    """One registration; ``tre`` is the mean error."""

    data: str
    pair: str
    case: int
    method: str
    tre_um: float
    tre_voxels: float
    status: str
    cpu_s: float


def simulated(
    seed: int, difficulty: float, moments: str, names: Sequence[str] = NAMES, among: Sequence[str] = NAMES
) -> Iterator[Case]:
    """Every two instruments of one phantom, at least one of which is ``among`` those."""
    specimen = drawn(seed, difficulty, moments, names).build()
    seen = {name: specimen[name].image()[0] for name in names}
    inside = specimen_points(specimen)
    for fixed, moving in combinations(names, 2):
        if not {fixed, moving} & set(among):
            continue
        here, there = (specimen[name].pose.to_world(inside) for name in (fixed, moving))
        shared = within(seen[fixed], here) & within(seen[moving], there)
        pair = f"{fixed} – {moving}"
        yield Case("simulated", pair, seed, seen[fixed], seen[moving], here[shared], there[shared])


def drawn(seed: int, difficulty: float, moments: str, names: Sequence[str]) -> PhantomConfig:
    """The embryo before the named instruments, one frame each."""
    values = strict_yaml.load(REPOSITORY / "configs" / "phantom" / "embryo.yaml")
    instruments = {**values["instruments"], "confocal": CONFOCAL}
    chosen = {name: {**instruments[name], "frames": 1} for name in names}
    if moments == "same":
        chosen = {name: {**one, "start_s": 0.0} for name, one in chosen.items()}
    return PhantomConfig.model_validate({**values, "seed": seed, "difficulty": difficulty, "instruments": chosen})


def specimen_points(specimen: Phantom) -> Points:
    """Points (n, 3) of the specimen's tissue in its own frame."""
    labels = specimen.anatomy.labels
    inside = np.argwhere(labels.channel() > 0).astype(np.float64)
    return labels.grid.to_world(inside[np.random.default_rng(0).choice(len(inside), POINTS, replace=False)])


def within(volume: Volume, points: Points) -> np.ndarray:
    """(n,) whether points lie in the field."""
    index = volume.grid.to_index(points)
    return np.asarray(((index >= -0.5) & (index <= np.asarray(volume.grid.shape) - 0.5)).all(axis=1))


def real(pair: str, seed: int) -> Case:
    """A real pair, the second moved by a known rigid transform."""
    fixed, moving, points, places = _cases().make_case(pair, "rigid", seed)
    first, second, unit = REAL[pair]
    volumes = _volume(fixed, unit, first), _volume(moving, unit, second)
    return Case("real", pair, seed, *volumes, points[:, ::-1] * unit, places[:, ::-1] * unit)


def measured(case: Case) -> Iterator[Row]:
    """Each method on one case."""
    for method, registrar in METHODS.items():
        begun = time.process_time()
        found = registrar.register(case.fixed, case.moving)
        seconds = time.process_time() - begun
        error = float(np.linalg.norm(found.transform(case.points) - case.places, axis=1).mean())
        voxel = max(float(np.prod(v.grid.spacing_um)) ** (1 / 3) for v in (case.fixed, case.moving))
        yield Row(case.data, case.pair, case.case, method, error, error / voxel, found.status.value, seconds)


def summary(rows: Sequence[Row]) -> str:
    """Markdown: a line for each pair and method."""
    out = ["| data | pair | method | success | TRE µm mean / max | voxels mean / max | false good | not good | s |\n"]
    out.append("|---|---|---|---|---|---|---|---|---|\n")
    for key in dict.fromkeys((r.data, r.pair, r.method) for r in rows):
        group = [r for r in rows if (r.data, r.pair, r.method) == key]
        um, voxels = (np.array([getattr(r, name) for r in group]) for name in ("tre_um", "tre_voxels"))
        false = sum(r.status == "good" and r.tre_voxels > WRONG_VOXELS for r in group)
        cells = [
            *key,
            f"{int((voxels < SUCCESS_VOXELS).sum())}/{len(group)}",
            f"{um.mean():.2f} / {um.max():.2f}",
            f"{voxels.mean():.2f} / {voxels.max():.2f}",
            str(false),
            str(sum(r.status != "good" for r in group)),
            f"{np.mean([r.cpu_s for r in group]):.2f}",
        ]
        out.append(f"| {' | '.join(cells)} |\n")
    return "".join(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; after every specimen what stands so far is written."""
    parser = argparse.ArgumentParser(description="The defaults of each pair of modalities, measured.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the table goes beside it")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--difficulty", type=float, default=0.2)
    parser.add_argument("--moments", choices=["same", "own"], default="same")
    parser.add_argument("--instruments", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--among", nargs="+", choices=NAMES, default=NAMES, help="pairs that hold one of these")
    parser.add_argument("--real", nargs="*", choices=list(REAL), default=list(REAL))
    parser.add_argument("--cases", type=int, default=3, help="how many of each real pair")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: list[Row] = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for case in simulated(seed, chosen.difficulty, chosen.moments, chosen.instruments, chosen.among):
            if not rows:
                METHODS["rigid"].register(case.fixed, case.moving)  # compiles; not counted
            rows += measured(case)
        _keep(rows, chosen.out)
    for pair in chosen.real:
        for seed in range(chosen.first, chosen.first + chosen.cases):
            rows += measured(real(pair, seed))
        _keep(rows, chosen.out)
    log.info("%s", summary(rows))


def _keep(rows: Sequence[Row], out: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(out, text.getvalue())
    write_text(out.with_suffix(".md"), summary(rows))


def _cases() -> Any:  # noqa: ANN401 - a module of the shared folder
    data = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    path = data.parent / "bench" / "registration_cases.py"
    spec = importlib.util.spec_from_file_location("registration_cases", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VolumeFileError("is missing", file=path, remedy="Set FUSETRACK_DATA, or leave out real pairs: --real")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _volume(image: Any, unit_um: float, modality: str) -> Volume:  # noqa: ANN401 - an ITK image
    import SimpleITK as sitk  # noqa: N813

    return from_array(
        sitk.GetArrayFromImage(image),
        [spacing * unit_um for spacing in reversed(image.GetSpacing())],
        modality=modality,
        origin_um=[origin * unit_um for origin in reversed(image.GetOrigin())],
        direction=np.array(image.GetDirection()).reshape(3, 3)[::-1, ::-1].tolist(),
    )


if __name__ == "__main__":
    main()
