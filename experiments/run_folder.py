"""The folder of one run: who may write there, where each thing lies, what is written down about it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volumes.atomic import remove_leftovers, write_text
from volumes.errors import OutputError

LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside ``results/<name>/``; nothing is created before it is asked for."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "experiment.yaml"

    @property
    def manifest(self) -> Path:
        """Inputs' sha256, versions, stage keys and the run's status."""
        return self.path / "manifest.json"

    @property
    def timings(self) -> Path:
        """Seconds that each stage took when it last ran."""
        return self.path / "timings.json"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def scores(self) -> Path:
        """Figures against a known truth, where there is one."""
        return self.path / "scores.json"

    @property
    def evaluation(self) -> Path:
        """The same figures as one table."""
        return self.path / "evaluation.csv"

    @property
    def phantom(self) -> Path:
        """The drawn phantom: volumes as its instruments wrote them, and their truth."""
        return self.path / "phantom"

    @property
    def transforms(self) -> Path:
        """What registration leaves: transforms, their inverses, and what is known of each."""
        return self.path / "transforms"

    def transform(self, name: str) -> Path:
        """The transform from the reference to one source, as an ITK file: .h5 where it is not linear, else .tfm."""
        deformed = self.transforms / f"{name}.h5"
        return deformed if deformed.exists() else self.transforms / f"{name}.tfm"

    def registration(self, name: str) -> Path:
        """Quality, status and reasons of that transform."""
        return self.transforms / f"{name}.json"

    def marker(self, stage: str) -> Path:
        """What is written last when a stage is done."""
        return self.path / "stages" / f"{stage}.done"

    def markers(self) -> list[Path]:
        """Those of all stages that are done."""
        return sorted(self.marker("*").parent.glob("*.done"))

    def part(self, name: str) -> RunFolder:
        """The folder of one part of a suite."""
        return RunFolder(self.path / name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a second run is refused until this one ends, however it ends.

        Raises
        ------
        OutputError : another run holds the folder, it holds files that no run wrote, or it cannot be created.
        """
        self._refuse_foreign()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"cannot be created: {error.strerror or error}"
            raise OutputError(problem, file=self.path, remedy="Choose another folder with --out") from error
        with (self.path / LOCK).open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(
                    "another run is using this folder",
                    file=self.path,
                    remedy="Wait for it, or choose another folder with --out",
                ) from error
            self._sweep()
            yield

    def _refuse_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise OutputError("is a file, not a folder", file=self.path, remedy="Choose another --out")
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / LOCK).exists():
            raise OutputError(
                "holds files that no run wrote", file=self.path, remedy="Choose an empty or a new folder with --out"
            )

    def _sweep(self) -> None:
        """Remove what a killed run left half-written."""
        remove_leftovers(self.path)
        for folder in [p for p in self.path.rglob("*") if p.is_dir() and not p.name.endswith(".zarr")]:
            if folder.is_dir():
                remove_leftovers(folder)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file at once; equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty where the file is missing.

    Raises
    ------
    OutputError : the file is not what a run writes.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OutputError("is not valid JSON", file=path, remedy="Remove it; the stage will run again") from error
    if not isinstance(value, dict):
        raise OutputError("must hold a mapping", file=path, remedy="Remove it; the stage will run again")
    return value
