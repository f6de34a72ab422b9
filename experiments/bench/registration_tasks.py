"""The tasks of the registration benchmark: pairs of real volumes, moved by known transforms; what is a success."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from volumes.errors import VolumeFileError

Model: TypeAlias = Literal["rigid", "affine", "deformable"]
MODELS: tuple[Model, ...] = ("rigid", "affine", "deformable")
REPOSITORY = Path(__file__).resolve().parents[2]
MODALITIES = {
    "T1-T2": ("MRI", "MRI"),
    "T1-PD": ("MRI", "MRI"),
    "T1-CT": ("MRI", "CT"),
    "ZF": ("fluorescence", "fluorescence"),
}


@dataclass(frozen=True)
class Task:
    """A pair and how it was moved.

    Parameters
    ----------
    pair : of ``registration_cases.py``.
    kind : rigid, anyrot, half, part, affine, deform or still, of the same.
    limit : mean distance below which a registration succeeded, in the pair's unit; None where any result counts.
    models : what is looked for in it.
    """

    pair: str
    kind: str
    limit: float | None
    models: tuple[Model, ...]

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.pair}:{self.kind}"

    @property
    def unit(self) -> str:
        """Of the pair's lengths."""
        return "µm" if self.unit_um == 1.0 else "mm"

    @property
    def unit_um(self) -> float:
        """µm in the pair's unit: the zebrafish's file has its spacing in µm."""
        return 1.0 if self.pair == "ZF" else 1000.0

    def seeds(self, cases: int, first: int = 0) -> range:
        """Of its cases; the unmoved pair is one case."""
        return range(first, first + (1 if self.kind == "still" else cases))


TASKS = (
    Task("T1-T2", "rigid", 2.0, ("rigid",)),
    Task("T1-PD", "rigid", 2.0, ("rigid",)),
    Task("T1-CT", "rigid", 4.0, ("rigid",)),
    Task("ZF", "rigid", 12.0, ("rigid",)),
    Task("T1-T2", "anyrot", 2.0, ("rigid",)),
    Task("ZF", "anyrot", 12.0, ("rigid",)),
    Task("T1-T2", "half", 2.0, ("rigid",)),
    Task("ZF", "part", 15.0, ("rigid",)),
    Task("T1-T2", "affine", 2.0, ("affine",)),
    Task("T1-CT", "affine", 4.0, ("affine",)),
    Task("ZF", "affine", 12.0, ("affine",)),
    Task("T1-T2", "deform", None, ("deformable",)),
    Task("T1-CT", "deform", None, ("deformable",)),
    Task("ZF", "deform", None, ("deformable",)),
    *(Task(pair, "still", None, MODELS) for pair in MODALITIES),
)


@dataclass(frozen=True)
class Case:
    """A case on disk: a folder of ``fixed.nrrd``, ``moving.nrrd``, ``case.json`` and ``points.npy``; its truth apart.

    Parameters
    ----------
    folder : what a method is shown.
    points, truth : (n, 3) points of the fixed volume and where they belong in the moving one, ITK's world.
    """

    folder: Path
    points: NDArray[np.float64]
    truth: NDArray[np.float64]

    @property
    def initial(self) -> float:
        """Mean distance before any registration."""
        return float(np.linalg.norm(self.points - self.truth, axis=1).mean())


def make_case(source: ModuleType, task: Task, seed: int, folder: Path) -> Case:
    """Draw a case and write it into a new folder."""
    import SimpleITK as sitk  # noqa: N813

    fixed, moving, points, truth = source.make_case(task.pair, task.kind, seed)
    folder.mkdir()
    for name, image in (("fixed", fixed), ("moving", moving)):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
    np.save(folder / "points.npy", points, allow_pickle=False)
    facts = {"unit_um": task.unit_um, "modalities": MODALITIES[task.pair]}
    (folder / "case.json").write_text(json.dumps(facts), encoding="utf-8")
    return Case(folder, np.asarray(points, np.float64), np.asarray(truth, np.float64))


def cases_module() -> ModuleType:
    """The module ``registration_cases`` of the folder ``bench`` beside the data; it holds ITK to one thread.

    Raises
    ------
    VolumeFileError : it is not there.
    """
    data = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    path = data.parent / "bench" / "registration_cases.py"
    spec = importlib.util.spec_from_file_location("registration_cases", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VolumeFileError("is missing", file=path, remedy="Set FUSETRACK_DATA to the folder of real data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
