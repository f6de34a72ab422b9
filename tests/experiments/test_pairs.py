"""Pairs of an experiment: chains to the reference, loops, starts and masks, as its YAML says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.config import Experiment, load
from experiments.pipeline import run
from experiments.run_folder import RunFolder, read_json
from volumes import Affine
from volumes.errors import FusetrackError

POSES = {
    "atlas": Affine.identity(),
    "ref": Affine.rigid((0.06, -0.05, 0.08), (2.0, -3.0, 2.5), (24, 20, 22)),
    "live": Affine.rigid((-0.05, 0.07, -0.04), (-2.0, 2.0, 3.0), (24, 20, 22)),
}
SPACING = (2.0, 1.0, 1.0)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """One cloud of blobs in three poses; the live one shows it inverted."""
    rng = np.random.default_rng(5)
    centres, widths = rng.uniform((10, 8, 8), (38, 32, 36), (14, 3)), rng.uniform(2.5, 4.5, 14)
    grid = volumes.Grid((24, 40, 44), SPACING)
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    for name, pose in POSES.items():
        seen = pose.inverse()(points)
        light = sum(np.exp(-((seen - c) ** 2).sum(1) / (2 * w**2)) for c, w in zip(centres, widths, strict=True))
        light = np.reshape(light, grid.shape) + rng.normal(0, 0.01, grid.shape)
        voxels = (2 - light if name == "live" else light).astype(np.float32)
        volumes.write(volumes.from_array(voxels, SPACING, modality="fluorescence"), tmp_path / f"{name}.nrrd")
    return tmp_path


def config(folder: Path, pairs: str, more: str = "") -> Experiment:
    sources = "\n".join(f"  {name}: {{file: {name}.nrrd, modality: fluorescence}}" for name in POSES)
    path = folder / "three.yaml"
    how = "{kind: rigid, rotations: 0, samples: 20000}"
    path.write_text(f"name: three\nsources:\n{sources}\nregister: {how}\n{more}pairs:\n{pairs}")
    found = load(path)
    assert isinstance(found, Experiment)
    return found


def off_um(folder: RunFolder, name: str) -> float:
    points = np.random.default_rng(0).uniform((10, 8, 8), (38, 32, 36), (300, 3))
    found = volumes.read_transform(folder.transform(name))(points)
    return float(np.linalg.norm(found - POSES[name](points), axis=1).mean())


def test_a_volume_comes_to_the_reference_by_way_of_another(three: Path) -> None:
    experiment = config(three, "  - {fixed: ref, moving: live}\n  - {fixed: atlas, moving: ref}\n")
    out = RunFolder(three / "run")
    run(experiment, out.path)
    facts = read_json(out.registration("live"))
    assert facts["path"] == ["atlas", "ref", "live"]
    assert facts["loops"] == []
    assert facts["status"] == "good", facts["reasons"]
    assert facts["quality"]["similarity_after"] > facts["quality"]["similarity_before"]
    assert off_um(out, "live") < 1.5
    assert off_um(out, "ref") < 1.5
    there, back = (volumes.read_transform(out.transforms / f"live{end}.tfm") for end in ("", ".inverse"))
    np.testing.assert_allclose(back(there([[1.0, 2.0, 3.0]])), [[1.0, 2.0, 3.0]], atol=1e-9)


def test_a_third_pair_closes_a_loop_that_is_written_down(three: Path) -> None:
    pairs = "".join(
        f"  - {{fixed: {a}, moving: {b}}}\n" for a, b in (("atlas", "ref"), ("ref", "live"), ("atlas", "live"))
    )
    out = RunFolder(three / "run")
    run(config(three, pairs), out.path)
    facts = read_json(out.registration("live"))
    assert facts["path"] == ["atlas", "live"]
    (loop,) = facts["loops"]
    assert loop["closes"]
    assert facts["quality"]["cycle_um"] == pytest.approx(loop["error_um"])


def test_a_source_in_no_pair_goes_to_the_reference(three: Path) -> None:
    experiment = config(three, "  - {fixed: atlas, moving: ref}\n")
    assert [(pair.fixed, pair.moving) for pair in experiment.pairings] == [("atlas", "ref"), ("atlas", "live")]


def test_a_pair_s_own_way_start_and_mask_are_taken(three: Path) -> None:
    """A given transform is taken as it is; a change of its file runs the stage again."""
    volumes.write_transform(POSES["ref"], three / "bed.tfm")
    mask = volumes.from_array(np.ones((24, 40, 44), np.uint8), SPACING, modality="labels")
    volumes.write(mask, three / "mask.nrrd")
    pairs = (
        "  - {fixed: atlas, moving: ref, register: {kind: given, file: bed.tfm}}\n"
        "  - {fixed: atlas, moving: live, fixed_mask: mask.nrrd, start: bed.tfm}\n"
    )
    experiment = config(three, pairs, "allow_failed: true\n")
    out = RunFolder(three / "run")
    run(experiment, out.path)
    assert off_um(out, "ref") < 1e-6
    assert "dispute_um" in read_json(out.registration("live"))["quality"]
    assert run(experiment, out.path).worked == ()
    volumes.write_transform(POSES["live"], three / "bed.tfm")
    assert any("register" in stage for stage in run(experiment, out.path).worked)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ("  - {fixed: atlas, moving: pet}\n", "'pet'"),
        ("  - {fixed: ref, moving: ref}\n", "to itself"),
        ("  - {fixed: ref, moving: live}\n", "no chain"),
        ("  - {fixed: atlas, moving: ref}\n  - {fixed: atlas, moving: ref}\n", "twice"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(three: Path, pairs: str, says: str) -> None:
    with pytest.raises(FusetrackError, match=says):
        config(three, pairs)
