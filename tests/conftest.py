"""Shared by all tests: where the real data lies, and small volumes with a known truth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data (FUSETRACK_DATA, default ../shared/data); the test is skipped without it."""
    folder = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}: set FUSETRACK_DATA")
    return folder


@pytest.fixture(scope="session")
def bench(data: Path) -> Path:
    """The folder of benchmark cases and scores beside the data; the test is skipped without it."""
    folder = data.parent / "bench"
    if not folder.is_dir():
        pytest.skip(f"no benchmark cases at {folder}")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator: the same numbers in every run."""
    return np.random.default_rng(20240229)
