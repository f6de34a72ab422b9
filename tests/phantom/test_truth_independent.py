"""The truth of a drawn phantom against its own files, read by other programs: nothing of ours reads or maps here."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
import zarr

from phantom import PhantomConfig, write_phantom

SHEET = {"start_s": 30.0, "dt_s": 90.0, "frames": 6}
ODD = {"dt_s": 150.0, "frames": 4}
CONFIG = {
    "name": "witness",
    "seed": 11,
    "difficulty": 0.2,
    "anatomy": {"kind": "embryo", "size_um": (80.0, 84.0, 92.0), "spacing_um": 2.0},
    "cells": {"count": 14, "radius_um": 5.0, "cycle_h": 0.4, "dt_s": 60.0, "deaths_per_h": 0.5},
    "instruments": {
        "sheet": {"kind": "light_sheet", "shape": (60, 100, 110), "spacing_um": (1.5, 1.0, 1.0), **SHEET},
        "odd": {
            "kind": "confocal",
            "shape": (70, 80, 75),
            "spacing_um": (1.5, 1.4, 1.3),
            "axes": ("-x", "z", "-y"),
            "rotation_deg": (25.0, -40.0, 15.0),
            "origin_um": (100.0, -50.0, 7.0),
            "scale": (1.1, 0.9, 1.05),
            "drift_um": 1.5,
            "deformation_um": 1.5,
            **ODD,
        },
        "ct": {
            "kind": "ct",
            "shape": (60, 70, 70),
            "spacing_um": (1.6, 1.5, 1.5),
            "axes": ("y", "-z", "x"),
            "rotation_deg": (10.0, 20.0, -30.0),
        },
        "bright": {
            "kind": "brightfield",
            "shape": (40, 64, 70),
            "spacing_um": (2.4, 1.6, 1.5),
            "axes": ("-z", "-y", "-x"),
            "rotation_deg": (0.0, 0.0, 90.0),
            "deformation_um": 1.0,
        },
        "tiff": {"kind": "swir", "shape": (40, 56, 60), "spacing_um": (2.2, 1.6, 1.7), "format": "ome.tif", **ODD},
        "shadow": {
            "kind": "swir_projection",
            "shape": (50, 70, 70),
            "spacing_um": (2.0, 1.5, 1.5),
            "axes": ("x", "y", "z"),
            "rotation_deg": (5.0, 5.0, 5.0),
            "deformation_um": 1.0,
        },
    },
}
NAMES = list(CONFIG["instruments"])
VOLUMES = [name for name in NAMES if name != "shadow"]
WHOLE = 60


@dataclass(frozen=True)
class Seen:
    """One instrument's files, as JSON, CSV and bare zarr arrays tell them."""

    root: Path
    name: str

    @cached_property
    def entry(self) -> dict:
        return json.loads((self.root / "truth/truth.json").read_text())["instruments"][self.name]

    @cached_property
    def labels(self) -> np.ndarray:
        return frames_of(self.root / self.entry["labels"])

    @cached_property
    def clean(self) -> np.ndarray:
        return frames_of(self.root / self.entry["clean"])

    @cached_property
    def rows(self) -> list[dict[str, float]]:
        with (self.root / self.entry["cells"]).open() as file:
            return [{k: float(v) if v else np.nan for k, v in row.items()} for row in csv.DictReader(file)]

    @cached_property
    def drift(self) -> np.ndarray:
        path = self.root / "truth" / self.name / "drift.csv"
        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)[:, 1:]

    @cached_property
    def spacing(self) -> np.ndarray:
        return geometry(self.root / self.entry["labels"])[0]

    def world(self, index: np.ndarray) -> np.ndarray:
        spacing, origin, direction = geometry(self.root / self.entry["labels"])
        return np.asarray(index) * spacing @ direction.T + origin

    def centroids(self, frame: int) -> dict[int, np.ndarray]:
        """World centroid of each nucleus that lies whole in the field and has many voxels."""
        out = {}
        for row in self.rows:
            mask = self.labels[frame] == row["number"]
            if row["t"] == frame and row["inside"] == 1 and mask.sum() > WHOLE:
                out[int(row["number"])] = self.world(np.argwhere(mask).mean(0))
        return out


def attributes(path: Path) -> dict:
    return json.loads((path / "zarr.json").read_text())["attributes"]


def frames_of(path: Path) -> np.ndarray:
    array = np.asarray(zarr.open_array(path / "0", mode="r")[...])
    return array[:, 0] if array.ndim == 5 else array


def geometry(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spacing, origin and direction over (z, y, x) in µm."""
    found = attributes(path)
    steps = found["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    parts = {step["type"]: np.asarray(step[step["type"]])[-3:] for step in steps}
    direction = np.asarray(found["fusetrack"].get("direction", np.eye(3)))
    return parts["scale"], parts.get("translation", np.zeros(3)), direction


def sheared(points: np.ndarray, deformation: dict, sign: float) -> np.ndarray:
    """The formula of docs/phantom-instruments.md, written once more."""
    out = points.copy()
    for shear in deformation["shears"][:: int(sign)]:
        b, c = (axis for axis in range(3) if axis != shear["axis"])
        add = np.full(len(out), shear["shift_um"])
        for wave in shear["waves"]:
            turns = out[:, b] * wave["per_um"][0] + out[:, c] * wave["per_um"][1] + wave["phase"]
            add += wave["amplitude_um"] * np.cos(2 * np.pi * turns)
        out[:, shear["axis"]] += sign * add
    return out


def posed(pose: dict, points: np.ndarray, back: bool = False) -> np.ndarray:
    matrix, bend = np.asarray(pose["matrix"]), pose.get("deformation", {"shears": []})
    if back:
        return sheared((points - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T, bend, -1)
    return sheared(points, bend, 1) @ matrix[:3, :3].T + matrix[:3, 3]


def by_itk(root: Path, fixed: str, moving: str, points: np.ndarray) -> np.ndarray:
    """World points (z, y, x) µm through the file, which speaks (x, y, z) mm."""
    (path,) = (root / "truth/transforms").glob(f"{fixed}_to_{moving}.*")
    transform = SimpleITK.ReadTransform(str(path))
    moved = [transform.TransformPoint(p.tolist()) for p in points[:, ::-1] / 1e3]
    return np.asarray(moved)[:, ::-1] * 1e3


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("independent") / "witness"
    write_phantom(PhantomConfig.model_validate(CONFIG), out)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_labels_and_tables_say_the_same(root, name):
    seen = Seen(root, name)
    for frame, labels in enumerate(seen.labels):
        rows = {int(row["number"]): row for row in seen.rows if row["t"] == frame}
        assert set(np.unique(labels).tolist()) - {0} <= set(rows)
        for number, row in rows.items():
            mask = labels == number
            assert mask.sum() == row["voxels"]
            if mask.any():
                assert seen.clean[frame][mask].mean() == pytest.approx(row["signal"], rel=1e-5)
            else:
                assert np.isnan(row["signal"])


@pytest.mark.parametrize("name", VOLUMES)
def test_nuclei_lie_where_the_table_says_and_are_as_large(root, name):
    seen, count = Seen(root, name), 0
    swollen = np.linalg.det(np.asarray(seen.entry["pose"]["matrix"])[:3, :3])
    for frame in range(len(seen.labels)):
        centroids = seen.centroids(frame)
        for row in seen.rows:
            if row["t"] == frame and row["number"] in centroids:
                off = centroids[row["number"]] - (row["z"], row["y"], row["x"])
                assert np.abs(off / seen.spacing.max()).max() < 0.2
                assert row["voxels"] * seen.spacing.prod() == pytest.approx(row["volume_um3"] * swollen, rel=0.1)
                assert row["volume_um3"] == pytest.approx(4 / 3 * np.pi * row["radius"] ** 3)
                count += 1
    assert count >= 8


@pytest.mark.parametrize(("fixed", "moving"), [*itertools.permutations(["odd", "ct", "bright", "tiff"], 2)])
def test_the_files_of_transforms_carry_nuclei_onto_themselves(root, fixed, moving):
    here, there = (Seen(root, name).centroids(0) for name in (fixed, moving))
    both = sorted(set(here) & set(there))
    assert len(both) >= 8
    moved = by_itk(root, fixed, moving, np.stack([here[number] for number in both]))
    wanted = np.stack([there[number] for number in both])
    assert np.linalg.norm(moved - wanted, axis=1).max() < 0.5
    apart = np.linalg.norm(wanted[:, None] - moved[None], axis=-1)
    assert (apart.argmin(1) == np.arange(len(both))).all()


@pytest.mark.parametrize(("fixed", "moving"), [*itertools.permutations(NAMES, 2)])
def test_the_files_of_transforms_are_right_up_to_the_border(root, fixed, moving):
    seen, rng = Seen(root, fixed), np.random.default_rng(1)
    shape = np.asarray(seen.labels.shape[1:])
    index = rng.random((300, 3)) * (shape - 1)
    side = rng.integers(0, 3, 300)
    index[np.arange(300), side] = np.where(rng.random(300) < 0.5, -0.49, shape[side] - 0.51)
    points = np.concatenate([seen.world(index), [[row["z"], row["y"], row["x"]] for row in seen.rows if row["t"] == 0]])
    exact = posed(Seen(root, moving).entry["pose"], posed(seen.entry["pose"], points, back=True))
    assert np.abs(by_itk(root, fixed, moving, points) - exact).max() < 0.12


def test_a_drifting_stage_sees_the_same_cells_at_the_same_moment(root):
    odd, still = Seen(root, "odd"), Seen(root, "sheet")
    here, there = (seen.entry["times_s"].index(300.0) for seen in (odd, still))
    assert np.abs(odd.drift[here]).max() > 0.5
    known, moved = still.centroids(there), odd.centroids(here)
    both = sorted(set(known) & set(moved))
    assert len(both) >= 8
    points = posed(odd.entry["pose"], np.stack([moved[n] - odd.drift[here] for n in both]), back=True)
    wanted = posed(still.entry["pose"], np.stack([known[n] for n in both]), back=True)
    assert np.linalg.norm(points - wanted, axis=1).max() < 0.5


def test_parents_lie_where_their_children_do(root):
    seen = Seen(root, "sheet")
    of = {int(row["id"]): row for row in seen.rows}
    children = [row for row in seen.rows if row["parent"] >= 0 and row["voxels"] > WHOLE]
    same = [row for row in children if of[int(row["parent"])]["number"] == row["number"]]
    born = [row for row in children if of[int(row["parent"])]["number"] != row["number"]]
    assert len(same) > 40
    assert born
    for row in children:
        parent = of[int(row["parent"])]
        assert parent["t"] == row["t"] - 1
        mask = seen.labels[int(row["t"])] == row["number"]
        before = np.bincount(seen.labels[int(parent["t"])][mask], minlength=2)[1:]
        assert before.argmax() + 1 == parent["number"]
    assert max(np.bincount([int(row["parent"]) for row in children])) <= 2
    assert all(row["t"] == 0 or row["parent"] >= 0 for row in seen.rows if row["inside"] == 1)


def test_every_clock_is_the_one_that_was_asked_for(root):
    for name in NAMES:
        asked, seen = CONFIG["instruments"][name], Seen(root, name)
        step = asked.get("dt_s", 60.0)
        wanted = [asked.get("start_s", 0.0) + step * k for k in range(asked.get("frames", 1))]
        assert seen.entry["times_s"] == wanted
        if len(wanted) > 1:
            for key in ("labels", "clean"):
                assert attributes(root / seen.entry[key])["fusetrack"]["times_s"] == wanted
    sheet = attributes(root / "sheet.ome.zarr")["ome"]["multiscales"][0]
    (scale, shift) = (t[t["type"]] for t in sheet["datasets"][0]["coordinateTransformations"])
    assert (scale[0], shift[0]) == (90.0, 30.0)
    assert [axis.get("unit") for axis in sheet["axes"]] == ["second", None, *["micrometer"] * 3]
    with tifffile.TiffFile(root / "tiff.ome.tif") as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["TimeIncrement"], pixels["TimeIncrementUnit"]) == (150.0, "s")
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2.2, 1.6, 1.7]
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}


def test_nifti_is_in_millimetres_and_lies_where_its_labels_lie(root):
    seen, path = Seen(root, "ct"), root / "ct.nii.gz"
    image, itk = nibabel.load(path), SimpleITK.ReadImage(str(path))
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms(), seen.spacing[::-1] / 1e3, rtol=1e-6)
    corners = np.array([[0, 0, 0], [59, 0, 0], [0, 69, 0], [3, 4, 69]])
    world = seen.world(corners)
    lps = np.array([itk.TransformIndexToPhysicalPoint(index[::-1].tolist()) for index in corners])
    np.testing.assert_allclose(lps[:, ::-1] * 1e3, world, atol=1e-3)
    ras = nibabel.affines.apply_affine(image.affine, corners[:, ::-1])
    np.testing.assert_allclose(ras * (-1, -1, 1), lps, atol=1e-6)
    voxels = np.asarray(image.dataobj).T
    np.testing.assert_array_equal(voxels, SimpleITK.GetArrayFromImage(itk))
    assert np.corrcoef(voxels.ravel(), seen.clean[0].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", ["sheet", "odd", "tiff"])
def test_what_is_written_is_the_clean_picture_and_noise_and_nuclei_shine_in_it(root, name):
    seen = Seen(root, name)
    file = root / seen.entry["file"]
    image = (frames_of(file) if file.suffix == ".zarr" else tifffile.imread(file)).reshape(seen.labels.shape)
    for frame in range(len(image)):
        off = image[frame].astype(np.float64) - seen.clean[frame]
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(off.size) + 0.5
        assert (
            seen.clean[frame][seen.labels[frame] > 0].mean() > 1.5 * seen.clean[frame][seen.labels[frame] == 0].mean()
        )
