"""Registrars of the live zebrafish: SimpleITK, a transform taken as it is, and a clock around either or ours."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from registration.given import assess
from registration.result import Registered, Registrar
from volumes.errors import ConfigError
from volumes.shapes import Mask, Matrix4, Points
from volumes.transform import Affine, Transform
from volumes.volume import Volume


@dataclass
class Clocked:
    """A registrar whose seconds of CPU are kept."""

    registrar: Registrar
    cpu_s: list[float] = field(default_factory=list)

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """What the registrar gives."""
        begun = time.process_time()
        found = self.registrar.register(fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask, start=start)
        self.cpu_s.append(time.process_time() - begun)
        return found


@dataclass(frozen=True)
class AsGiven:
    """The start as it is, judged as a found transform is."""

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The start, or the identity, with its quality."""
        return assess(start or Affine.identity(), fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask)


@dataclass(frozen=True)
class Peer:
    """SimpleITK as in the registration benchmark, from the middles of the fields; judged as our own results are."""

    kind: Literal["rigid", "affine"]

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """What it finds.

        Raises
        ------
        ConfigError : a start; masks only tell where the result is judged.
        """
        from experiments.bench import registration_peers

        if start is not None:
            raise ConfigError("SimpleITK begins from the middles of the fields", field="start", remedy="Leave it out")
        with TemporaryDirectory() as folder:
            for name, volume in (("fixed", fixed), ("moving", moving)):
                _write_itk(volume, Path(folder) / f"{name}.nrrd")
            mapping, _, _ = registration_peers.METHODS[f"SimpleITK {self.kind}"](Path(folder))()
        corners = np.vstack([np.zeros(3), 100 * np.eye(3)])
        found = Affine(_through(corners, mapping(corners[:, ::-1])[:, ::-1]))
        return assess(found, fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask)


def _write_itk(volume: Volume, path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(np.asarray(volume.channel()))
    image.SetSpacing(volume.grid.spacing_um[::-1])
    image.SetOrigin(volume.grid.origin_um[::-1])
    image.SetDirection(np.array(volume.grid.direction)[::-1, ::-1].ravel().tolist())
    sitk.WriteImage(image, str(path))


def _through(points: Points, places: Points) -> Matrix4:
    """The 4×4 matrix of the linear map that takes four points to their places."""
    matrix = np.eye(4)
    matrix[:3] = np.linalg.solve(np.column_stack([points, np.ones(4)]), places).T
    return matrix
