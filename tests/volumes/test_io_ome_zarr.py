"""OME-Zarr: written for every reader, read from other writers, and whole down to the last chunk."""

import json
import shutil

import ngff_zarr
import numpy as np
import pytest
import zarr
from scipy.spatial.transform import Rotation

import volumes
from volumes import Channel
from volumes.errors import ContentError, HeaderError, UnitError, VolumeFileError
from volumes.io import ome_zarr

CHANNELS = (Channel("GFP", "fluorescence", 509.0), Channel("bones", "CT", None, "FF8800"))


def specimen(rng, time_s=0.0, dtype=np.uint16, valid=None):
    return volumes.from_array(
        rng.integers(0, 1000, (2, 4, 5, 6)).astype(dtype),
        (2.0, 0.5, 1 / 3),
        modality="CT",
        origin_um=(-10.0, 20.5, 1e5),
        direction=Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix(),
        channels=CHANNELS,
        time_s=time_s,
        valid=valid,
    )


def half(shape=(4, 5, 6)):
    mask = np.ones(shape, bool)
    mask[: shape[0] // 2] = False
    return mask


def refused(path, error, match, **how):
    with pytest.raises(error, match=match) as caught:
        volumes.read(path, modality="CT", **how)
    assert caught.value.file == str(path)
    return caught.value


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"],
)
def test_a_volume_comes_back_as_it_was(tmp_path, rng, dtype):
    volume = specimen(rng, 3.5, dtype, half())
    volumes.write(volume, tmp_path / "v.ome.zarr")
    again = volumes.read(tmp_path / "v.ome.zarr", modality="CT")
    assert again.grid == volume.grid
    assert again.channels == volume.channels
    assert again.time_s == 3.5
    assert again.data.dtype == dtype
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_array_equal(again.valid, half())


def test_a_movie_comes_back_frame_by_frame(tmp_path, rng):
    frames = [specimen(rng, t, valid=half() if t == 4.0 else None) for t in (1.0, 4.0, 4.5)]
    volumes.write(volumes.TimeLapse.of(frames), tmp_path / "m.ome.zarr")
    movie = volumes.read_timelapse(tmp_path / "m.ome.zarr", modality="CT")
    assert movie.times_s == (1.0, 4.0, 4.5)
    for frame, again in zip(frames, movie, strict=True):
        np.testing.assert_array_equal(again.array, frame.array)
        np.testing.assert_array_equal(again.mask(), frame.mask())
    refused(tmp_path / "m.ome.zarr", HeaderError, "read_timelapse")


def test_frames_are_written_one_at_a_time(tmp_path, rng):
    volume, alive, most = specimen(rng), [], []

    def load(frame):
        alive.append(frame)
        most.append(len(alive) - len(set(alive)))
        return volume

    movie = volumes.TimeLapse(volume.grid, volume.channels, (0.0, 1.0, 2.0), load)
    volumes.write(movie, tmp_path / "m.zarr")
    frames_after_the_first_look = alive[1:]
    assert frames_after_the_first_look == [0, 1, 2]


@pytest.mark.parametrize("movie", [False, True])
def test_an_independent_reader_validates_and_reads_it(tmp_path, rng, movie):
    frames = [specimen(rng, t, valid=half()) for t in (10.0, 12.0, 14.0)]
    volumes.write(volumes.TimeLapse.of(frames) if movie else frames[0], tmp_path / "v.ome.zarr")
    found = ngff_zarr.from_ngff_zarr(tmp_path / "v.ome.zarr", validate=True, version="0.5")
    image, grid = found.images[0], frames[0].grid
    assert image.dims == (("t",) if movie else ()) + ("c", "z", "y", "x")
    for axis, spacing, origin in zip("zyx", grid.spacing_um, grid.origin_um, strict=True):
        assert image.scale[axis] == spacing
        assert image.translation[axis] == origin
        assert image.axes_units[axis] == "micrometer"
    if movie:
        assert (image.scale["t"], image.translation["t"], image.axes_units["t"]) == (2.0, 10.0, "second")
    expected = np.stack([f.array for f in frames]) if movie else frames[0].array
    np.testing.assert_array_equal(np.asarray(image.data), expected)
    assert [c.label for c in found.metadata.omero.channels] == ["GFP", "bones"]
    assert [c.color for c in found.metadata.omero.channels] == ["33DD77", "FF8800"]
    window = found.metadata.omero.channels[0].window
    assert (window.min, window.max) == (expected[..., 0, :, :, :].min(), expected[..., 0, :, :, :].max())
    label = ngff_zarr.from_ngff_zarr(tmp_path / "v.ome.zarr" / "labels" / "valid", validate=True, version="0.5")
    np.testing.assert_array_equal(np.asarray(label.images[0].data).reshape(-1, 4, 5, 6)[0], half())
    assert zarr.open_group(tmp_path / "v.ome.zarr" / "labels", mode="r").attrs["ome"]["labels"] == ["valid"]


def test_chunks_are_small_checked_and_all_there(tmp_path):
    volume = volumes.from_array(np.zeros((2, 3, 130, 257), np.uint8), (1, 1, 1), modality="CT")
    volumes.write(volume, tmp_path / "v.zarr")
    array = zarr.open_group(tmp_path / "v.zarr", mode="r")["0"]
    assert array.chunks == (1, 3, 128, 128)
    assert array.nchunks_initialized == array.nchunks == 12
    codecs = [codec["name"] for codec in json.loads((tmp_path / "v.zarr/0/zarr.json").read_text())["codecs"]]
    assert codecs[-1] == "crc32c"


def chunk_of(path):
    return next(file for file in sorted((path / "0" / "c").rglob("*")) if file.is_file())


@pytest.mark.parametrize("lazy", [False, True])
def test_any_flipped_byte_and_any_cut_of_a_chunk_is_an_error(tmp_path, rng, monkeypatch, lazy):
    if lazy:
        monkeypatch.setattr(ome_zarr, "AT_ONCE_BYTES", 0)
    volumes.write(specimen(rng, dtype=np.uint8), tmp_path / "v.zarr")
    chunk = chunk_of(tmp_path / "v.zarr")
    whole = chunk.read_bytes()
    flips = [whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :] for i in range(0, len(whole), 7)]
    for damaged in [*flips, b"", whole[:3], whole[:-1], whole[: len(whole) // 2]]:
        chunk.write_bytes(damaged)
        with pytest.raises(VolumeFileError) as caught:
            _ = volumes.read(tmp_path / "v.zarr", modality="CT").array
        assert caught.value.file == str(tmp_path / "v.zarr")


def test_a_missing_chunk_is_an_error_in_our_files(tmp_path, rng):
    volumes.write(specimen(rng, valid=half()), tmp_path / "v.zarr")
    shutil.copytree(tmp_path / "v.zarr", tmp_path / "w.zarr")
    chunk_of(tmp_path / "v.zarr").unlink()
    refused(tmp_path / "v.zarr", VolumeFileError, "1 of 2 chunks are missing")
    chunk_of(tmp_path / "w.zarr/labels/valid").unlink()
    refused(tmp_path / "w.zarr", VolumeFileError, "1 of 1 chunks are missing")


def test_an_array_of_another_shape_than_was_written_is_an_error(tmp_path, rng):
    volumes.write(specimen(rng), tmp_path / "v.zarr")
    meta = tmp_path / "v.zarr" / "0" / "zarr.json"
    text = json.loads(meta.read_text())
    text["shape"][-1] = 5
    meta.write_text(json.dumps(text))
    refused(tmp_path / "v.zarr", VolumeFileError, "was written")


@pytest.mark.parametrize("gone", ["0/zarr.json", "labels/valid/zarr.json", "0"])
def test_a_missing_part_is_an_error(tmp_path, rng, gone):
    volumes.write(specimen(rng, valid=half()), tmp_path / "v.zarr")
    part = tmp_path / "v.zarr" / gone
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    refused(tmp_path / "v.zarr", VolumeFileError, "cannot be read|missing")


def test_a_large_volume_stays_on_disk(tmp_path, rng, monkeypatch):
    volume = specimen(rng, dtype=np.float32, valid=half())
    volumes.write(volume, tmp_path / "v.zarr")
    monkeypatch.setattr(ome_zarr, "AT_ONCE_BYTES", 0)
    lazy = volumes.read(tmp_path / "v.zarr", modality="CT")
    assert not isinstance(lazy.data, np.ndarray)
    assert (lazy.data.shape, lazy.data.ndim, lazy.data.dtype) == ((2, 4, 5, 6), 4, np.float32)
    for key in (..., 1, (0, slice(1, 3)), (slice(None), 2), (..., 3), (1, ..., slice(2, 4)), (0, 1, 2, 3)):
        np.testing.assert_array_equal(lazy.data[key], volume.array[key])
    np.testing.assert_array_equal(lazy.array, volume.array)
    np.testing.assert_array_equal(lazy.channel("bones"), volume.array[1])
    volumes.write(lazy, tmp_path / "w.zarr")
    monkeypatch.undo()
    np.testing.assert_array_equal(volumes.read(tmp_path / "w.zarr", modality="CT").array, volume.array)


@pytest.mark.parametrize("lazy", [False, True])
def test_voxels_that_are_not_finite(tmp_path, rng, monkeypatch, lazy):
    voxels = rng.random((1, 4, 5, 6)).astype(np.float32)
    voxels[0, 1, 2, 3], voxels[0, 3, 4, 5] = np.nan, -np.inf
    volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="CT", valid=half()), tmp_path / "v.zarr")
    window = zarr.open_group(tmp_path / "v.zarr", mode="r").attrs["ome"]["omero"]["channels"][0]["window"]
    assert np.isfinite(list(window.values())).all()
    if lazy:
        monkeypatch.setattr(ome_zarr, "AT_ONCE_BYTES", 0)
    with pytest.raises(ContentError, match="NaN or infinite"):
        _ = volumes.read(tmp_path / "v.zarr", modality="CT").array
    volume = volumes.read(tmp_path / "v.zarr", modality="CT", nonfinite="mask")
    np.testing.assert_array_equal(volume.mask(), half() & np.isfinite(voxels[0]))
    np.testing.assert_array_equal(volume.array, np.where(np.isfinite(voxels), voxels, 0))


def foreign(path, voxels, dims, version, units="micrometer", **kwargs):
    """An OME-Zarr as ngff-zarr writes it."""
    axes_units = None if units is None else dict.fromkeys("zyx", units) | ({"t": "second"} if "t" in dims else {})
    image = ngff_zarr.to_ngff_image(
        voxels,
        dims=dims,
        scale=dict(zip("tzyx", (5.0, 3.0, 2.0, 1.0), strict=True)),
        translation=dict(zip("tzyx", (0.0, 30.0, 20.0, 10.0), strict=True)),
        axes_units=axes_units,
        **kwargs,
    )
    multiscales = ngff_zarr.to_multiscales(image, scale_factors=[2], chunks=4)
    ngff_zarr.to_ngff_zarr(path, multiscales, version=version)
    return path


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dims", ["zyx", "czyx", "tzyx", "tczyx"])
def test_another_programs_file(tmp_path, rng, version, dims):
    size = dict(zip("tczyx", (2, 3, 6, 7, 8), strict=True))
    voxels = rng.integers(0, 255, [size[d] for d in dims]).astype(np.uint8)
    path = foreign(tmp_path / "f.ome.zarr", voxels, dims, version)
    movie = volumes.read_timelapse(path, modality="CT")
    assert movie.grid.spacing_um == (3.0, 2.0, 1.0)
    assert movie.grid.origin_um == (30.0, 20.0, 10.0)
    assert movie.times_s == ((0.0, 5.0) if "t" in dims else (0.0,))
    assert {c.modality for c in movie.channels} == {"CT"}
    expected = voxels.reshape([size[d] if d in dims else 1 for d in "tczyx"])
    for t, frame in enumerate(movie):
        np.testing.assert_array_equal(frame.array, expected[t])


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_another_programs_units(tmp_path, rng, version):
    voxels = rng.integers(0, 255, (6, 7, 8)).astype(np.uint8)
    path = foreign(tmp_path / "n.zarr", voxels, "zyx", version, units="nanometer")
    np.testing.assert_allclose(volumes.read(path, modality="CT").grid.spacing_um, (3e-3, 2e-3, 1e-3))
    path = foreign(tmp_path / "u.zarr", voxels, "zyx", version, units=None)
    assert "unit='um'" in refused(path, UnitError, "no unit").remedy
    assert volumes.read(path, modality="CT", unit="mm").grid.spacing_um == (3000.0, 2000.0, 1000.0)


def edited(path, change):
    """Change the attributes of a group in place."""
    file = path / "zarr.json"
    text = json.loads(file.read_text())
    change(text["attributes"])
    file.write_text(json.dumps(text))


def image_of(attributes):
    return attributes["ome"]["multiscales"][0]


def scale_of(attributes):
    return image_of(attributes)["datasets"][0]["coordinateTransformations"][0]["scale"]


BROKEN = {
    "nan-time": (lambda a: a["fusetrack"].update(times_s=[float("nan")]), HeaderError, "finite and grow"),
    "no-name": (lambda a: a["fusetrack"]["channels"][0].pop("name"), HeaderError, "breaks the specification"),
    "ragged": (lambda a: a["fusetrack"]["direction"][0].pop(), HeaderError, "breaks the specification"),
    "zero-spacing": (lambda a: scale_of(a).__setitem__(1, 0.0), HeaderError, "above zero"),
    "nan-spacing": (lambda a: scale_of(a).__setitem__(1, float("nan")), HeaderError, "not finite"),
    "sheared": (lambda a: a["fusetrack"]["direction"][0].__setitem__(1, 0.5), HeaderError, "orthonormal"),
    "short-scale": (lambda a: scale_of(a).pop(), HeaderError, "needs 4 numbers"),
    "no-unit": (lambda a: image_of(a)["axes"][1].pop("unit"), UnitError, "no unit"),
    "odd-unit": (lambda a: image_of(a)["axes"][1].update(unit="cubit"), UnitError, "known"),
    "axes-order": (lambda a: image_of(a)["axes"].reverse(), HeaderError, "in this order"),
    "no-image": (lambda a: a["ome"].pop("multiscales"), HeaderError, "no multiscale image"),
    "version": (lambda a: a["ome"].update(version="0.9"), HeaderError, "not read"),
    "no-datasets": (lambda a: image_of(a).update(datasets=[]), HeaderError, "breaks the specification"),
    "times": (lambda a: a["fusetrack"].update(times_s=[0.0, 1.0]), HeaderError, "2 times for 1 frames"),
    "channels": (lambda a: a["fusetrack"]["channels"].pop(0), HeaderError, "1 channels described"),
    "gone": (lambda a: image_of(a)["datasets"][0].update(path="7"), VolumeFileError, "cannot be read"),
    "affine": (
        lambda a: image_of(a)["datasets"][0]["coordinateTransformations"][0].update(type="affine"),
        HeaderError,
        "not read",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_metadata_that_is_refused(tmp_path, rng, case):
    change, error, match = BROKEN[case]
    volumes.write(specimen(rng), tmp_path / "v.zarr")
    edited(tmp_path / "v.zarr", change)
    refused(tmp_path / "v.zarr", error, match)


def test_both_levels_of_transformations_are_applied_in_order(tmp_path, rng):
    volumes.write(volumes.from_array(np.zeros((2, 3, 4), np.uint8), (3, 2, 1), modality="CT"), tmp_path / "v.zarr")

    def change(attributes):
        inner = image_of(attributes)["datasets"][0]["coordinateTransformations"]
        inner[1]["translation"] = [0.0, 5.0, 6.0, 7.0]
        image_of(attributes)["coordinateTransformations"] = [
            {"type": "scale", "scale": [1.0, 10.0, 10.0, 10.0]},
            {"type": "translation", "translation": [0.0, 1.0, 2.0, 3.0]},
        ]

    edited(tmp_path / "v.zarr", change)
    grid = volumes.read(tmp_path / "v.zarr", modality="CT").grid
    assert grid.spacing_um == (30.0, 20.0, 10.0)
    assert grid.origin_um == (51.0, 62.0, 73.0)


def test_the_files_own_word_on_modalities_holds_and_a_contradiction_is_said(tmp_path, rng, caplog):
    volumes.write(specimen(rng), tmp_path / "v.zarr")
    assert volumes.read(tmp_path / "v.zarr", modality="fluorescence").channels == CHANNELS
    assert caplog.text == ""
    assert volumes.read(tmp_path / "v.zarr", modality="PET").channels == CHANNELS
    assert "holds CT, fluorescence, not PET" in caplog.text


def test_an_image_inside_a_folder_of_another_name(tmp_path, rng):
    volume = specimen(rng)
    volumes.write(volume, tmp_path / "v.zarr")
    (tmp_path / "v.zarr").rename(tmp_path / "image-3")
    np.testing.assert_array_equal(volumes.read(tmp_path / "image-3", modality="CT").array, volume.array)


def test_equal_content_gives_equal_bytes(tmp_path, rng):
    volume = specimen(rng, valid=half())
    for name in ("a.zarr", "b.zarr"):
        volumes.write(volume, tmp_path / name)
    a, b = ({f.relative_to(r): f.read_bytes() for f in r.rglob("*") if f.is_file()} for r in sorted(tmp_path.iterdir()))
    assert a == b


def test_labels_of_64_bits_are_kept(tmp_path):
    labels = np.array([[[0, (1 << 63) - 1]]], np.int64)
    volumes.write(volumes.from_array(labels, (1, 1, 1), modality="labels"), tmp_path / "v.zarr")
    np.testing.assert_array_equal(volumes.read(tmp_path / "v.zarr", modality="labels").array[0], labels)


def test_a_modality_is_only_needed_where_the_file_names_none(tmp_path, rng):
    volumes.write(specimen(rng), tmp_path / "v.zarr")
    assert volumes.read(tmp_path / "v.zarr").channels == CHANNELS
    edited(tmp_path / "v.zarr", lambda attributes: attributes.pop("fusetrack"))
    with pytest.raises(HeaderError, match="names no modality"):
        volumes.read(tmp_path / "v.zarr")
    assert [c.name for c in volumes.read(tmp_path / "v.zarr", modality="CT").channels] == ["GFP", "bones"]
