"""Files that are missing, cut, flipped or misnamed, and writes that fail, in every format alike."""

import errno
import gzip
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import volumes
from volumes.errors import FusetrackError, HeaderError, OutputError, VolumeFileError
from volumes.io import gzipped

FILES = [".nii", ".nii.gz", ".nrrd", ".ome.tif"]
FORMATS = [*FILES, ".ome.zarr"]


@pytest.fixture
def volume(rng):
    return volumes.from_array(
        rng.integers(0, 255, (3, 4, 5)).astype(np.uint8), (3, 2, 1), modality="CT", origin_um=(30, 20, 10)
    )


def contents(folder):
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def refused(path, match=None, error=VolumeFileError):
    with pytest.raises(error, match=match) as caught:
        volumes.read(path, modality="CT")
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_missing_or_of_the_wrong_sort(tmp_path, suffix):
    refused(tmp_path / f"none{suffix}", "does not exist")
    path = tmp_path / f"v{suffix}"
    if suffix == ".ome.zarr":
        path.write_bytes(b"no folder")
        refused(path, "a folder is meant")
    else:
        path.mkdir()
        refused(path, "a file is meant")
        path.rmdir()
        path.write_bytes(b"")
        refused(path, "is empty")


@pytest.mark.parametrize("name", ["v.png", "v", "v.nii.bz2", ".nii", "nrrd"])
def test_an_unknown_format(tmp_path, volume, name):
    (tmp_path / name).write_bytes(b"something")
    assert ".nii.gz" in refused(tmp_path / name, "unknown format").remedy
    with pytest.raises(OutputError, match="names no format"):
        volumes.write(volume, tmp_path / name)


@pytest.mark.parametrize("real", FILES)
@pytest.mark.parametrize("said", FILES)
def test_bytes_that_are_not_what_the_suffix_says(tmp_path, volume, real, said):
    volumes.write(volume, tmp_path / f"v{real}")
    (tmp_path / f"v{real}").rename(tmp_path / f"misnamed{said}")
    if real == said:
        assert volumes.read(tmp_path / f"misnamed{said}", modality="CT").grid.is_close(volume.grid)
    else:
        refused(tmp_path / f"misnamed{said}", error=FusetrackError)


@pytest.mark.parametrize("suffix", FILES)
def test_every_truncation_is_refused(tmp_path, volume, suffix):
    path = tmp_path / f"v{suffix}"
    volumes.write(volume, path)
    whole = path.read_bytes()
    for length in range(1, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:length])
        refused(path, error=FusetrackError)
    path.write_bytes(whole[:-1])
    if suffix != ".ome.tif":
        refused(path, "truncated|cannot hold")


@pytest.mark.parametrize("suffix", FILES)
def test_any_flipped_byte_is_a_typed_error_or_a_volume(tmp_path, volume, rng, suffix):
    """A header's byte may give another legal header; nothing may end in any other way, nor with fewer voxels."""
    path = tmp_path / f"v{suffix}"
    volumes.write(volume, path)
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 400)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :])
        try:
            found = volumes.read(path, modality="CT", nonfinite="mask")
        except FusetrackError:
            continue
        assert found.data.size == 60
        assert np.isfinite(found.grid.matrix).all()


def test_any_flipped_bit_of_gzipped_voxels_is_caught(tmp_path, volume):
    path = tmp_path / "v.nii.gz"
    volumes.write(volume, path)
    whole, intact = path.read_bytes(), volumes.read(path, modality="CT")
    for at in range(10, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            found = volumes.read(path, modality="CT")
        except FusetrackError:
            continue
        padding_of_the_last_byte = np.array_equal(found.array, volume.array) and found.grid == intact.grid
        assert padding_of_the_last_byte, at


def test_a_bad_checksum_and_bytes_after_the_stream(tmp_path, volume):
    path = tmp_path / "v.nii.gz"
    volumes.write(volume, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    refused(path, "CRC")
    path.write_bytes(whole + b"garbage")
    refused(path, "corrupt")
    path.write_bytes(whole + gzip.compress(b"more"))
    refused(path, "4 bytes more")


def test_a_gzip_bomb_neither_fills_memory_nor_passes(tmp_path, volume):
    """64 MB of zeros after a small volume: read through in pieces, and refused."""
    volumes.write(volume, tmp_path / "v.nii")
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress((tmp_path / "v.nii").read_bytes() + bytes(1 << 26), compresslevel=9))
    tracemalloc.start()
    refused(path, "67,108,864 bytes more")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 25


def test_what_a_header_claims_is_held_against_what_gzip_can_expand_to(tmp_path):
    zeros = gzip.compress(bytes(10_000_000), compresslevel=9)
    assert gzipped.MOST_EXPANSION * len(zeros) > 10_000_000
    path = tmp_path / "v.nii.gz"
    path.write_bytes(zeros)
    gzipped.refuse_impossible(path, 10_000_000, compressed=True)
    with pytest.raises(VolumeFileError, match="cannot hold"):
        gzipped.refuse_impossible(path, gzipped.MOST_EXPANSION * len(zeros) + 1, compressed=True)
    with pytest.raises(VolumeFileError, match="cannot hold"):
        gzipped.refuse_impossible(path, len(zeros) + 1, compressed=False)


def test_a_folder_that_is_no_zarr(tmp_path):
    (tmp_path / "v.zarr").mkdir()
    refused(tmp_path / "v.zarr", error=FusetrackError)
    (tmp_path / "v.zarr" / "zarr.json").write_text("{ not json")
    refused(tmp_path / "v.zarr", error=FusetrackError)
    (tmp_path / "v.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    refused(tmp_path / "v.zarr", "multiscale", HeaderError)


@pytest.mark.parametrize("suffix", FORMATS)
def test_unicode_paths_and_new_folders(tmp_path, volume, suffix):
    path = tmp_path / "Ärzte 斑马鱼 µm" / f"鱼 é{suffix}"
    volumes.write(volume, path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    np.testing.assert_array_equal(volumes.read(str(path), modality="CT").array, volume.array)
    volumes.write_transform(volumes.Affine.identity(), path.parent / "变换.tfm")
    assert volumes.read_transform(path.parent / "变换.tfm") == volumes.Affine.identity()


class Broken:
    """Voxels whose second half cannot be read."""

    shape = (1, 300, 4, 5)
    ndim = 4
    dtype = np.dtype(np.uint8)

    def __getitem__(self, key):
        raise MemoryError("the writer is killed here")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_writer_killed_halfway_leaves_the_old(tmp_path, volume, suffix):
    path = tmp_path / f"v{suffix}"
    volumes.write(volume, path)
    before = contents(tmp_path)
    broken = volumes.Volume(Broken(), volumes.Grid((300, 4, 5), (1, 1, 1)), volume.channels)
    with pytest.raises(MemoryError):
        volumes.write(broken, path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_movie_that_fails_at_its_second_frame_leaves_the_old(tmp_path, volume, suffix):
    path = tmp_path / f"v{suffix}"
    volumes.write(volume, path)
    before = contents(tmp_path)

    def load(frame):
        if frame:
            raise VolumeFileError("is gone", file="frame-1.tif")
        return volume

    movie = volumes.TimeLapse(volume.grid, volume.channels, (0.0, 1.0), load)
    with pytest.raises(FusetrackError):
        volumes.write(movie, path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_target_that_cannot_be_written(tmp_path, volume, monkeypatch, suffix, number):
    """The folder is read-only or the disk full: simulated at the rename, since root may write anywhere."""
    path = tmp_path / f"v{suffix}"
    volumes.write(volume, path)
    before = contents(tmp_path)

    def fails(self, target):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "replace", fails)
    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        volumes.write(volume, path)
    monkeypatch.undo()
    assert caught.value.file == str(path)
    assert caught.value.remedy
    assert contents(tmp_path) == before


def test_what_is_not_ours_is_not_replaced(tmp_path, volume):
    (tmp_path / "results.zarr").mkdir()
    (tmp_path / "results.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="something else"):
        volumes.write(volume, tmp_path / "results.zarr")
    assert (tmp_path / "results.zarr" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "v.zarr").write_text("a file")
    (tmp_path / "v.nii").mkdir()
    for name in ("v.zarr", "v.nii"):
        with pytest.raises(OutputError, match="cannot replace"):
            volumes.write(volume, tmp_path / name)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_is_replaced_and_nothing_is_left_over(tmp_path, volume, suffix):
    path = tmp_path / f"v{suffix}"
    volumes.write(volume.with_data(np.zeros((2, 3, 4, 5), np.uint8)[:1]), path)
    volumes.write(volume, path)
    np.testing.assert_array_equal(volumes.read(path, modality="CT").array, volume.array)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_formats_are_only_imported_when_they_are_used():
    """Whoever reads NIfTI alone does not wait for Zarr."""
    heavy = "{'zarr', 'tifffile', 'nibabel', 'nrrd', 'SimpleITK', 'ngff_zarr'}"
    code = f"import sys, volumes; raise SystemExit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
