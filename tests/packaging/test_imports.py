"""What importing costs, where the packages come from, and which way they may import each other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

MODELS = ("torch", "monai", "diffusers", "kornia")
LIGHT = {
    "volumes": (*MODELS, "SimpleITK", "matplotlib", "skimage", "nibabel"),
    "registration": (*MODELS, "matplotlib"),
    "fusion": (*MODELS, "matplotlib"),
    "tracking3d": (*MODELS, "matplotlib"),
    "phantom": (*MODELS, "matplotlib"),
    "experiments.cli": (*MODELS, "matplotlib"),
    "configs": (*MODELS, "SimpleITK", "matplotlib"),
}
MIDDLE = ("registration", "fusion", "tracking3d", "phantom", "configs")


def _top_modules_after(statement: str, folder: Path) -> set[str]:
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_a_face_imports_nothing_heavy(module: str, tmp_path: Path):
    assert sorted(_top_modules_after(f"import {module}", tmp_path) & set(LIGHT[module])) == []


@pytest.mark.skipif(os.environ.get("FUSETRACK_EXPECT_WHEEL") != "1", reason="FUSETRACK_EXPECT_WHEEL is not 1")
def test_the_packages_under_test_are_the_installed_ones(packages: tuple[str, ...], repository: Path):
    installed = Path(sysconfig.get_path("purelib")).resolve()
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).resolve() == installed / package / "__init__.py"
    assert str(repository) not in sys.path


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_run_one_way(repository: Path):
    done = _lint_imports(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def _toy_house(folder: Path, contract: str, packages: tuple[str, ...]) -> None:
    (folder / "pyproject.toml").write_text(contract)
    for package in packages:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("volumes", package) for package in MIDDLE]
    + [(package, "experiments") for package in MIDDLE]
    + [(a, b) for a in MIDDLE for b in MIDDLE if a != b],
)
def test_the_contract_refuses_the_other_way(
    importer: str, imported: str, repository: Path, packages: tuple[str, ...], tmp_path: Path
):
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    assert "importlinter" in tomllib.loads(text)["tool"]
    _toy_house(tmp_path, text[text.index("[tool.importlinter]") :], packages)
    (tmp_path / importer / "bad.py").write_text(f"import {imported}\n")
    done = _lint_imports(tmp_path)
    assert done.returncode != 0
    assert f"{importer}.bad -> {imported}" in done.stdout
