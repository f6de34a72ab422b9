"""Real data that does not come with the package, which trainings name by its place in one folder."""

from __future__ import annotations

import os
from pathlib import Path

from volumes.errors import ConfigError

DATA = "FUSETRACK_DATA"
"""The variable that names the folder."""


def data_file(name: str, field: str) -> Path:
    """Where a file of that folder is.

    Parameters
    ----------
    name : its path in the folder.
    field : the entry of the config that names it, for the error.

    Raises
    ------
    ConfigError : no folder is named.
    """
    if DATA not in os.environ:
        remedy = f"Set {DATA} to the folder of real data, or leave this out"
        raise ConfigError("is in a folder that is not named", field=field, value=name, remedy=remedy)
    return Path(os.environ[DATA]) / name
