"""What a report is made of: plain facts and volumes, filled by the pipeline; nothing here knows how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from volumes.errors import TableError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

Origin = Literal["real", "simulated", "mixed"]
"""Where the voxels and positions come from: the badge on every figure."""
Status = Literal["good", "doubtful", "failed"]
Cell: TypeAlias = str | float
"""One value of a table: text, or a number whose unit stands in the row's name."""
Rows = Mapping[str, Cell]
Picture = Volume | TimeLapse


@dataclass(frozen=True)
class TruthError:
    """Distance in µm between where the transform puts points and where they belong, over ``points`` points.

    Parameters
    ----------
    before_mean_um : mean distance without any registration.
    mean_um, median_um, max_um : distances with the transform found.
    points : how many points were compared.
    note : where the truth comes from.
    """

    before_mean_um: float
    mean_um: float
    median_um: float
    max_um: float
    points: int
    note: str = ""


@dataclass(frozen=True)
class RegistrationSection:
    """One registration, all three volumes on the fixed grid.

    Parameters
    ----------
    name : heading.
    fixed : the volume that stays.
    before : the moving volume on the fixed grid, unregistered.
    after : the moving volume on the fixed grid through the transform found.
    status : "good", "doubtful" or "failed".
    reasons : why the status is not good, and what to try.
    quality : figures of the registration; the key names what it is and its unit.
    truth_error_um : the error against a known truth; None where there is none.
    origin, origin_note : the badge, and what it rests on.
    """

    name: str
    fixed: Volume
    before: Volume
    after: Volume
    status: Status
    reasons: tuple[str, ...]
    quality: Mapping[str, float]
    truth_error_um: TruthError | None
    origin: Origin
    origin_note: str


@dataclass(frozen=True)
class FusionSection:
    """Volumes of one grid, and the one volume they became.

    Parameters
    ----------
    name : heading.
    sources : on one grid.
    source_names : one for each source.
    fused : on the grid of the sources.
    edges_kept : method → share of each source's edges that its result keeps, 0 to 1, in the order of the sources.
    scales : how the fused values relate to each source's own unit, in words.
    origin, origin_note : the badge, and what it rests on.
    """

    name: str
    sources: tuple[Volume, ...]
    source_names: tuple[str, ...]
    fused: Volume
    edges_kept: Mapping[str, Sequence[float]]
    scales: tuple[str, ...]
    origin: Origin
    origin_note: str

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.source_names):
            raise TableError(
                f"{len(self.sources)} sources, {len(self.source_names)} names", field="source_names", value=self.name
            )


@dataclass(frozen=True)
class SegmentationSection:
    """Cells found in an image or a movie.

    Parameters
    ----------
    name : heading.
    image : a volume or a movie.
    labels : integers, 0 for background, on the image's grid; a movie when the image is one.
    cells : how many were found, over all frames.
    table : name (with its unit) → value.
    advice : what to look at or to try.
    origin, origin_note : the badge, and what it rests on.
    """

    name: str
    image: Picture
    labels: Picture
    cells: int
    table: Rows
    advice: tuple[str, ...]
    origin: Origin
    origin_note: str

    def __post_init__(self) -> None:
        if self.image.grid.shape != self.labels.grid.shape or _frames(self.image) != _frames(self.labels):
            raise TableError("the labels' shape or frames differ from the image's", field="labels", value=self.name)


@dataclass(frozen=True)
class TrackingSection:
    """Cells followed through time: one row a detection.

    Parameters
    ----------
    name : heading.
    t : frame of each detection.
    zyx_um : position of each detection, (z, y, x) in µm.
    parent : row of the parent detection, −1 at a root.
    track_id : one number for each unbranched stretch.
    dt_s : seconds between frames; None when not known.
    table : name (with its unit) → value: scores, counts.
    advice : what to look at or to try.
    origin, origin_note : the badge, and what it rests on.

    Raises
    ------
    TableError : columns of unequal length, a parent that is no row, or one that is not earlier than its child.
    """

    name: str
    t: Int[np.ndarray, " n"]
    zyx_um: Float64[np.ndarray, "n 3"]
    parent: Int[np.ndarray, " n"]
    track_id: Int[np.ndarray, " n"]
    dt_s: float | None
    table: Rows
    advice: tuple[str, ...]
    origin: Origin
    origin_note: str

    def __post_init__(self) -> None:
        n = len(self.t)
        if self.zyx_um.shape != (n, 3) or len(self.parent) != n or len(self.track_id) != n:
            raise TableError("the columns t, zyx_um, parent and track_id differ in length", field=self.name)
        child = np.flatnonzero(np.asarray(self.parent) >= 0)
        parents: NDArray[Any] = np.asarray(self.parent)[child]
        if (np.asarray(self.parent) < -1).any() or (parents >= n).any():
            raise TableError("a parent is not a row of the table", field="parent", value=self.name)
        if (self.t[parents] >= self.t[child]).any():
            raise TableError("a parent is not earlier than its child", field="parent", value=self.name)


@dataclass(frozen=True)
class EvaluationSection:
    """All figures of a run against its truth.

    Parameters
    ----------
    name : heading.
    tables : what is scored → its figures, name (with its unit) → value.
    origin, origin_note : the badge, and what it rests on.
    """

    name: str
    tables: Mapping[str, Rows]
    origin: Origin
    origin_note: str


@dataclass(frozen=True)
class StageTiming:
    """How long one stage of one part took; ``cached`` when its earlier result was used."""

    part: str
    stage: str
    seconds: float
    cached: bool


@dataclass(frozen=True)
class InputFact:
    """One input: its name, relative path, sha256, and a note on licence and attribution."""

    name: str
    path: str
    sha256: str
    licence: str = ""


@dataclass(frozen=True)
class RunFacts:
    """What was run: the resolved config, versions, inputs, timings, and when it finished (as text).

    ``config_yaml`` and ``finished`` are shown as they are.
    """

    name: str
    config_yaml: str
    versions: Mapping[str, str]
    inputs: tuple[InputFact, ...]
    timings: tuple[StageTiming, ...]
    finished: str


Section = RegistrationSection | FusionSection | SegmentationSection | TrackingSection | EvaluationSection


@dataclass(frozen=True)
class Report:
    """A title, one paragraph, the sections in the order they are shown, and the facts of the run."""

    title: str
    summary: str
    sections: tuple[Section, ...]
    facts: RunFacts
    advice: tuple[str, ...] = field(default=())


def _frames(picture: Picture) -> int:
    return len(picture) if isinstance(picture, TimeLapse) else 0
