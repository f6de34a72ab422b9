"""What ``fusetrack fuse`` reads, does and leaves: files on one grid in, one file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from experiments.entries import Closed
from experiments.loading import override, validated
from fusion.config import FuserConfig
from fusion.fuse import fuse
from volumes.errors import ConfigError
from volumes.io import read, write


def fuse_files(
    sources: Sequence[Path], modalities: Sequence[str | None], unit: str | None, how: FuserConfig, out: Path
) -> dict[str, Any]:
    """Fuse files that lie on one grid into one; the suffix of ``out`` decides its format.

    Parameters
    ----------
    sources : volumes.
    modalities : one a source; None for what its file says.
    unit : of length, where the files state none.
    how : the fuser.
    out : the fused volume.

    Returns
    -------
    The facts to tell.

    Raises
    ------
    ConfigError : another number of modalities than of sources.
    FusetrackError : what reading, fusing and writing raise.
    """
    if len(modalities) != len(sources):
        found = [name for name in modalities if name]
        raise ConfigError(f"needs one value for each of the {len(sources)} sources", field="--modality", value=found)
    volumes = [read(path, modality=name, unit=unit) for path, name in zip(sources, modalities, strict=True)]
    write(fuse(volumes, how), out)
    return {"fused": str(out), "sources": [str(path) for path in sources], "kind": how.kind}


def fuser_config(kind: str, changes: Mapping[str, str]) -> FuserConfig:
    """The settings of a kind with some of them changed, by key and value as text.

    Raises
    ------
    ConfigError : an unknown kind or key, or a value out of range.
    """
    values: dict[str, object] = {"kind": kind}
    override(values, changes)
    return validated(_Asked, {"fuse": values}, Path("--kind, --set")).fuse


class _Asked(Closed):
    fuse: FuserConfig = Field()
