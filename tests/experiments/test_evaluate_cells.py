"""``fusetrack evaluate segmentation`` and ``tracking``: files, folders, movies, tables, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tracking3d
import volumes
from experiments.evaluate_segmentation import Stated, evaluate_files, evaluate_folders, figures_of
from experiments.evaluate_tracking import Stated as SizeOfVoxels
from experiments.evaluate_tracking import evaluate_tracking, link_scores
from tracking3d.cell_scores import SCORES, evaluate, outcomes, scores
from tracking3d.metrics import LinkTruth, score_links
from volumes.errors import ConfigError, GridError, VolumeFileError

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
Command = Callable[..., tuple[int, str, str]]
SPACING = (2.0, 1.0, 1.0)


def drawn(rng: np.random.Generator, frames: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(T, Z, Y, X) true labels of five boxes, and found ones with a box that is missing and one that is none."""
    truth, found = np.zeros((2, frames, 6, 20, 40), np.uint16)
    for t in range(frames):
        for label in range(1, 6):
            y, x = rng.integers(0, 10), 8 * (label - 1) + rng.integers(0, 2)
            truth[t, 1:5, y : y + 6, x : x + 6] = label
            if label > 1:
                found[t, 1:5, y + 1 : y + 7, x : x + 6] = label + 3
        found[t, 1:5, 0:3, 0:3] = 60
    return truth, found


@pytest.fixture
def arrays(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return drawn(rng)


def as_volume(labels: np.ndarray) -> volumes.Volume:
    return volumes.from_array(labels, SPACING, modality="labels")


def test_a_volume_is_scored_as_its_array(fusetrack: Command, arrays, tmp_path: Path) -> None:
    truth, found = (as_volume(labels[0]) for labels in arrays)
    volumes.write(truth, tmp_path / "truth.nrrd")
    volumes.write(found, tmp_path / "found.ome.zarr")
    expected = evaluate(truth, found)
    verb = ("evaluate", "segmentation", "--labels", "found.ome.zarr", "--truth", "truth.nrrd")
    code, out, err = fusetrack(*verb, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["frames"], told["true cells"], told["found cells"]) == (1, 5, 5)
    assert list(told["scores"]) == list(SCORES)
    for name, one in expected.items():
        assert told["scores"][name] == pytest.approx({"value": one.value, "low": one.low, "high": one.high})
    assert told["scores"]["AP"]["value"] == pytest.approx(4 / 6)
    code, out, _ = fusetrack(*verb)
    assert code == 0
    assert out.splitlines()[3].split()[:2] == ["AP", "0.6667"]


def test_movies_give_a_row_a_frame_and_one_of_all(fusetrack: Command, arrays, tmp_path: Path) -> None:
    movies = [volumes.TimeLapse.from_array(labels, SPACING, dt_s=5.0, modality="labels") for labels in arrays]
    for name, movie in zip(("truth", "found"), movies, strict=True):
        volumes.write(movie, tmp_path / f"{name}.ome.zarr")
    code, _, err = fusetrack(
        *("evaluate", "segmentation", "--labels", "found.ome.zarr", "--truth", "truth.ome.zarr"),
        *("--movie", "--out", "scores.csv", "--min-voxels", 40, "--json"),
    )
    assert (code, err) == (0, "")
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [
        *(f"found.ome.zarr {i}" for i in range(3)),
        "all",
        "low 2.5 %",
        "high 97.5 %",
    ]
    for row, truth, found in zip(rows[:3], *movies, strict=False):
        expected = scores(outcomes(truth, found, 40))
        assert {name: float(row[name]) for name in SCORES} == pytest.approx(expected, rel=1e-5)
    assert [row["found cells"] for row in rows] == ["4", "4", "4", "12", "12", "12"]
    assert float(rows[4]["SEG"]) <= float(rows[3]["SEG"]) <= float(rows[5]["SEG"])


def test_plain_stacks_are_read_with_what_is_stated(arrays, tmp_path: Path) -> None:
    for name, labels in zip(("truth", "found"), arrays, strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", labels[1], photometric="minisblack", metadata=None)
        tifffile.imwrite(tmp_path / f"{name}-movie.tif", labels, photometric="minisblack", metadata=None)
    stack = evaluate_files(tmp_path / "found.tif", tmp_path / "truth.tif", Stated(spacing_um=SPACING))
    expected = scores(outcomes(*(as_volume(labels[1]) for labels in arrays)))
    assert scores(stack[0].outcomes) == pytest.approx(expected)
    told = Stated(True, None, SPACING, "TZYX", (3, 6, 20, 40), 5.0)
    movie = evaluate_files(tmp_path / "found-movie.tif", tmp_path / "truth-movie.tif", told)
    assert scores(movie[1].outcomes) == pytest.approx(expected)
    with pytest.raises(ConfigError, match="sizes"):
        evaluate_files(tmp_path / "found.tif", tmp_path / "truth.tif", Stated(True, None, SPACING, "TZYX", (3, 6), 5.0))


def test_folders_pair_by_name_or_by_number(arrays, tmp_path: Path) -> None:
    truth, found = arrays
    for folder, prefix, labels in (("truth", "man_seg", truth), ("found", "mask", found)):
        (tmp_path / folder).mkdir()
        for t, frame in enumerate(labels):
            tifffile.imwrite(tmp_path / folder / f"{prefix}{t:03d}.tif", frame, photometric="minisblack", metadata=None)
    (tmp_path / "found" / "res_track.txt").write_text("")
    stated = Stated(spacing_um=SPACING)
    rows = evaluate_folders(tmp_path / "found", tmp_path / "truth", stated)
    assert [row.name for row in rows] == [f"mask{t:03d}.tif" for t in range(3)]
    movie = [volumes.TimeLapse.from_array(labels, SPACING, dt_s=1.0, modality="labels") for labels in arrays]
    assert figures_of(rows)["scores"]["PQ"]["value"] == pytest.approx(evaluate(*movie, resamples=2)["PQ"].value)
    (tmp_path / "truth" / "man_seg001.tif").unlink()
    with pytest.raises(VolumeFileError, match="--subset"):
        evaluate_folders(tmp_path / "found", tmp_path / "truth", stated)
    assert len(evaluate_folders(tmp_path / "found", tmp_path / "truth", stated, subset=True)) == 2
    (tmp_path / "found" / "mask002.tif").unlink()
    with pytest.raises(VolumeFileError, match=r"man_seg002\.tif.*no labels beside it"):
        evaluate_folders(tmp_path / "found", tmp_path / "truth", stated, subset=True)


def test_labels_that_do_not_fit_are_told_by_file(fusetrack: Command, arrays, tmp_path: Path) -> None:
    volumes.write(as_volume(arrays[0][0]), tmp_path / "truth.nrrd")
    volumes.write(as_volume(arrays[1][0, :, :, :30]), tmp_path / "small.nrrd")
    with pytest.raises(GridError, match=r"small\.nrrd"):
        evaluate_files(tmp_path / "small.nrrd", tmp_path / "truth.nrrd")
    verb = ("evaluate", "segmentation", "--truth", "truth.nrrd", "--labels")
    code, _, err = fusetrack(*verb, "none.nrrd")
    assert code != 0
    assert "none.nrrd" in err
    code, _, err = fusetrack(
        "evaluate", "segmentation", "--labels", "truth.nrrd", "--truth", "truth.nrrd", "--out", "a.txt"
    )
    assert code != 0
    assert "--out" in err
    (tmp_path / "empty").mkdir()
    with pytest.raises(VolumeFileError, match="holds no volume"):
        evaluate_folders(tmp_path / "empty", tmp_path / "empty")


@pytest.fixture
def lineage(rng: np.random.Generator) -> tracking3d.Tracks:
    """Twenty cells on a lattice for four frames; the first divides after the second frame."""
    lattice = np.stack(np.meshgrid(np.arange(2), np.arange(2), np.arange(5)), -1).reshape(-1, 3) * 10.0
    t = np.repeat(np.arange(4), 20)
    zyx = np.tile(lattice, (4, 1)) + rng.uniform(-1, 1, (80, 3))
    parent = np.where(t > 0, np.arange(80) - 20, -1)
    daughters = zyx[[40, 60]] + (0, 0, 3.0)
    cells = tracking3d.Detections.of(np.append(t, [2, 3]), np.append(zyx, daughters, axis=0))
    return tracking3d.Tracks(cells, np.append(parent, [20, 80]))


def test_tables_are_scored_as_their_links(fusetrack: Command, lineage, rng, tmp_path: Path) -> None:
    keep = np.sort(rng.choice(82, 75, replace=False))
    moved = lineage.detections.zyx_um[keep] + rng.uniform(-0.3, 0.3, (75, 3))
    cells = tracking3d.Detections.of(lineage.detections.t[keep], moved)
    # Links survive where both cells do; two of them are broken.
    parent = np.append(np.full(82, -1), -1)
    parent[keep] = np.arange(75)
    parent = parent[lineage.parent[keep]]
    parent[[30, 70]] = -1
    found = tracking3d.Tracks(cells, parent)
    found.write(tmp_path / "found.csv")
    lineage.write(tmp_path / "truth.geff")
    code, out, err = fusetrack("evaluate", "tracking", "--tracks", "found.csv", "--truth", "truth.geff", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)["scores"]
    expected = score_links(found, LinkTruth(lineage, keep))
    assert 0.9 < expected.edge_f1 < 1.0
    assert (told["cells"], told["true cells"], told["matched cells"]) == (75, 82, 75)
    assert told["cell recall"] == pytest.approx(75 / 82)
    assert (told["edge F1"], told["LNK"]) == pytest.approx((expected.edge_f1, expected.lnk))
    assert told["true divisions"] == expected.counts["true_divisions"]
    assert 2.0 < told["distance um"] < 5.0
    code, out, _ = fusetrack("evaluate", "tracking", "--tracks", "found.csv", "--truth", "truth.geff", "--out", "s.csv")
    assert code == 0
    with (tmp_path / "s.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["edge F1"]) == pytest.approx(expected.edge_f1, rel=1e-5)
    assert any(line.split()[:2] == ["edge", "F1"] for line in out.splitlines())


def test_a_distance_that_is_stated_is_kept_to(lineage) -> None:
    cells = lineage.detections
    moved = tracking3d.Tracks(tracking3d.Detections.of(cells.t, cells.zyx_um + np.array([0, 0, 1.0])), lineage.parent)
    assert link_scores(moved, lineage, 0.9)["matched cells"] == 0
    near = link_scores(moved, lineage, 1.1)
    assert (near["matched cells"], near["edge F1"], near["division F1"]) == (82, 1.0, 1.0)


def test_the_challenges_folders_have_its_scores(fusetrack: Command, lineage, tmp_path: Path) -> None:
    pytest.importorskip("ctc_metrics")
    from tracking3d.formats.ctc import write_ctc

    frames = np.zeros((4, 14, 14, 50), np.uint16)
    index = np.rint(lineage.detections.zyx_um).astype(int) + 1
    for row, (t, z, y, x) in enumerate(np.column_stack([lineage.detections.t, index])):
        frames[t, z, y, x] = row + 1
    labels = volumes.TimeLapse.from_array(frames, (1.0, 1.0, 1.0), dt_s=1.0, modality="labels")
    cells = lineage.detections
    named = tracking3d.Detections.of(cells.t, cells.zyx_um, features={"label": np.arange(82) + 1})
    write_ctc(tracking3d.Tracks(named, lineage.parent), labels, tmp_path / "01_RES")
    code, out, _ = fusetrack("evaluate", "tracking", "--tracks", "01_RES", "--truth", "01_RES")
    assert code == 0
    lines = dict(line.rsplit(maxsplit=1) for line in out.splitlines())
    told = {name.strip(): value for name, value in lines.items()}
    assert (told["TRA"], told["BC(0)"], told["SEG from"]) == ("1", "1", "TRA")
    # Beside a table, its cells are the centroids of its masks.
    tracking3d.Tracks(named, lineage.parent).write(tmp_path / "truth.csv")
    mixed = evaluate_tracking(tmp_path / "01_RES", tmp_path / "truth.csv", stated=SizeOfVoxels(spacing_um=(1, 1, 1)))
    assert (mixed["matched cells"], mixed["edge F1"], mixed["division F1"]) == (82, 1.0, 1.0)
    with pytest.raises(ConfigError, match="matched by overlap"):
        evaluate_tracking(tmp_path / "01_RES", tmp_path / "01_RES", 3.0)
