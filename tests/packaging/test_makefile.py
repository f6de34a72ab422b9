"""The Makefile's targets: what they would run, that a second call installs nothing, and how they are steered."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

INHERITED = {
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "VENV",
    "INSTALL",
    "FROM",
    "PIP_ARGS",
    "PYTEST_ARGS",
    "PYTHON",
    "THREADS",
}


def _make(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in INHERITED}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=repository, env=clean, capture_output=True, text=True, check=False)


def _would_run(repository: Path, *arguments: str) -> str:
    done = _make(repository, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _installed(venv: Path, repository: Path, stamp: str, age_s: float) -> None:
    """An environment that was installed ``age_s`` seconds before pyproject.toml was last written."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").touch()
    (venv / stamp).touch()
    written = (repository / "pyproject.toml").stat().st_mtime
    os.utime(venv / stamp, (written - age_s, written - age_s))


def test_demo_makes_an_environment_installs_and_runs(repository: Path, tmp_path: Path):
    out = _would_run(repository, "demo", f"VENV={tmp_path / 'fresh'}", "PIP_ARGS=-c limits.txt", "PYTHON=python3.99")
    steps = ["python3.99 -m venv", '-m pip install -c limits.txt --editable "."', '/fusetrack" demo']
    positions = [out.index(step) for step in steps]
    assert positions == sorted(positions)


def test_test_installs_the_tools_and_runs_the_suite_from_another_folder(repository: Path, tmp_path: Path):
    out = _would_run(repository, "test", f"VENV={tmp_path / 'fresh'}", "FROM=/elsewhere")
    assert '--editable ".[dev]"' in out
    assert 'cd "/elsewhere"' in out
    assert "-m pytest --import-mode=importlib" in out


def test_check_runs_all_four_tools(repository: Path, tmp_path: Path):
    out = _would_run(repository, "check", f"VENV={tmp_path / 'fresh'}")
    for tool in ("ruff check .", "ruff format --check .", "mypy", "lint-imports"):
        assert f'/bin"/{tool}' in out


def test_the_wheel_can_stand_in_for_the_tree(repository: Path, tmp_path: Path):
    out = _would_run(repository, "test", f"VENV={tmp_path / 'fresh'}", "INSTALL=wheel")
    assert "pip wheel" in out
    assert "--editable" not in out


@pytest.mark.parametrize(("target", "stamp"), [("demo", ".installed-editable"), ("test", ".installed-editable-dev")])
@pytest.mark.parametrize(("age_s", "installs"), [(-10.0, False), (10.0, True)])
def test_a_second_call_installs_only_when_the_project_changed(
    target: str, stamp: str, age_s: float, installs: bool, repository: Path, tmp_path: Path
):
    _installed(tmp_path / "venv", repository, stamp, age_s)
    out = _would_run(repository, target, f"VENV={tmp_path / 'venv'}")
    assert ("pip install" in out) is installs
    assert "-m venv" not in out


def test_an_interpreter_that_is_too_old_is_refused(repository: Path, tmp_path: Path):
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = _make(repository, "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_whole_check_goes_through_make_on_the_wheel(repository: Path):
    script = repository / ".ci/run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert "make check test demo" in text
    assert "INSTALL=wheel" in text
    assert "FUSETRACK_EXPECT_WHEEL=1" in text
