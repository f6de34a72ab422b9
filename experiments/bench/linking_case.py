"""The cases of the linking benchmark: real lineages with what a detector does to them, by name."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from volumes.errors import ConfigError

LINEAGES = {"drosophila": "drosophila_linajea_120828", "T": "immune_TCellsRaw", "B": "immune_BCellsRaw"}
NAME = re.compile(r"(?P<lineage>\w+)(:(?P<every>[1-9]\d*))?(?P<merge>\+merge)?(?P<novolume>-novolume)?(?P<raw>-raw)?")
MERGED = 0.02
"""Share of the detections that swallow their neighbour in a case ``+merge``."""
DIAMETERS_UM = {"T": 8.0, "B": 8.0}
"""Stated diameters, where a table holds no volumes: of leukocytes."""

Case: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays of a case: T frames, C centres, V volumes, G true nodes, gt_t, gt_P, gt_par the truth."""


@dataclass(frozen=True)
class Named:
    """What a name says: ``Pm05:5+merge-novolume``.

    Parameters
    ----------
    lineage : whose lineage, or ``synthetic``.
    every : frames of which one is kept.
    merge : whether detections swallow their neighbours.
    novolume : whether the volumes are kept back.
    raw : neither drop-outs, nor false detections, nor jitter.
    """

    lineage: str
    every: int
    merge: bool
    novolume: bool
    raw: bool

    @classmethod
    def of(cls, name: str) -> Named:
        """The case of a name.

        Raises
        ------
        ConfigError : it does not read as one.
        """
        found = NAME.fullmatch(name)
        if found is None:
            remedy = "For example Pm05, Pm05:5, Pm05+merge, Pm05:3-novolume, T-raw, synthetic"
            raise ConfigError("is no case", field="--cases", value=name, remedy=remedy)
        flags = {key: found[key] is not None for key in ("merge", "novolume", "raw")}
        return cls(found["lineage"], int(found["every"] or 1), **flags)


def made(cases: ModuleType, folder: Path, name: str, seed: int) -> Case:
    """The arrays of a case: 5 % drop-outs, 2 % false detections, jitter 0.5, unless it is raw.

    Parameters
    ----------
    cases : the module ``linking_cases.py`` beside the data.
    folder : the data folder.
    name : see :class:`Named`.
    seed : of the degradation, and of synthetic cells.
    """
    named = Named.of(name)
    stem = LINEAGES.get(named.lineage, f"phallusia_{named.lineage}")
    file = folder / "tracking" / "lineages" / f"{stem}.csv.gz"
    truth = cases.synth(seed=seed + 1) if named.lineage == "synthetic" else cases.real(file, named.every)
    degraded = {"drop": 0.0, "fp": 0.0, "jit": 0.0} if named.raw else {"drop": 0.05, "fp": 0.02, "jit": 0.5}
    with tempfile.TemporaryDirectory() as place, Path(os.devnull).open("w") as nowhere:
        out = Path(place) / "case.npz"
        with redirect_stdout(nowhere):
            cases.save(out, *truth, **degraded, seed=seed, merged=MERGED if named.merge else 0)
        with np.load(out) as archive:
            case = dict(archive)
    return case | {"V": np.full(len(case["T"]), np.nan)} if named.novolume else case


def nearest(case: Case) -> float:
    """Median distance to the nearest neighbour, over all frames with two cells at least."""
    frames = [case["C"][case["T"] == t] for t in np.unique(case["T"])]
    found = [np.asarray(cKDTree(f).query(f, k=[2])[0]).ravel() for f in frames if len(f) > 1]
    return float(np.median(np.concatenate(found)))


def diameter(case: Case, name: str) -> float | None:
    """A mean diameter to state where the case has no volumes: a known one, or the distance to the nearest neighbour."""
    if np.isfinite(case["V"]).any():
        return None
    return DIAMETERS_UM.get(Named.of(name).lineage) or nearest(case)
