"""Small experiments with a known truth: a moved pair, a movie of nuclei, a phantom drawn by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

import volumes
from experiments import cli
from experiments.config import load
from experiments.pipeline import run
from experiments.run_folder import RunFolder
from phantom.config import PhantomConfig
from phantom.truth import Truth, read_truth
from volumes.grid import Grid

Command = Callable[..., tuple[int, str, str]]
SPACING = (2.0, 1.0, 1.0)
LAYOUT = "{{axes: TZYX, sizes: {sizes}, spacing_um: [2.0, 1.0, 1.0], dt_s: 60.0}}"


@pytest.fixture
def fusetrack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in an own folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fusetrack", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A config that registers, fuses and segments a volume and its displaced self, 24×40×44."""
    rng = np.random.default_rng(5)
    z, y, x = np.indices((24, 40, 44)) * np.array(SPACING).reshape(3, 1, 1, 1)
    voxels = np.zeros(z.shape)
    for centre in rng.uniform((10, 8, 8), (38, 32, 36), (14, 3)):
        squared = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        voxels += rng.uniform(60, 200) * np.exp(-squared / (2 * rng.uniform(2.5, 4.5) ** 2))
    volume = volumes.from_array(voxels.astype(np.float32), SPACING, modality="fluorescence")
    volumes.write(volume, tmp_path / "cells.nrrd")
    config = tmp_path / "pair.yaml"
    config.write_text(
        """
name: pair
sources:
  still: {file: cells.nrrd, modality: fluorescence}
  moved:
    file: cells.nrrd
    modality: fluorescence
    displaced: {rotation_deg: [4.0, -3.0, 5.0], shift_um: [2.0, -3.0, 2.5], noise: 0.01, seed: 3}
register: {kind: rigid}
fuse: {kind: lpf}
segment: {kind: watershed}
""",
        encoding="utf-8",
    )
    return config


def balls(
    grid: Grid, centres_um: np.ndarray, numbers: Sequence[int], radius_um: float
) -> tuple[np.ndarray, np.ndarray]:
    """Light of balls with a soft edge, 1 inside, and the number of the ball that each voxel's centre is in."""
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    light, labels = np.zeros(len(points)), np.zeros(len(points), np.uint16)
    for centre, number in zip(centres_um, numbers, strict=True):
        away = np.linalg.norm(points - centre, axis=1)
        light = np.maximum(light, np.clip((radius_um + 0.5 - away), 0, 1) * (1 + 0.1 * (number % 5)))
        labels[away <= radius_um] = number
    return light.reshape(grid.shape), labels.reshape(grid.shape)


@pytest.fixture
def nuclei() -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """A movie (t, z, y, x) of drifting nuclei, one of which divides after frame 2, and its labels."""

    def made(frames: int) -> tuple[np.ndarray, np.ndarray]:
        rng, grid = np.random.default_rng(2), Grid((12, 48, 48), SPACING)
        start = np.array([[8, 10, 10], [8, 10, 36], [16, 24, 24], [8, 38, 10], [14, 38, 36]], float)
        images, labels = [], []
        for frame in range(frames):
            centres, numbers = np.add(start, (0, 0.6 * frame, 0.4 * frame)), [1, 2, 3, 4, 5]
            if frame > 2:
                apart = (0, 0, 3.0 + frame - 2)
                centres = np.concatenate([np.delete(centres, 2, 0), [centres[2] - apart, centres[2] + apart]])
                numbers = [1, 2, 4, 5, 6, 7]
            light, label = balls(grid, centres, numbers, 4.0)
            images.append((20 + 200 * light + 4 * rng.standard_normal(light.shape)).astype(np.float32))
            labels.append(label)
        return np.stack(images), np.stack(labels)

    return made


@pytest.fixture
def movie(tmp_path: Path, nuclei: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> Path:
    """A config that segments, links and scores a small simulated movie, as plain TIFF pages."""
    image, labels = nuclei(6)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack", metadata=None)
    layout = LAYOUT.format(sizes=list(image.shape))
    config = tmp_path / "movie.yaml"
    config.write_text(
        f"""
name: movie
sources:
  nuclei: {{file: image.tif, modality: fluorescence, simulated: true, layout: {layout}}}
segment: {{kind: watershed}}
link: {{kind: constraint}}
truth_follows_cells: true
truth_labels: {{file: labels.tif, modality: labels, simulated: true, layout: {layout}}}
""",
        encoding="utf-8",
    )
    return config


SPECIMEN = """
name: specimen
seed: 3
difficulty: 0.2
anatomy: {kind: embryo}
cells: {count: 12}
instruments:
  sheet: {kind: light_sheet, shape: [20, 36, 40], spacing_um: [2.0, 1.0, 1.0], frames: 4}
  red: {kind: swir, shape: [18, 32, 34], spacing_um: [2.0, 1.2, 1.2], frames: 2, dt_s: 100.0,
        rotation_deg: [5.0, -3.0, 4.0]}
  scan: {kind: ct, shape: [20, 24, 24], spacing_um: [2.0, 2.0, 2.0], rotation_deg: [-3.0, 2.0, 0.0]}
"""
BASE, GAIN, RADIUS = 50.0, 400.0, 3.0
CENTRES = np.array(
    [[-9, -9, -11], [-8, 9, 10], [8, -8, 11], [9, 8, -10], [0, 0, 0], [-1, -10, 2], [2, 11, 1], [10, 0, 5]], float
)
"""Of the cells about the specimen's middle, µm; the fifth divides after frame 1 of the sheet."""


class Standin:
    """Draws the volumes and the truth that a phantom's config asks for, from balls in a rigid pose."""

    centres = CENTRES

    def __init__(self) -> None:
        self.drawn: list[PhantomConfig] = []

    def __call__(self, config: PhantomConfig, out: Path, _watch: object = None) -> Truth:
        self.drawn.append(config)
        entries = {name: self._record(config, name, out) for name in config.instruments}
        index = {"version": 1, "seed": config.seed, "difficulty": config.difficulty, "instruments": entries}
        (out / "truth" / "truth.json").write_text(json.dumps(index), encoding="utf-8")
        return read_truth(out)

    def _record(self, config: PhantomConfig, name: str, out: Path) -> dict[str, object]:
        one, times = config.instruments[name], config.times_s(name)
        grid = Grid(one.shape, one.spacing_um)
        pose = volumes.Affine.rigid(np.radians(one.rotation_deg).tolist(), grid.centre_um[0].tolist())
        rng = np.random.default_rng([config.seed, len(name)])
        images, cleans, labels, rows = [], [], [], ["id,t,z,y,x,radius,parent,number,volume_um3,inside,voxels,signal"]
        row_of: dict[tuple[int, int], int] = {}
        for frame, time in enumerate(times):
            centres, numbers = self._cells(time)
            light, label = balls(grid, pose(centres), numbers, RADIUS)
            clean = (BASE + GAIN * light).astype(np.float32)
            for number, (z, y, x) in zip(numbers, pose(centres).tolist(), strict=True):
                mother = row_of.get(
                    (frame - 1, number), row_of.get((frame - 1, 5 if number > len(CENTRES) else -1), -1)
                )
                signal = clean[label == number].mean()
                row_of[frame, number] = len(rows) - 1
                rows.append(f"{len(rows) - 1},{frame},{z},{y},{x},{RADIUS},{mother},{number},113.1,1.0,100,{signal}")
            noisy = clean + 20 * rng.standard_normal(clean.shape)
            for kept, voxels in ((images, noisy.astype(np.float32)), (cleans, clean)):
                kept.append(volumes.from_array(voxels, one.spacing_um, modality=_MODALITY[one.kind], time_s=time))
            labels.append(volumes.from_array(label, one.spacing_um, modality="labels", time_s=time))
        files = {
            "file": f"{name}.ome.zarr",
            "labels": f"truth/{name}/labels.ome.zarr",
            "clean": f"truth/{name}/clean.ome.zarr",
        }
        for (_, file), frames in zip(files.items(), (images, labels, cleans), strict=True):
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            volumes.write(volumes.TimeLapse.of(frames) if len(frames) > 1 else frames[0], out / file)
        (out / "truth" / name / "cells.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        facts = {"modality": _MODALITY[one.kind], "projection": False, "times_s": list(times)}
        return {**files, **facts, "cells": f"truth/{name}/cells.csv", "pose": {"matrix": pose.matrix.tolist()}}

    @staticmethod
    def _cells(time_s: float) -> tuple[np.ndarray, list[int]]:
        moved = np.add(CENTRES, (0, 0.01 * time_s, 0))
        if time_s < 110:
            return moved, list(range(1, 9))
        apart = (4.5, 0, 0)
        return np.concatenate([np.delete(moved, 4, 0), [moved[4] - apart, moved[4] + apart]]), [
            1,
            2,
            3,
            4,
            6,
            7,
            8,
            9,
            10,
        ]


_MODALITY = {"light_sheet": "fluorescence", "swir": "SWIR", "ct": "CT"}


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Standin:
    """Draws in the place of the phantom's own instruments, in no time; remembers what it drew."""
    drawer = Standin()
    monkeypatch.setattr("phantom.recording.write_phantom", drawer)
    return drawer


PIPELINE = """
name: pipeline
phantom: {config: specimen.yaml}
reference: sheet
register: {kind: rigid, rotations: 60, starts: 3, samples: 8000}
allow_failed: true
fuse: {kind: lpf}
segment: {kind: watershed}
segment_on: sheet
link: {kind: constraint}
"""


def written(folder: Path) -> Path:
    """A config, in a folder, that draws a phantom and does all that can be done with it."""
    (folder / "specimen.yaml").write_text(SPECIMEN, encoding="utf-8")
    (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    return folder / "pipeline.yaml"


@pytest.fixture
def specimen(tmp_path: Path, standin: Standin) -> Path:
    """A config that draws a phantom and does all that can be done with it."""
    return written(tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The folder of a run of that config, to be looked at only."""
    place = tmp_path_factory.mktemp("specimen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phantom.recording.write_phantom", Standin())
        run(load(written(place)), place / "out")
    return RunFolder(place / "out")
