"""The wheel holds the seven packages whole, the demo's data and the licences, and nothing else."""

from __future__ import annotations

import tomllib
from configparser import ConfigParser
from email.parser import Parser
from importlib.metadata import entry_points, version
from pathlib import Path
from zipfile import ZipFile

LARGEST_BYTES = 16_000_000
"""Ten of them are weights: a package that works offline has to bring them."""


def _info(wheel: ZipFile) -> str:
    return next(name.split("/")[0] for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))


def test_holds_the_seven_packages_and_nothing_beside_them(wheel: ZipFile, packages: tuple[str, ...]):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {*packages, _info(wheel)}


def test_holds_every_file_of_the_packages_unchanged(
    wheel: ZipFile, packages: tuple[str, ...], tree: list[Path], repository: Path
):
    expected = {p.relative_to(repository).as_posix(): p for p in tree if p.relative_to(repository).parts[0] in packages}
    held = {name for name in wheel.namelist() if name.split("/")[0] in packages}
    assert held == set(expected)
    assert [name for name in held if wheel.read(name) != expected[name].read_bytes()] == []


def test_every_package_is_typed(wheel: ZipFile, packages: tuple[str, ...]):
    assert {f"{package}/py.typed" for package in packages} <= set(wheel.namelist())


def test_holds_no_test_and_no_cache(wheel: ZipFile):
    parts = {part for name in wheel.namelist() for part in name.split("/")}
    assert not parts & {"tests", "conftest.py", "__pycache__"}
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_stays_small(wheel: ZipFile):
    assert sum(entry.compress_size for entry in wheel.infolist()) < LARGEST_BYTES


def test_carries_its_licence_and_those_of_its_data(wheel: ZipFile, repository: Path):
    metadata = Parser().parsestr(wheel.read(f"{_info(wheel)}/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    carried = metadata.get_all("License-File") or []
    wanted = sorted(p.relative_to(repository).as_posix() for p in (repository / "configs/demo_data/licences").iterdir())
    assert sorted(carried) == sorted(["LICENSE", *wanted])
    for name in carried:
        assert wheel.read(f"{_info(wheel)}/licenses/{name}") == (repository / name).read_bytes()


def test_one_version_everywhere(wheel: ZipFile, repository: Path):
    stated = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert _info(wheel) == f"fusetrack-{stated}.dist-info"
    assert version("fusetrack") == stated
    assert f"## [{stated}]" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_command_leads_to_a_function_in_the_wheel(wheel: ZipFile):
    parser = ConfigParser()
    parser.read_string(wheel.read(f"{_info(wheel)}/entry_points.txt").decode())
    target = parser["console_scripts"]["fusetrack"]
    module = target.split(":")[0].replace(".", "/")
    assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist())
    (installed,) = entry_points(group="console_scripts", name="fusetrack")
    assert installed.value == target
    assert callable(installed.load())
