"""The process that a method is measured in: it registers what it is sent, and says how long that took.

    python -P registration_process.py METHODS_FILE METHOD

It stands alone (the standard library and numpy), so that any interpreter can run it. Each line of its input names a
case, ``{"folder": ..., "out": ...}``. The folder holds ``fixed.nrrd``, ``moving.nrrd``, ``case.json`` and
``points.npy`` (n, 3), points of the fixed volume in ITK's world. Where they go in the moving one is written to ``out``,
an npz; the line that answers holds seconds, memory and status, or the text of an error. Reading is not timed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

Map: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Moving points (n, 3) of fixed points (n, 3), both in ITK's world (x, y, z) and in the case's unit."""
Found: TypeAlias = tuple[Map, Map | None, str]
"""The map, the affine map that it began from where it is deformable, and what the method says of itself."""
Method: TypeAlias = Callable[[Path], Callable[[], Found]]
"""Reads the volumes of a folder, and gives the registration that is timed."""


def answer(method: Method, request: dict[str, str]) -> dict[str, Any]:
    """Register one case and write where its points go; an error becomes part of the answer."""
    try:
        registration = method(Path(request["folder"]))
        wall, cpu = time.perf_counter(), _cpu_s()
        mapped, affine, status = registration()
        out: dict[str, Any] = {"wall_s": time.perf_counter() - wall, "cpu_s": _cpu_s() - cpu, "status": status}
        points = np.load(Path(request["folder"]) / "points.npy", allow_pickle=False)
        maps = {"found": mapped} | ({"affine": affine} if affine is not None else {})
        arrays: dict[str, Any] = {name: there(points) for name, there in maps.items()}
        np.savez(request["out"], **arrays)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return out | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process, or a child that it waited for, has held.

    Linux's ``ru_maxrss`` of a process also counts what its parent held when it was started; VmHWM does not.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        own = int(lines["VmHWM"].split()[0])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def serve(method: Method, requests: TextIO, answers: TextIO) -> None:
    """Answer each line with a line."""
    for line in requests:
        answers.write(json.dumps(answer(method, json.loads(line))) + "\n")
        answers.flush()


def loaded(path: Path) -> ModuleType:
    """A module by its file, whatever else is called so."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Serve the requests on the standard input; what a method prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(loaded(Path(sys.argv[1])).METHODS[sys.argv[2]], sys.stdin, answers)


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
