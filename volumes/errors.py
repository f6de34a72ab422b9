"""The errors a user can meet: each says what went wrong, in which file and field, with which value, and what to do."""

from __future__ import annotations

from pathlib import Path


class FusetrackError(Exception):
    """Base of every error that fusetrack raises on purpose.

    Parameters
    ----------
    problem : what is wrong, in one clause.
    file : the file it was found in.
    field : the header field, column, config key or argument at fault.
    value : the value found there.
    remedy : what the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        field: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        where = "".join(f"{part}: " for part in (self.file, self.field) if part)
        found = "" if self.value is None else f" (found {_short(self.value)})"
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{where}{self.problem}{found}{remedy}"


class VolumeFileError(FusetrackError):
    """A file that is missing, empty, truncated, corrupt or of an unknown format."""


class HeaderError(FusetrackError):
    """A header that contradicts itself or cannot be trusted: spacing, direction, sizes, affine."""


class UnitError(HeaderError):
    """A length or a time without a unit, or with one that is not known."""


class ContentError(FusetrackError):
    """Voxels that cannot be worked on: NaN, infinite, constant, empty, or of the wrong kind."""


class GridError(FusetrackError):
    """Two volumes that should share one grid and do not."""


class TransformError(FusetrackError):
    """A transform that is singular, not finite, or of a kind that cannot do what was asked."""


class TableError(FusetrackError):
    """Detections or tracks that break the rules of their table."""


class ConfigError(FusetrackError):
    """A configuration that is mistyped, out of range, or not safe to load."""


class WeightsError(FusetrackError):
    """A network's weights that are missing, damaged, or of another network."""


class StageError(FusetrackError):
    """A stage whose result may not be used; the run stops here."""


class OutputError(FusetrackError):
    """An output that is in use, cannot be written, or would overwrite what is not ours."""


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
