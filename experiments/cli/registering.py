"""The verb ``register``: the transform from one file to each of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from experiments.cli.app import Json, Modality, Unit, app, modality_of, pair, say


@app.command
def register(
    fixed: Path,
    moving: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    kind: Annotated[
        Literal["auto", "rigid", "similarity", "affine", "deformable", "projection"],
        Parameter(help="What the transform may do; auto: by the two modalities."),
    ] = "auto",
    start: Annotated[Path | None, Parameter(help="ITK transform, fixed to moving points, to begin from.")] = None,
    fixed_mask: Annotated[
        Path | None, Parameter(help="Volume on FIXED's grid, above 0 where it may be looked at.")
    ] = None,
    moving_mask: Annotated[Path | None, Parameter(help="The same on MOVING's grid.")] = None,
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE: another setting of the kind.")
    ] = (),
    fixed_modality: Modality = None,
    moving_modality: Annotated[
        tuple[str, ...], Parameter(negative="", consume_multiple=True, help="One for each MOVING.")
    ] = (),
    fixed_unit: Unit = None,
    moving_unit: Unit = None,
    json: Json = False,
) -> None:
    """Find the transform from FIXED to each MOVING; write it, its inverse and the resampled volume into OUT.

    Parameters
    ----------
    fixed
        The volume that stays (NIfTI, NRRD, OME-TIFF or OME-Zarr).
    moving
        What is to be brought onto its grid; of several, each has a folder of its name in OUT.
    out
        Folder for transform and inverse (.tfm, or .h5 where not linear), registered.ome.zarr and quality.json.
    """
    from experiments.register_files import Given, Hints, register_files, registrar_config
    from volumes.errors import ConfigError, StageError

    names: tuple[str | None, ...] = moving_modality or tuple(modality_of(path, None) for path in moving)
    if len(names) != len(moving):
        raise ConfigError(
            f"needs one value for each of the {len(moving)} volumes", field="--moving-modality", value=names
        )
    found = register_files(
        Given(fixed, modality_of(fixed, fixed_modality), fixed_unit),
        [Given(path, name, moving_unit) for path, name in zip(moving, names, strict=True)],
        out,
        registrar_config(kind, dict(map(pair, set_))),
        Hints(fixed_mask, moving_mask, start),
    )
    if len(found) == 1 or json:
        say(next(iter(found.values())) if len(found) == 1 else found, json)
    else:
        for folder, facts in found.items():
            say({"folder": folder, **facts}, json)
    failed = [folder for folder, facts in found.items() if facts["status"] == "failed"]
    if failed:
        reasons = "; ".join(str(reason) for reason in found[failed[0]]["reasons"])
        raise StageError("registration failed", file=failed[0], field="status", remedy=reasons)
