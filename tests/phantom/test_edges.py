"""The edges of what can be asked for: drawn soundly, or refused by a typed error that names field and remedy."""

from __future__ import annotations

import json
import sys
from functools import partial

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

import volumes
from experiments import cli
from experiments.phantom_file import load_phantom
from phantom import PhantomConfig, SamplesConfig, read_lineage, samples, write_phantom
from phantom.transform_files import portable
from volumes.errors import ConfigError, FusetrackError, OutputError
from volumes.transform import Affine

KINDS = ("light_sheet", "confocal", "brightfield", "swir", "swir_projection", "ct", "mri")
EMBRYO = {"kind": "embryo", "size_um": [60.0, 64.0, 70.0], "spacing_um": 2.0}
CELLS = {"count": 6, "radius_um": 4.0}


def one(kind: str, **more) -> dict:
    return {"kind": kind, "shape": [6, 10, 12], "spacing_um": [6.0, 5.0, 5.0], **more}


def values(cells=CELLS, difficulty=0.3, **instruments) -> dict:
    return {"name": "e", "difficulty": difficulty, "anatomy": EMBRYO, "cells": cells, "instruments": instruments}


def config(*args, **instruments) -> PhantomConfig:
    return PhantomConfig.model_validate_json(json.dumps(values(*args, **instruments)))


def sound(acquisition, frame: int = 0) -> None:
    """Finite, of the type and shape that were asked for, and not lost in its range."""
    image, clean, labels = (movie[frame] for movie in (acquisition.image(), acquisition.clean(), acquisition.labels()))
    assert image.channel().shape == clean.channel().shape == labels.channel().shape == acquisition.grid.shape
    assert np.isfinite(clean.channel()).all()
    limits = np.iinfo(image.channel().dtype)
    assert (image.channel() == limits.max).mean() < 0.2
    assert set(np.unique(labels.channel()).tolist()) <= {0, *acquisition.cells(frame).number.tolist()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "more",
    [
        {"shape": [1, 10, 12]},
        {"shape": [6, 1, 12]},
        {"shape": [6, 10, 1]},
        {"shape": [1, 1, 1]},
        {"looks_at_um": [5000.0, 0.0, 0.0]},
        {"spacing_um": [100.0, 100.0, 100.0]},
        {"spacing_um": [1000.0, 1.0, 1.0]},
        {"start_s": 11.3, "dt_s": 37.7, "frames": 2},
        {"frames": 1, "dt_s": 1e-3},
    ],
    ids=lambda more: " ".join(f"{k}={v}" for k, v in more.items()),
)
def test_odd_grids_places_and_times_are_drawn(kind, more):
    asked = one(kind, **more)
    sound(config(it=asked).build()["it"], asked.get("frames", 1) - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_both_ends_of_difficulty_are_drawn(kind, difficulty):
    sound(config(CELLS, difficulty, it=one(kind)).build()["it"])


@pytest.mark.parametrize("cells", [{"count": 1}, {"count": 40, "radius_um": 0.3}, {"count": 1, "deaths_per_h": 1e6}])
def test_few_tiny_and_dying_cells_are_drawn(cells):
    seen = config(cells, it=one("confocal", frames=2)).build()["it"]
    for frame in range(2):
        sound(seen, frame)


def test_a_field_without_a_cell_has_an_empty_table(tmp_path):
    truth = write_phantom(config(it=one("swir", looks_at_um=[5000.0, 0.0, 0.0], frames=2)), tmp_path / "out")
    assert len(read_lineage(truth.instruments["it"].cells)) == 0


@pytest.mark.parametrize("dye", ["nuclear", "membrane"])
def test_a_dye_shows_on_one_plane_too(dye):
    sound(config(it=one("light_sheet", dye=dye, shape=[1, 20, 20], spacing_um=[1.0, 3.0, 3.0])).build()["it"])


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("spacing_um", {"spacing_um": [1e-6, 1e-6, 1e-6]}),
        ("spacing_um", {"spacing_um": [1e300, 1.0, 1.0]}),
        ("scale", {"scale": [1e-9, 1.0, 1.0]}),
        ("origin_um", {"origin_um": [1e300, 0.0, 0.0]}),
        ("looks_at_um", {"looks_at_um": [1e300, 0.0, 0.0]}),
        ("rotation_deg", {"rotation_deg": [1e300, 0.0, 0.0]}),
        ("drift_um", {"drift_um": 1e308}),
        ("axes", {"axes": ["z", "z", "x"]}),
        ("deformation_um", {"deformation_um": 50.0}),
        ("deformation_um", {"deformation_um": 1.0, "deformation_scale_um": 0.1}),
        ("shape", {"shape": [4, 10**6, 10**6]}),
        ("shape", {"aberration_um": 1e-9}),
        ("frames", {"frames": 10**12}),
        ("start_s", {"start_s": 1e12}),
    ],
)
def test_what_no_instrument_can_be_is_refused_by_name(field, more):
    with pytest.raises(ConfigError) as caught:
        config(it=one("light_sheet", **more)).build()
    assert str(caught.value.field).startswith("instruments.it.")
    assert field in str(caught.value.field)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "asked",
    [
        one("brightfield", photons=1e9),
        one("confocal", photons=1e9, gain=1.0),
        one("light_sheet", photons=1e-20),
        one("swir", dark=1e9),
        one("ct", stain_mg_per_ml=20000.0),
        one("ct", electronic_sd=1e30),
        one("mri", snr=1e-9),
    ],
    ids=lambda asked: asked["kind"],
)
def test_a_picture_that_is_cut_off_is_refused(asked):
    phantom = config(it=asked).build()
    with pytest.raises(ConfigError, match="voxels of frame 0") as caught:
        phantom["it"].image()[0].channel()
    assert caught.value.field == "instruments.it"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (one("mri", te_ms=1e6, tr_ms=1e7), "no signal"),
        (one("mri", tr_ms=1e-9, te_ms=0.0), "no signal"),
        (one("ct", photons=1e-9), "no picture"),
        (one("ct", noise_hu=1e30), "no picture"),
        (one("ct", ring_sd=10.0), "no picture"),
    ],
)
def test_a_scanner_that_sees_nothing_is_refused(asked, match):
    with pytest.raises(ConfigError, match=match):
        config(it=asked).build()


@pytest.mark.parametrize("names", [("a", "A"), ("a", "b_to_c", "a_to_b", "c")])
def test_no_two_instruments_share_a_file(names):
    with pytest.raises(ValidationError, match="one file"):
        config(**{name: one("mri") for name in names})


@pytest.mark.parametrize(
    ("more", "match"),
    [({"format": "ome.tif", "axes": ["x", "y", "z"]}, "axes"), ({"format": "nrrd", "frames": 2}, "one volume")],
)
def test_a_format_that_cannot_hold_it_is_refused_before_anything_is_drawn(more, match, tmp_path):
    crowded = {"count": 10**6, "radius_um": 4.0}
    with pytest.raises(ConfigError, match=match) as caught:
        write_phantom(config(crowded, it=one("swir", **more)), tmp_path / "out")
    assert caught.value.field == "instruments.it.format"


@pytest.mark.parametrize("suffix", ["ome.zarr", "ome.tif", "nii.gz", "nrrd"])
def test_every_format_holds_what_was_drawn(suffix, tmp_path):
    asked = config(it=one("ct", format=suffix, start_s=30.0))
    recorded = write_phantom(asked, tmp_path / "out").instruments["it"]
    stated = None if suffix == "ome.zarr" else recorded.modality
    read = volumes.read(recorded.file, modality=stated)
    drawn = asked.build()["it"].image()[0]
    np.testing.assert_array_equal(read.channel(), drawn.channel())
    assert read.grid.is_close(drawn.grid)


def test_a_transform_is_portable_where_one_side_is_a_projection():
    bent = {"deformation_um": 0.5, "rotation_deg": [10.0, 40.0, 5.0]}
    phantom = config(a=one("swir_projection", **bent), b=one("mri", axes=["x", "-y", "z"])).build()
    cells = phantom["a"].pose.world(phantom["a"].cells(0).centre_um, 0)
    for fixed, moving in (("a", "b"), ("b", "a")):
        points = cells if fixed == "a" else phantom.transform("a", "b")(cells)
        exact = phantom.transform(fixed, moving)
        known = portable(exact, phantom[fixed].pose.grid)
        assert not isinstance(known, Affine)
        assert np.abs(known(points) - exact(points)).max() < 0.5
    assert isinstance(portable(Affine.identity(), phantom["b"].grid), Affine)


def test_what_lies_beside_a_phantom_is_never_lost(tmp_path):
    out = tmp_path / "out"
    write_phantom(config(it=one("mri")), out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="would be lost") as caught:
        write_phantom(config(it=one("mri")), out)
    assert caught.value.value == ["notes.txt"]
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    (out / "truth" / "truth.json").write_text("{")
    with pytest.raises(OutputError, match="would be lost"):
        write_phantom(config(it=one("mri")), out)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        write_phantom(config(it=one("mri")), file)


def test_an_interrupted_drawing_leaves_the_old_phantom(tmp_path):
    def interrupted(name: str, place: int, count: int) -> None:
        if place == 1:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    write_phantom(config(it=one("mri")), out)
    before = (out / "it.nii.gz").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_phantom(config(CELLS, 0.9, it=one("mri"), more=one("mri")), out, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "it.nii.gz").read_bytes() == before


def said(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    monkeypatch.setattr(sys, "argv", ["fusetrack", "phantom", *arguments])
    monkeypatch.setattr(cli, "app", partial(cli.app, ["phantom", *arguments]))
    code = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"count": 6', '"cuont": 6', ("cells.cuont", "Did you mean 'count'")),
        ('"radius_um": 4.0', '"radius_um": .nan', ("cells.radius_um", "finite")),
        ('"radius_um": 4.0', '"radius_um": -4', ("cells.radius_um", "greater than 0")),
        ('"count": 6', '"count": 6, "count": 7', ("cells.count", "twice")),
        ("[6.0, 5.0, 5.0]", "[6.0, 5.0]", ("spacing_um", "missing")),
        ("[6, 10, 12]", "[6, 10, 12.5]", ("shape.2", "integer")),
        ('"kind": "mri"', '"kind": "pet"', ("instruments.it", "pet")),
        ('"kind": "mri"', '"kind": "mri", "photons": 3', ("instruments.it.mri.photons", "no such key")),
        (json.dumps(EMBRYO), '{"kind": "zebrafish", "terk": "no.nrrd", "h2b": "no.nrrd"}', ("no.nrrd", "not exist")),
        (json.dumps(EMBRYO), '{"kind": "zebrafish"}', ("terk, h2b", "State both")),
        ('"count": 6', '"motion": {"kind": "lineage", "file": "no.csv"}', ("no.csv", "missing")),
        ('"it":', '"../it":', ("instruments", "../it")),
    ],
)
def test_a_wrong_file_is_told_in_one_message(old, new, words, tmp_path, monkeypatch, capsys):
    text = json.dumps(values(it=one("mri")))
    assert old in text
    file = tmp_path / "wrong.yaml"
    file.write_text(text.replace(old, new))
    code, _, err = said(monkeypatch, capsys, str(file), "--out", str(tmp_path / "out"), "--json")
    facts = json.loads(err.splitlines()[-1])
    assert code == 1
    assert facts["error"].endswith("Error")
    for word in words:
        assert word in facts["message"]
    assert "Did you mean 'photons'" not in facts["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("difficulty=2", "difficulty"),
        ("difficlty=.2", "Did you mean 'difficulty'"),
        ("name.x=3", "no keys below"),
        ("difficulty", "KEY=VALUE"),
        ("instruments.it.shape=[3, 6", "YAML"),
        ("instruments.it.frames=2", "one volume"),
        ("seed=-1", "seed"),
        ("seed=1.0", "integer"),
    ],
)
def test_a_wrong_change_is_told_in_one_message(change, word, tmp_path, monkeypatch, capsys):
    file = tmp_path / "right.yaml"
    file.write_text(yaml.safe_dump(values(it=one("mri"))))
    code, _, err = said(monkeypatch, capsys, str(file), "--out", str(tmp_path / "out"), "--set", change, "--json")
    assert code == 1
    assert word in json.loads(err.splitlines()[-1])["message"]


def test_a_right_file_is_drawn_and_told_as_json(tmp_path, monkeypatch, capsys):
    file = tmp_path / "right.yaml"
    file.write_text(yaml.safe_dump(values(it=one("mri"))))
    out = tmp_path / "out"
    code, text, _ = said(monkeypatch, capsys, str(file), "--out", str(out), "--set", "seed=7", "--json")
    assert code == 0
    assert json.loads(text) == {"folder": str(out), "instruments": ["it"], "files": [str(out / "it.nii.gz")]}
    assert json.loads((out / "truth/phantom.json").read_text())["seed"] == 7
    assert load_phantom(file, {"seed": "7"}).seed == 7


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 1, 64)])
def test_thin_samples_are_drawn(shape):
    piece = next(samples(SamplesConfig(shape=shape, hardest=0.3), seed=0))
    assert piece.labels.channel().shape == shape


@pytest.mark.parametrize(
    "more",
    [
        {"diameter_voxels": (1e-3, 1e-3)},
        {"diameter_voxels": (1e5, 1e5)},
        {"least_correlation": 0.99},
        {"brightness_spread": (10.0, 10.0)},
        {"size_spread": (3.0, 3.0)},
        {"shape": (1, 1, 1)},
    ],
)
def test_samples_that_cannot_be_are_refused(more):
    with pytest.raises(FusetrackError) as caught:
        next(samples(SamplesConfig(**{"shape": (8, 12, 12), **more}), seed=0))
    assert caught.value.field


@pytest.mark.parametrize(
    "more",
    [
        {"instruments": ("ct", "ct")},
        {"instruments": ("swir_projection",)},
        {"instruments": ()},
        {"shape": (0, 1, 1)},
        {"diameter_voxels": (5.0, 2.0)},
        {"misaligned_voxels": float("inf")},
        {"power": float("inf")},
        {"hardest": float("nan")},
        {"least_correlation": float("nan")},
    ],
)
def test_samples_are_told_sensible_numbers(more):
    with pytest.raises(ValidationError):
        SamplesConfig(**more)
