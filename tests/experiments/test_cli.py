"""The command as a person runs it: what it prints, what it writes, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

import volumes
from phantom.displaced import displaced


def fusetrack(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from experiments.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A volume and its displaced self, as files."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices((20, 32, 36)).astype(float)
    voxels = np.zeros(z.shape)
    for centre in rng.uniform((5, 7, 7), (15, 25, 29), (12, 3)):
        squared = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        voxels += rng.uniform(50, 200) * np.exp(-squared / (2 * rng.uniform(1.5, 3.0) ** 2))
    volume = volumes.from_array(voxels.astype(np.float32), (3.0, 2.0, 2.0), modality="fluorescence")
    moved, _ = displaced(volume, rotation_deg=(3, 2, -4), shift_um=(3, -4, 5), noise=0.01, seed=1)
    volumes.write(volume, tmp_path / "a.nrrd")
    volumes.write(moved, tmp_path / "b.nrrd")
    return tmp_path / "a.nrrd", tmp_path / "b.nrrd"


def test_help_names_only_verbs_that_work() -> None:
    shown = fusetrack("--help")
    assert shown.returncode == 0
    trains = ("train", "sweep", "mean-weights")
    for verb in ("run", "phantom", "evaluate", "demo", "register", "fuse", "segment", "link", *trains):
        assert verb in shown.stdout
        assert fusetrack(verb, "--help").returncode == 0


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom experiments.cli import main\nsys.argv = ['fusetrack', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "cyclopts" in loaded
    assert not loaded & {"torch", "monai", "numba", "scipy", "SimpleITK", "matplotlib", "pandas", "numpy"}


def test_register_writes_a_transform_and_says_its_quality(two: tuple[Path, Path], tmp_path: Path) -> None:
    done = fusetrack("register", *two, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["status"] in ("good", "doubtful")
    assert facts["similarity_after"] > facts["similarity_before"]
    assert volumes.read_transform(tmp_path / "out" / "transform.tfm") is not None


def test_fuse_writes_one_volume(two: tuple[Path, Path], tmp_path: Path) -> None:
    done = fusetrack("fuse", two[0], two[0], "--out", tmp_path / "fused.nrrd")
    assert done.returncode == 0, done.stderr
    fused, source = (volumes.read(p, modality="fluorescence") for p in (tmp_path / "fused.nrrd", two[0]))
    np.testing.assert_allclose(fused.array, source.array, atol=1e-3)


def test_segment_writes_labels_and_a_table(two: tuple[Path, Path], tmp_path: Path) -> None:
    done = fusetrack("segment", two[0], "--out", tmp_path / "labels.nii.gz", "--json")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert cells == len(pd.read_csv(tmp_path / "labels.nii.gz.csv")) > 0
    assert volumes.read(tmp_path / "labels.nii.gz", modality="labels").array.max() == cells


def test_link_keeps_every_row_and_column(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "note": ["b", "a", "d", "c"],
            "t": [1, 0, 1, 0],
            "z": [0.1, 0.0, 30.1, 30.0],
            "y": [0.0] * 4,
            "x": [1.0] * 4,
        }
    )
    table.to_csv(tmp_path / "in.csv", index=False)
    done = fusetrack("link", tmp_path / "in.csv", "--out", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    linked = pd.read_csv(tmp_path / "out.csv")
    assert list(linked.columns) == [*table.columns, "track_id", "parent"]
    pd.testing.assert_frame_equal(linked[table.columns], table)
    assert linked.parent.tolist() == [1, -1, 3, -1]
    assert linked.track_id[0] == linked.track_id[1] != linked.track_id[2] == linked.track_id[3]


def test_segment_takes_a_stack_without_metadata(tmp_path: Path, nuclei) -> None:
    pages, _ = nuclei(2)
    tifffile.imwrite(tmp_path / "raw.tif", pages, photometric="minisblack", metadata=None)
    described = ["--axes", "TZYX", "--sizes", *pages.shape, "--spacing-um", 2, 1, 1, "--dt", 60]
    done = fusetrack("segment", tmp_path / "raw.tif", "--movie", *described, "--out", tmp_path / "l.ome.zarr", "--json")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "l.ome.zarr.csv").t) == {0, 1}


FAULTS = {
    "modalities for other sources": (["fuse", "a", "b", "--modality", "CT", "--out", "x.nrrd"], "one value for each"),
    "a movie into NIfTI": (["segment", "a.tif", "--movie", "--out", "x.nii.gz"], "holds no movie"),
    "a layout that cannot be": (["segment", "a.tif", "--axes", "TZYX", "--out", "x.nrrd"], "--spacing-um"),
    "a missing volume": (["fuse", "none.nrrd", "none.nrrd", "--out", "x.nrrd"], "none.nrrd"),
    "a missing config": (["run", "none.yaml"], "no such config"),
    "a bad --set": (["run", "none.yaml", "--set", "nonsense"], "KEY=VALUE"),
    "a missing phantom": (["phantom", "none.yaml", "--out", "x"], "no such config"),
    "no run": (["evaluate", "none"], "holds no run"),
    "a missing table": (["link", "none.csv", "--out", "x.csv"], "none.csv"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_message_and_exit_code_1(case: str, tmp_path: Path) -> None:
    arguments, says = FAULTS[case]
    done = fusetrack(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_fault_is_json_when_asked(tmp_path: Path) -> None:
    done = fusetrack("run", "none.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"] == "ConfigError"


def test_an_unknown_verb_is_no_success() -> None:
    assert fusetrack("fly").returncode != 0
