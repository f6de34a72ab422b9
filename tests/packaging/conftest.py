"""What the tests of the distribution share: the checkout, its text files, and the wheel built from it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("volumes", "registration", "fusion", "tracking3d", "phantom", "experiments", "configs")
FOLDERS = (*PACKAGES, "tests", "docs", ".ci")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that these tests lie in."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def packages() -> tuple[str, ...]:
    """The seven packages of the distribution."""
    return PACKAGES


@pytest.fixture(scope="session")
def sources(repository: Path) -> list[Path]:
    """Every Python file of the seven packages."""
    return [path for package in PACKAGES for path in sorted((repository / package).rglob("*.py"))]


@pytest.fixture(scope="session")
def tree(repository: Path) -> list[Path]:
    """Every file of the project that a checkout holds: no environment, no caches, no results."""
    inside = [path for folder in FOLDERS for path in sorted((repository / folder).rglob("*"))]
    top = sorted(path for path in repository.iterdir() if path.is_file() and path.name != ".git")
    return [path for path in (*top, *inside) if path.is_file() and "__pycache__" not in path.parts]


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from the checkout with the hatchling that is installed."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(repository)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=out, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive
