"""sha256 of files, of folders, and of the code that made a result: what a stage's key is made of."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from volumes.errors import VolumeFileError

BLOCK = 1 << 20


def of_path(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and bytes of all files below a folder.

    Raises
    ------
    VolumeFileError : there is nothing at ``path``.
    """
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        raise VolumeFileError("no such file", file=path, remedy="Check the path in the config")
    parts = [(str(p.relative_to(path)), _of_file(p)) for p in sorted(path.rglob("*")) if p.is_file()]
    return of_text(json.dumps(parts))


def of_text(text: str) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache
def of_package(name: str) -> str:
    """sha256 of a package's Python sources: a changed line is another code version."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise VolumeFileError("no such package", field=name)
    root = Path(next(iter(spec.submodule_search_locations)))
    parts = [(str(p.relative_to(root)), _of_file(p)) for p in sorted(root.rglob("*.py"))]
    return of_text(json.dumps(parts))


def stage_key(name: str, settings: str, inputs: Mapping[str, Path], before: Sequence[str], code: Sequence[str]) -> str:
    """The key of a stage: equal keys promise equal outputs.

    Parameters
    ----------
    name : the stage.
    settings : its part of the config, as JSON.
    inputs : the files that it reads from outside the run.
    before : the keys of the stages whose outputs it reads.
    code : the packages that do its work.
    """
    parts = {
        "stage": name,
        "settings": settings,
        "inputs": {key: of_path(path) for key, path in sorted(inputs.items())},
        "before": list(before),
        "code": {package: of_package(package) for package in sorted({*code, "volumes", "experiments"})},
    }
    return of_text(json.dumps(parts, sort_keys=True))


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
