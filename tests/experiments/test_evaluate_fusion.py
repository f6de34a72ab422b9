"""``fusetrack evaluate fusion``: files and folders, tables and figures, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import volumes
from experiments.evaluate_fusion import Scores, evaluate_files, evaluate_folders, figures_of, source_names
from fusion.metrics import evaluate, per_source
from volumes.errors import ContentError, GridError

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
Command = Callable[..., tuple[int, str, str]]
SIDE = 48


@pytest.fixture
def folders(tmp_path: Path, rng: np.random.Generator) -> dict[str, Path]:
    """Three slices of CT and MRI, and their pixelwise maximum."""
    out = {kind: tmp_path / kind for kind in ("fused", "CT", "MRI")}
    for path in out.values():
        path.mkdir()
    for name in ("1.png", "2.png", "3.png"):
        pair = rng.integers(0, 256, (2, SIDE, SIDE)).astype(np.uint8)
        for kind, values in zip(out, (pair.max(axis=0), *pair), strict=True):
            Image.fromarray(values).save(out[kind] / name)
    (out["CT"] / "notes.txt").write_text("not a picture")
    return out


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def volume(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (2.0, 1.0, 1.0), **more: object) -> Path:
    volumes.write(volumes.from_array(values, spacing, modality="CT", **more), path)
    return path


def test_files_are_scored_as_their_arrays(folders: dict[str, Path]) -> None:
    paths = [folders[kind] / "1.png" for kind in ("fused", "CT", "MRI")]
    row = evaluate_files(paths[0], paths[1:])
    arrays = [read(path) for path in paths]
    assert row == Scores("1.png", evaluate(arrays[0], arrays[1:]), per_source(arrays[0], arrays[1:]))


def test_volumes_are_scored_on_their_spacing(tmp_path: Path, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 256, (2, 5, SIDE, SIDE)).astype(np.uint8)
    paths = [volume(tmp_path / f"{name}.nrrd", v) for name, v in (("f", np.maximum(a, b)), ("a", a), ("b", b))]
    row = evaluate_files(paths[0], paths[1:])
    assert row.figures == evaluate(np.maximum(a, b), [a, b], (2.0, 1.0, 1.0))
    assert row.figures["SF"] != evaluate(np.maximum(a, b), [a, b])["SF"]


def test_a_range_makes_levels_of_any_type(tmp_path: Path, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 256, (2, 5, SIDE, SIDE)).astype(np.uint8)
    values = {"f": np.maximum(a, b), "a": a, "b": b}
    paths = [volume(tmp_path / f"{name}.nrrd", v * np.float32(2) - 100) for name, v in values.items()]
    with pytest.raises(ContentError, match="not of 8 bits"):
        evaluate_files(paths[0], paths[1:])
    row = evaluate_files(paths[0], paths[1:], (-100.0, 410.0))
    assert row.figures == pytest.approx(evaluate(values["f"], [a, b], (2.0, 1.0, 1.0)), rel=1e-4)
    assert row.clipped == 0
    assert evaluate_files(paths[0], paths[1:], (0.0, 400.0)).clipped > 0.2


def test_outside_of_any_field_all_are_black(tmp_path: Path, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 256, (2, 4, SIDE, SIDE)).astype(np.uint8)
    seen = np.ones(a.shape, bool)
    seen[:, :, 40:] = False
    fused = volume(tmp_path / "f.ome.zarr", np.maximum(a, b))
    sources = [volume(tmp_path / "a.ome.zarr", a, valid=seen), volume(tmp_path / "b.ome.zarr", b)]
    black = [np.where(seen, v, 0) for v in (np.maximum(a, b), a, b)]
    assert evaluate_files(fused, sources).figures == evaluate(black[0], black[1:], (2.0, 1.0, 1.0))


def test_one_file_is_told_in_lines_or_json(fusetrack: Command, folders: dict[str, Path]) -> None:
    arguments = ("evaluate", "fusion", "--fused", "fused/1.png", "--sources", "CT/1.png", "MRI/1.png")
    code, out, err = fusetrack(*arguments)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "1.png"
    want = evaluate_files(folders["fused"] / "1.png", [folders["CT"] / "1.png", folders["MRI"] / "1.png"])
    assert lines[1].split() == ["EN", f"{want.figures['EN']:.5g}"]
    assert lines[17].split() == ["CT/1.png", "MRI/1.png"]
    assert [line.split()[0] for line in lines[18:]] == ["VIF", "Qabf", "edges_lost"]
    code, out, err = fusetrack(*arguments, "--json")
    told = json.loads(out)
    assert {key: told[key] for key in want.figures} == pytest.approx(want.figures)
    assert list(told["per_source"]["VIF"].values()) == pytest.approx(want.parts["VIF"])
    assert (told["fused"], told["sources"], told["files"]) == ("fused/1.png", ["CT/1.png", "MRI/1.png"], 1)


def test_folders_give_a_table_a_figure_and_the_means(fusetrack: Command, folders: dict[str, Path]) -> None:
    arguments = ("evaluate", "fusion", "--fused", "fused", "--sources", "CT", "MRI")
    code, out, err = fusetrack(*arguments, "--out", "t.csv", "--figure", "f.png", "--json")
    assert (code, err) == (0, "")
    with Path("t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["1.png", "2.png", "3.png"]
    want = evaluate_files(folders["fused"] / "2.png", [folders["CT"] / "2.png", folders["MRI"] / "2.png"])
    assert {key: float(rows[1][key]) for key in want.figures} == pytest.approx(want.figures, rel=1e-5)
    assert float(rows[1]["edges_lost of MRI"]) == pytest.approx(want.parts["edges_lost"][1], rel=1e-5)
    assert json.loads(out)["VIF"] == pytest.approx(np.mean([float(row["VIF"]) for row in rows]), rel=1e-5)
    picture = np.asarray(Image.open("f.png").convert("L"))
    assert picture.shape[1] > 1000
    assert 0.002 < (picture < 100).mean() < 0.2
    code, out, err = fusetrack(*arguments)
    assert out.splitlines()[0] == "mean of 3 files"
    assert out.splitlines()[17].split() == ["CT", "MRI"]
    assert "scored" in err


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_equal_scores_give_equal_figures(fusetrack: Command, folders: dict[str, Path], suffix: str) -> None:
    for name in ("one", "two"):
        fusetrack("evaluate", "fusion", "--fused", "fused", "--sources", "CT", "MRI", "--figure", f"{name}{suffix}")
    assert Path(f"one{suffix}").read_bytes() == Path(f"two{suffix}").read_bytes()


@pytest.mark.parametrize(("kind", "missing"), [("CT", "CT/2.png"), ("MRI", "MRI/2.png"), ("fused", "fused/2.png")])
def test_a_missing_partner_is_an_error(fusetrack: Command, folders: dict[str, Path], kind: str, missing: str) -> None:
    (folders[kind] / "2.png").unlink()
    code, out, err = fusetrack("evaluate", "fusion", "--fused", "fused", "--sources", "CT", "MRI", "--out", "t.csv")
    assert (code, out) == (1, "")
    assert f"{missing}: is missing" in err
    assert not Path("t.csv").exists()


def test_sources_that_were_not_fused_can_be_left_out(folders: dict[str, Path]) -> None:
    (folders["fused"] / "2.png").unlink()
    done: list[tuple[str, int, int]] = []
    rows = evaluate_folders(
        folders["fused"], [folders["CT"], folders["MRI"]], subset=True, watch=lambda *told: done.append(told)
    )
    assert [row.file for row in rows] == ["1.png", "3.png"]
    assert done == [("1.png", 1, 2), ("3.png", 2, 2)]


def test_an_error_names_its_file(folders: dict[str, Path]) -> None:
    Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(folders["MRI"] / "3.png")
    with pytest.raises(ContentError, match=r"MRI.3\.png: is constant"):
        evaluate_folders(folders["fused"], [folders["CT"], folders["MRI"]])
    Image.fromarray(np.arange(144, dtype=np.uint8).reshape(12, 12)).save(folders["CT"] / "small.png")
    with pytest.raises(ContentError, match=r"small\.png: VIF needs two axes of 17 voxels"):
        evaluate_files(folders["CT"] / "small.png", [folders["CT"] / "small.png"] * 2)


def test_files_of_two_shapes_or_grids_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    a = rng.integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    one, other = volume(tmp_path / "a.nrrd", a), volume(tmp_path / "b.nrrd", a, (3.0, 1.0, 1.0))
    with pytest.raises(GridError, match=r"b\.nrrd: lies on another grid than a\.nrrd"):
        evaluate_files(one, [one, other])
    smaller = volume(tmp_path / "c.nrrd", a[:2])
    with pytest.raises(GridError, match=r"c\.nrrd: has shape \(2, 48, 48\), a\.nrrd \(3, 48, 48\)"):
        evaluate_files(one, [one, smaller])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--fused", "fused/1.png", "--sources", "CT/1.png"), "needs two files or more"),
        (("--fused", "fused", "--sources", "CT/1.png", "MRI/1.png"), "is no folder"),
        (("--fused", "fused", "--sources", "CT", "none"), "none: is no folder"),
        (("--fused", "empty", "--sources", "CT", "MRI"), "holds no picture"),
        (("--fused", "fused", "--sources", "CT", "MRI", "--out", "t.xlsx"), "Name a .csv"),
        (("--fused", "fused", "--sources", "CT", "MRI", "--figure", "f.gif"), "Name a .png, .pdf, .svg"),
    ],
)
def test_the_command_says_what_is_wrong(
    fusetrack: Command, folders: dict[str, Path], arguments: tuple[str, ...], error: str
) -> None:
    Path("empty").mkdir()
    code, out, err = fusetrack("evaluate", "fusion", *arguments)
    assert (code, out) == (1, "")
    assert error in err


def test_infinity_is_no_number_in_json(fusetrack: Command, folders: dict[str, Path]) -> None:
    code, out, _ = fusetrack("evaluate", "fusion", "--fused", "CT/1.png", "--sources", "CT/1.png", "CT/1.png", "--json")
    assert code == 0
    assert json.loads(out, parse_constant=lambda name: pytest.fail(name))["PSNR"] is None
    assert "PSNR  infinite" in fusetrack("evaluate", "fusion", "--fused", "CT/1.png", "--sources", *["CT/1.png"] * 2)[1]


def test_sources_of_one_name_are_told_apart() -> None:
    assert source_names([Path("x/CT"), Path("x/MRI")]) == ["CT", "MRI"]
    assert source_names([Path("CT/1.png"), Path("MRI/1.png")]) == ["CT/1.png", "MRI/1.png"]
    assert source_names([Path("a/CT/1.png"), Path("b/CT/1.png")]) == ["1:1.png", "2:1.png"]


def test_means_are_over_files_and_clipping_is_the_worst() -> None:
    rows = [Scores("a", {"EN": 1.0, "PSNR": np.inf}, {"VIF": [0.1, 0.2]}, 0.5),
            Scores("b", {"EN": 3.0, "PSNR": 20.0}, {"VIF": [0.3, 0.6]}, 0.1)]  # fmt: skip
    got = figures_of(rows, ["CT", "MRI"])
    assert got["figures"] == {"EN": 2.0, "PSNR": None}
    assert got["per_source"]["VIF"] == pytest.approx({"CT": 0.2, "MRI": 0.4})
    assert got["clipped"] == 0.5
