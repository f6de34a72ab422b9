"""Registration by landmarks from files: the transform is theirs, and the volumes say how well it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from registration.given import AssessmentSettings, assess
from registration.quality import Status
from registration.result import Registered
from volumes.errors import ConfigError
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume


class LandmarksConfig(AssessmentSettings):
    """Landmarks in files; the rest says how the volumes are compared under what they give.

    Parameters
    ----------
    file : the fixed landmarks (.csv, .fcsv, .mrk.json); without a ``moving_file`` one .csv of pairs.
    moving_file : the moving landmarks, matched by name.
    unit : of a .csv whose columns do not say it; µm when left out.
    model : what is fitted.
    smoothing : of a thin plate, µm.
    """

    kind: Literal["landmarks"] = "landmarks"
    file: Path
    moving_file: Path | None = None
    unit: str | None = None
    model: Literal["rigid", "similarity", "affine", "thin_plate"] = "rigid"
    smoothing: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _only_plates_are_smooth(self) -> LandmarksConfig:
        if self.smoothing and self.model != "thin_plate":
            raise ValueError("smoothing goes with the model thin_plate")
        return self

    def build(self) -> LandmarkRegistrar:
        """The registrar."""
        return LandmarkRegistrar(self)


@dataclass(frozen=True)
class LandmarkRegistrar:
    """Fits a transform to landmarks and looks at it as at any other."""

    config: LandmarksConfig

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The landmarks' transform; ``fiducial_um`` is their root mean square distance, ``spread_um`` the left-out one.

        Where no landmark can be left out, ``spread_um`` is how far the likeness lies from it.

        Raises
        ------
        ConfigError : a start beside the landmarks.
        VolumeFileError, TableError, UnitError : files that cannot be read as landmarks, or do not match.
        ContentError, TransformError, HeaderError : landmarks that do not determine the transform.
        """
        from registration.landmarks.files import paired, read_landmarks, read_pairs
        from registration.landmarks.landmarks import from_landmarks

        c = self.config
        if start is not None:
            raise ConfigError("landmarks take no start", field="start", remedy="Leave one of the two out")
        if c.moving_file is None:
            here, there = read_pairs(c.file, c.unit)
        else:
            here, there = paired(read_landmarks(c.file, c.unit), read_landmarks(c.moving_file, c.unit))
        fit = from_landmarks(
            here.points_um, there.points_um, c.model, smoothing=c.smoothing, names=here.names, field=fixed.grid
        )
        seen = assess(fit.transform, fixed, moving, c, fixed_mask=fixed_mask, moving_mask=moving_mask)
        spread = seen.quality.spread_um if fit.left_out_um is None else fit.left_out_um
        quality = replace(seen.quality, spread_um=spread, fiducial_um=fit.error_um)
        worst = max((seen.status, fit.status), key=list(Status).index)
        return Registered(fit.transform, quality, worst, (*fit.reasons, *seen.reasons))
