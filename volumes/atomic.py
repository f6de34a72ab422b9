"""Writing that leaves the old or the new, never a part: a temporary neighbour, flushed to disk, renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from volumes.errors import OutputError

PREFIX = ".fusetrack-"
"""Temporary neighbours begin with this, so that a killed run's leftovers can be told and removed."""
OLD = ".fusetrack-old-"
"""What a folder is called for the moment between its going and its successor's coming."""
RANDOM = 12
"""Random hexadecimal digits in a temporary name."""


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder; what is written there replaces ``path`` when the block ends well.

    The temporary name keeps the suffixes of ``path``, since writers pick a format by them.

    Raises
    ------
    OutputError : the folder cannot be written, or the disk is full; ``path`` is then what it was.
    """
    temporary = _neighbour(path, PREFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        _remove(temporary)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives a fresh temporary folder beside ``path``; it takes the place of ``path`` when the block ends well.

    Two folders cannot change places in one step: a run killed just between the two leaves the old one under another
    name, from which :func:`remove_leftovers` brings it back.

    Raises
    ------
    OutputError : ``path`` is a file, the folder cannot be written, or the disk is full; ``path`` is then what it was.
    """
    temporary, old = _neighbour(path, PREFIX), _neighbour(path, OLD)
    if path.exists() and not path.is_dir():
        raise OutputError("is a file where a folder is to be written", file=path, remedy="Choose another output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for file in (*temporary.rglob("*"), temporary):
            _flush(file)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        _remove(temporary)
        _remove(old)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) at once."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> None:
    """Clear away the temporary neighbours that a killed run left in a folder that no other run uses.

    A folder that was set aside, but whose successor never came, gets its name back.
    """
    for leftover in folder.glob(f"{PREFIX}*"):
        place = folder / leftover.name.removeprefix(OLD)[RANDOM + 1 :]
        if leftover.name.startswith(OLD) and not place.exists():
            leftover.rename(place)
        else:
            _remove(leftover)


def _neighbour(path: Path, prefix: str) -> Path:
    return path.parent / f"{prefix}{uuid.uuid4().hex[:RANDOM]}-{path.name}"


def _remove(path: Path) -> None:
    """Remove what may be there or not; what cannot be removed stays, since it is no part of the output."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


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
