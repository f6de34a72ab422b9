"""Where a result comes from: the files it was made of and the versions that made it."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from pydantic import BaseModel

from experiments.config import Experiment
from experiments.entries import Cells, Source
from experiments.loading import paths

PACKAGES = ("fusetrack", "numpy", "scipy", "numba", "SimpleITK", "nibabel", "zarr", "scikit-image", "pandas")
"""Those whose version may change a number."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def entries(experiment: Experiment) -> dict[str, Source | Cells]:
    """Everything that an experiment reads, by the name it has in the config."""
    found: dict[str, Source | Cells] = dict(experiment.sources)
    if experiment.cells:
        found["cells"] = experiment.cells
    if experiment.truth_labels:
        found["truth_labels"] = experiment.truth_labels
    return found


def input_files(experiment: Experiment) -> dict[str, Path]:
    """The files among them, and those that the registration reads."""
    return {name: entry.file for name, entry in entries(experiment).items()} | registration_files(experiment)


def registration_files(experiment: Experiment) -> dict[str, Path]:
    """Starts, masks, landmarks and given transforms, by dotted key."""
    asked: dict[str, BaseModel] = {f"pairs.{i}": pair for i, pair in enumerate(experiment.pairs)}
    if experiment.register_:
        asked["register"] = experiment.register_
    return {f"{name}.{key}": path for name, part in asked.items() for key, path in paths(part).items()}
