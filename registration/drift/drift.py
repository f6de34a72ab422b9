"""How a specimen drifts over a movie, and the movie with the drift taken out.

Each frame is compared with several earlier ones (:mod:`registration.drift.phase_correlation`); the shifts, more than
are needed, are solved together (:mod:`registration.drift.solve`). What all of the specimen does is drift: a stage that
moves and a tissue that flows as one cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from registration.drift.config import DriftConfig
from registration.drift.measure import Measured, measured
from registration.drift.rigid import turned
from registration.drift.solve import solve
from registration.linear.linear import RigidConfig
from registration.quality import DOUBTFUL_OVERLAP, Status
from volumes.errors import ConfigError, GridError
from volumes.grid import Grid
from volumes.resample import resample
from volumes.shapes import Points, Triple
from volumes.timelapse import TimeLapse
from volumes.transform import Affine
from volumes.volume import Volume

FLOOR_VOXELS = 0.05
"""Of the lattice: pairs that disagree by less agree."""
FAILED_SHARE = 0.25
"""With a larger share of the frames not placed the drift is not known."""
DOUBTFUL_VOXELS = 2.0
"""Of the lattice: a frame less certain is doubtful."""
DOUBTFUL_WRONG = 0.25
"""Share of pairs that disagree with the rest; with more the drift is doubtful."""
STARTS = 3
"""Nudges of a frame's start that a rigid registration climbs from."""
NAMED = 8
"""Frames that a reason names."""


@dataclass(frozen=True)
class Drift:
    """Where the specimen lies in each frame.

    Parameters
    ----------
    transforms : for each frame, points of the reference frame → points of that frame, µm.
    errors_um : standard deviation of each, by how much parts of the specimen disagree; NaN where it is not known.
    reference : the frame that stays.
    centre_um : the middle of the field, where shifts are stated.
    placed : False for frames that could not be measured; they lie between their neighbours.
    status : whether all of it may be used.
    reasons : why it is doubtful or failed, and what to try.
    """

    transforms: tuple[Affine, ...]
    errors_um: tuple[float, ...]
    reference: int
    centre_um: Triple
    placed: tuple[bool, ...]
    status: Status
    reasons: tuple[str, ...]

    def corrected(self, movie: TimeLapse) -> TimeLapse:
        """The movie, or one of labels that goes with it, held still at the reference; each frame when it is asked for.

        What no frame saw is not ``valid``.

        Raises
        ------
        GridError : a movie of another number of frames.
        """
        return steadied(movie, self.transforms)

    def since(self, frame: int) -> tuple[Affine, ...]:
        """The transforms with another frame as the one that stays: its points → points of each frame."""
        back = np.linalg.inv(self.transforms[frame].matrix)
        return tuple(Affine(one.matrix @ back) for one in self.transforms)

    def table(self) -> list[dict[str, float]]:
        """A row a frame: t, the shift of the field's middle dz_um, dy_um, dx_um, rotation_deg, error_um."""
        centre = np.asarray([self.centre_um])
        rows = []
        for t, (transform, error) in enumerate(zip(self.transforms, self.errors_um, strict=True)):
            z, y, x = (float(v) for v in (transform(centre) - centre)[0])
            rows.append(
                {"t": t, "dz_um": z, "dy_um": y, "dx_um": x, "rotation_deg": transform.rotation_deg, "error_um": error}
            )
        return rows


def drift(movie: TimeLapse, config: DriftConfig | None = None) -> Drift:
    """Measure how the specimen drifts over a movie; one frame and the window's small copies are in memory.

    Parameters
    ----------
    movie : frames of one modality, with any number of channels.
    config : how; left out, the defaults.

    Raises
    ------
    ConfigError : a reference that is no frame.
    ContentError : NaN in a frame, no such channel, or a reference that shows nothing.
    """
    config = config or DriftConfig()
    reference = _reference(config, len(movie))
    if len(movie) == 1:
        centre = _centre(movie.grid)
        return Drift((Affine.identity(),), (0.0,), 0, centre, (True,), Status.GOOD, ())
    found = measured(movie, config, reference)
    solved = solve(len(movie), found.pairs, reference, FLOOR_VOXELS * found.voxel_um)
    placed = np.isfinite(solved.position_um[:, 0])
    position = _between(solved.position_um, placed, movie.times_s)
    out = Drift(
        tuple(Affine.rigid(translation_um=shift) for shift in position.tolist()),
        tuple(solved.error_um.tolist()),
        reference,
        _centre(movie.grid),
        tuple(placed.tolist()),
        Status.GOOD,
        (),
    )
    doubts: list[str] = []
    if config.motion == "rigid":
        frames = turned(movie, out.transforms, reference, placed, _rigid(config))
        errors = tuple(frame.error_um for frame in frames)
        out = replace(out, transforms=tuple(frame.transform for frame in frames), errors_um=errors)
        failed = [t for t, frame in enumerate(frames) if frame.failed]
        doubts += [f"frames {_named(failed)} could not be registered to the reference: choose another"] * bool(failed)
    return _judged(out, movie.grid, found, solved.wrong, doubts)


def steadied(movie: TimeLapse, transforms: Sequence[Affine]) -> TimeLapse:
    """Each frame t as ``out(x) = frame(transforms[t](x))`` on the movie's own grid, when it is asked for.

    Raises
    ------
    GridError : not one transform a frame.
    """
    if len(transforms) != len(movie):
        raise GridError(f"has {len(movie)} frames, the drift {len(transforms)}", field="movie")

    def load(frame: int) -> Volume:
        return resample(movie[frame], like=movie.grid, transform=transforms[frame])

    return TimeLapse(movie.grid, movie.channels, movie.times_s, load)


def _reference(config: DriftConfig, frames: int) -> int:
    if isinstance(config.reference, int):
        if not 0 <= config.reference < frames:
            raise ConfigError(f"is none of the {frames} frames", field="reference", value=config.reference)
        return config.reference
    return 0 if config.reference == "first" else frames // 2


def _rigid(config: DriftConfig) -> RigidConfig:
    return RigidConfig(
        rotations=0,
        starts=STARTS,
        fixed_channel=config.channel,
        moving_channel=config.channel,
        finest_um=config.finest_um,
    )


def _centre(grid: Grid) -> Triple:
    z, y, x = (float(v) for v in grid.centre_um[0])
    return z, y, x


def _between(position: Points, placed: np.ndarray, times_s: Sequence[float]) -> Points:
    """Frames without a place of their own lie between their neighbours in time; at an end, with the nearest."""
    times = np.asarray(times_s)
    columns = [np.interp(times, times[placed], position[placed, axis]) for axis in range(3)]
    return np.where(placed[:, None], position, np.column_stack(columns))


def _judged(found: Drift, grid: Grid, measures: Measured, wrong: float, doubts: Sequence[str]) -> Drift:
    missing = [t for t, placed in enumerate(found.placed) if not placed]
    failed: list[str] = []
    reasons = list(doubts)
    if missing:
        words = f"frames {_named(missing)} show nothing that is found again elsewhere and were put between the others"
        chosen = failed if len(missing) > FAILED_SHARE * len(found.placed) else reasons
        chosen.append(f"{words}: choose another channel, or leave them out")
    limit = DOUBTFUL_VOXELS * measures.voxel_um
    unsure = [t for t, error in enumerate(found.errors_um) if error > limit]
    if unsure:
        reasons.append(f"frames {_named(unsure)} are less certain than {limit:.3g} µm: look at them, or try other gaps")
    if wrong > DOUBTFUL_WRONG:
        reasons.append(f"{wrong:.0%} of the compared pairs disagree with the others: limit largest_um")
    apart = [t for t, one in enumerate(found.transforms) if _shared(grid, one) < DOUBTFUL_OVERLAP]
    if apart:
        reasons.append(
            f"frames {_named(apart)} share less than {DOUBTFUL_OVERLAP:.0%} of the field with the reference: "
            "choose one in the middle"
        )
    status = Status.FAILED if failed else Status.DOUBTFUL if reasons else Status.GOOD
    return replace(found, status=status, reasons=(*failed, *reasons))


def _shared(grid: Grid, transform: Affine) -> float:
    """About the share of the field that a frame has in common with the reference, by the shift of its middle."""
    moved = (transform(grid.centre_um) - grid.centre_um)[0] @ grid.axes
    return float(np.prod(np.clip(1 - np.abs(moved) / grid.extent_um, 0, 1)))


def _named(frames: Sequence[int]) -> str:
    more = f" and {len(frames) - NAMED} more" if len(frames) > NAMED else ""
    return ", ".join(map(str, frames[:NAMED])) + more
