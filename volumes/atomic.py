"""Writing that leaves the old or the new, never a part: a temporary neighbour, flushed to disk, renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volumes.errors import OutputError

PREFIX = ".fusetrack-"
"""Temporary neighbours begin with this, so that a killed run's leftovers can be told and removed."""


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder; what is written there replaces ``path`` when the block ends well.

    The temporary name keeps the suffixes of ``path``, since writers pick a format by them.

    Raises
    ------
    OutputError : the folder cannot be written, or the disk is full; ``path`` is then what it was.
    """
    temporary = _neighbour(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives a fresh temporary folder beside ``path``; it takes the place of ``path`` when the block ends well.

    Raises
    ------
    OutputError : the folder cannot be written, or the disk is full; ``path`` is then what it was.
    """
    temporary, old = _neighbour(path), _neighbour(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            _flush(file)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        if old.exists() and not path.exists():
            old.rename(path)
        raise _explained(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) at once."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary neighbours that a killed run left in a folder that no other run uses."""
    for leftover in folder.glob(f"{PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _neighbour(path: Path) -> Path:
    return path.parent / f"{PREFIX}{uuid.uuid4().hex[:12]}-{path.name}"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(path: Path, error: OSError) -> OutputError:
    remedies = {
        errno.ENOSPC: "The disk is full: free some space",
        errno.EROFS: "The disk is read-only: choose another output",
        errno.EACCES: "No permission to write there: choose another output",
    }
    return OutputError(
        f"cannot be written: {error.strerror or error}",
        file=path,
        remedy=remedies.get(error.errno or 0, "Check that its folder exists and can be written"),
    )
