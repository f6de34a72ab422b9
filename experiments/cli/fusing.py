"""The verb ``fuse``: files on one grid into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from experiments.cli.app import Json, Unit, app, modality_of, say


@app.command
def fuse(
    sources: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    modality: Annotated[
        tuple[str, ...], Parameter(negative="", consume_multiple=True, help="One for each source.")
    ] = (),
    unit: Unit = None,
    base: Literal["mean", "max"] = "mean",
    json: Json = False,
) -> None:
    """Fuse volumes that lie on one grid into one; the suffix of OUT decides its format.

    Parameters
    ----------
    sources
        Two or more volumes on one grid.
    out
        The fused volume: .nii.gz, .nrrd, .ome.tif or .ome.zarr.
    base
        How the coarsest level is taken: mean or max.
    """
    import fusion
    import volumes
    from fusion.lpf import LPFConfig
    from volumes.errors import ConfigError

    names: tuple[str | None, ...] = modality or tuple(modality_of(path, None) for path in sources)
    if len(names) != len(sources):
        raise ConfigError(f"needs one value for each of the {len(sources)} sources", field="--modality", value=names)
    read = [volumes.read(path, modality=name, unit=unit) for path, name in zip(sources, names, strict=True)]
    volumes.write(fusion.fuse(read, LPFConfig(base=base)), out)
    say({"fused": str(out), "sources": [str(path) for path in sources]}, json)
