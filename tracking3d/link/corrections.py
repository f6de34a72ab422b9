"""What a person says of tracks: links to keep, to undo, detections that are no cells, divisions; and the log of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from volumes.atomic import write_text
from volumes.errors import TableError


@dataclass(frozen=True)
class Join:
    """Row ``child`` is the only child of row ``parent``."""

    parent: int
    child: int


@dataclass(frozen=True)
class Break:
    """Row ``child`` is no child of row ``parent``."""

    parent: int
    child: int


@dataclass(frozen=True)
class Delete:
    """Row ``detection`` is no cell: it stays in the table, without a link."""

    detection: int


@dataclass(frozen=True)
class Divide:
    """Row ``mother`` divides into rows ``first`` and ``second``."""

    mother: int
    first: int
    second: int


Correction: TypeAlias = Join | Break | Delete | Divide
KINDS: dict[str, type[Correction]] = {"join": Join, "break": Break, "delete": Delete, "divide": Divide}


@dataclass(frozen=True)
class Entry:
    """A correction, and what came of it.

    Parameters
    ----------
    correction : what was asked.
    changed : (row, parent before, parent after) of each row whose parent became another one, −1 for none.
    """

    correction: Correction
    changed: tuple[tuple[int, int, int], ...]


class Pins(NamedTuple):
    """Corrections as they bind the links.

    Parameters
    ----------
    parent : the parent that a row must have.
    broken : (parent, child) that must not be linked.
    deleted : rows that must stay alone.
    """

    parent: dict[int, int]
    broken: set[tuple[int, int]]
    deleted: set[int]


def rows_of(correction: Correction) -> tuple[int, ...]:
    """The rows that a correction names."""
    return tuple(asdict(correction).values())


def pinned(corrections: Sequence[Correction], t: NDArray[np.int64]) -> Pins:
    """All corrections together.

    Raises
    ------
    TableError : a row that is not in the table of frames t (n,), a child that is not later than its parent, or
        corrections that contradict each other; it names the rows.
    """
    pins, litter = Pins({}, set(), set()), dict[int, set[int]]()
    for correction in corrections:
        for row in rows_of(correction):
            if not 0 <= row < len(t):
                raise TableError(f"names row {row} of a table of {len(t)}", field="corrections", value=correction)
        match correction:
            case Join(parent, child):
                _keep(pins, litter, parent, (child,), t)
            case Divide(mother, first, second):
                _keep(pins, litter, mother, (first, second), t)
            case Break(parent, child):
                pins.broken.add((parent, child))
            case Delete(detection):
                pins.deleted.add(detection)
    for child, parent in pins.parent.items():
        if (parent, child) in pins.broken:
            _refuse(f"rows {parent} and {child} are to be both linked and not linked")
        for row in {parent, child} & pins.deleted:
            _refuse(f"row {row} is deleted and linked with row {child if row == parent else parent}")
    return pins


def _keep(
    pins: Pins,
    litter: dict[int, set[int]],
    parent: int,
    children: tuple[int, ...],
    t: NDArray[np.int64],
) -> None:
    if len(set(children)) < len(children):
        _refuse(f"row {parent} cannot divide into row {children[0]} twice")
    if litter.setdefault(parent, set(children)) != set(children):
        _refuse(f"row {parent} is to have rows {sorted(litter[parent])} as its children, and rows {sorted(children)}")
    for child in children:
        if t[child] <= t[parent]:
            _refuse(f"row {child} (frame {t[child]}) is not later than row {parent} (frame {t[parent]})")
        if pins.parent.setdefault(child, parent) != parent:
            _refuse(f"row {child} is to be the child of row {pins.parent[child]} and of row {parent}")


def _refuse(problem: str) -> None:
    raise TableError(problem, field="corrections", remedy="Leave out one of the two, or mend the rows")


def write_log(entries: Sequence[Entry], path: str | Path) -> None:
    """Write corrections and what came of them as JSON lines, replaced at once."""
    names = {kind: name for name, kind in KINDS.items()}
    lines = [
        json.dumps({"do": names[type(e.correction)], **asdict(e.correction), "changed": e.changed}) for e in entries
    ]
    write_text(Path(path), "".join(f"{line}\n" for line in lines))


def read_log(path: str | Path) -> tuple[Entry, ...]:
    """Read what :func:`write_log` wrote; its corrections, made again on the same tracks, give the same tracks.

    Raises
    ------
    TableError : a line that is no correction.
    """
    entries = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        try:
            held = json.loads(line)
            changed = tuple((int(row), int(before), int(after)) for row, before, after in held.pop("changed"))
            entries.append(Entry(KINDS[held.pop("do")](**{name: int(row) for name, row in held.items()}), changed))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TableError(f"line {number} is no correction", file=path, value=line) from error
    return tuple(entries)
