"""Experiments as YAML, one per use, and the small real data that the demonstration runs on."""

from __future__ import annotations

from pathlib import Path

from volumes.errors import VolumeFileError


def demo_data(name: str) -> Path:
    """The path of one file of the demonstration's data; whose each is, ``ATTRIBUTION.md`` among them says.

    Raises
    ------
    VolumeFileError : no such file comes with the package.
    """
    folder = Path(__file__).parent / "demo_data"
    known = sorted(path.name for path in folder.iterdir() if path.is_file())
    if name not in known:
        raise VolumeFileError("is not among the demonstration's data", file=name, remedy=f"It has {known}")
    return folder / name
