"""The verb ``fuse``: files on one grid into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from experiments.cli.app import Json, Unit, app, modality_of, pair, say


@app.command
def fuse(
    sources: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    modality: Annotated[
        tuple[str, ...], Parameter(negative="", consume_multiple=True, help="One for each source.")
    ] = (),
    unit: Unit = None,
    kind: Annotated[
        Literal["lpf", "mean", "max", "weighted", "dwt", "dmf-lp", "dmf-lp-literal", "ddfm"],
        Parameter(help="How: lpf joins details level by level, dmf-lp is learnt; others are there to compare with."),
    ] = "lpf",
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", help="KEY=VALUE: another setting of the kind.")
    ] = (),
    base: Annotated[
        Literal["mean", "max", "entropy"] | None, Parameter(help="Of lpf, its coarsest level: short for --set base=…")
    ] = None,
    json: Json = False,
) -> None:
    """Fuse volumes that lie on one grid into one; the suffix of OUT decides its format.

    Parameters
    ----------
    sources
        Two or more volumes on one grid.
    out
        The fused volume: .nii.gz, .nrrd, .ome.tif or .ome.zarr.
    """
    from experiments.fuse_files import fuse_files, fuser_config

    changes = ({} if base is None else {"base": base}) | dict(map(pair, set_))
    names: tuple[str | None, ...] = modality or tuple(modality_of(path, None) for path in sources)
    say(fuse_files(sources, names, unit, fuser_config(kind, changes), out), json)
