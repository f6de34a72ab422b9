"""The tools of the linking benchmark and the settings they are tried with, each run as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.bench.linking_case import Case, diameter, nearest
from tracking3d.link.config import KINDS

Links: TypeAlias = NDArray[np.int64]
"""(e, 2) earlier and later detection."""
Setting: TypeAlias = dict[str, Any]

TOOL = Path(__file__).with_name("linking_tool.py")
PEERS = ("trackpy", "laptrack", "btrack", "motile")
MOTIONS = ("none", "nearest-velocity", "interacting", "particles", "flow")
"""Motion models that the kind kalman is run with besides its default."""
FEW = 5000
"""Detections up to which motile is tried: past these its integer program does not end."""


@dataclass(frozen=True)
class Tool:
    """A tool with what it is tried with; of several settings, the one that scores best is reported.

    Parameters
    ----------
    name : as the table shows it.
    program : a function of ``linking_tool.py``.
    python : the interpreter of its environment.
    settings : one or more.
    """

    name: str
    program: str
    python: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Output:
    """What a process left.

    Parameters
    ----------
    links : of each setting.
    cpu_s : of the linking alone, for each setting.
    process_cpu_s, peak_mb : of the whole process, imports included.
    version : of the tool.
    """

    links: tuple[Links, ...]
    cpu_s: tuple[float, ...]
    process_cpu_s: float
    peak_mb: float
    version: str


def ours(case: Case, name: str, motions: bool) -> list[Tool]:
    """All our kinds at their defaults; literal with a stated diameter where there are no volumes."""
    stated = diameter(case, name)
    settings: dict[str, Setting] = {kind: {"kind": kind} for kind in KINDS}
    if stated is not None:
        settings["literal"] = {"kind": "literal", "diameter_um": stated}
    if motions:
        settings |= {f"kalman, {motion}": {"kind": "kalman", "motion": {"kind": motion}} for motion in MOTIONS}
    return [Tool(f"fusetrack {kind}", "fusetrack", sys.executable, (chosen,)) for kind, chosen in settings.items()]


def peers(case: Case, python: Mapping[str, str]) -> list[Tool]:
    """The peers that have an interpreter, with the settings that were found to suit them, by hand.

    Lengths are in median distances to the nearest neighbour: trackpy's range 0.5 to 1, and to 2 where a movie is short,
    memory 1 or 2, or predicting by the nearest velocity; LapTrack's cutoff 0.6 or 0.75, with splits to 1 or 1.5 times
    as far; btrack's 20 to 40 of its own units; motile's reach 1.
    """
    unit = nearest(case)
    # In a long movie cells step less than their distance; there trackpy's wide ranges cost most and never were best.
    ranges = (0.5, 0.75, 1.0) if len(case["T"]) > FEW else (0.75, 1.0, 1.5, 2.0)
    tried: dict[str, list[Setting]] = {
        "trackpy": [
            {"reach": factor * unit, "memory": memory, "velocity": velocity}
            for factor, (memory, velocity) in product(ranges, ((1, False), (2, False), (1, True)))
        ],
        "laptrack": [
            {"reach": reach * unit, "gap": 1.0, "split": split}
            for reach, split in ((0.6, 1.5), (0.75, 1.0), (0.75, 1.5))
        ],
        "btrack": [{"scale": scale / unit, "reach": scale, "steps": 2} for scale in (20.0, 30.0, 40.0)],
        "motile": [{"reach": unit, "select": 1.0, "appear": 1.0, "split": 1.0}] if len(case["T"]) <= FEW else [],
    }
    return [Tool(name, name, python[name], tuple(tried[name])) for name in PEERS if name in python and tried[name]]


def run(tool: Tool, case: Case, limit_s: float) -> Output:
    """One process, on one thread.

    Raises
    ------
    RuntimeError : the tool failed; with the end of what it said.
    subprocess.TimeoutExpired : it took longer than the limit.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as place:
        given, out = Path(place) / "case.npz", Path(place) / "out.npz"
        np.savez(given, T=case["T"], C=case["C"], V=case["V"])
        # Isolated: neither the folder of the script nor paths of this environment reach the other one.
        command = [tool.python, "-I", str(TOOL), tool.program, str(given), str(out), json.dumps(tool.settings)]
        done = subprocess.run(  # noqa: S603 - an interpreter that the caller named
            command, capture_output=True, text=True, timeout=limit_s, env={**os.environ, **threads}, check=False
        )
        if done.returncode:
            raise RuntimeError(" ".join(done.stderr.split())[-300:])
        with np.load(out) as found:
            links = tuple(found[f"links_{i}"].astype(np.int64).reshape(-1, 2) for i in range(len(tool.settings)))
            return Output(
                links,
                tuple(found["cpu_s"].tolist()),
                float(found["process_cpu_s"]),
                float(found["peak_mb"]),
                str(found["version"]),
            )


def interpreters(paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Which interpreter has which peer, the first of those named; and of a peer that none has, why it is left out."""
    python: dict[str, str] = {}
    for path in (sys.executable, *paths):
        for peer in PEERS:
            # Found, not imported: an import costs seconds, and one that fails is told by the run itself.
            code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({peer!r}) is None)"
            has = subprocess.run([path, "-I", "-c", code], check=False, capture_output=True)  # noqa: S603
            if has.returncode == 0:
                python.setdefault(peer, path)
    missing = {peer: "no interpreter of --peers-python has it" for peer in PEERS if peer not in python}
    return python, missing
