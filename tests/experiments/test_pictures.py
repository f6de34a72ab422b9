"""Files as grey levels: what is taken as it is, what needs a stated range, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import volumes
from experiments.pictures import is_shown, read_grey_levels
from volumes.errors import ConfigError, ContentError, FusetrackError, VolumeFileError


@pytest.fixture
def bytes_(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 15)).astype(np.uint8)


@pytest.fixture
def rgb(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 15, 3)).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = (rgb[..., i].astype(int) for i in range(3))
    return (299 * red + 587 * green + 114 * blue) // 1000


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tif"])
def test_bytes_are_taken_as_they_are(tmp_path: Path, bytes_: np.ndarray, name: str) -> None:
    Image.fromarray(bytes_).save(tmp_path / name, format="TIFF" if name.endswith("tif") else name[2:].upper())
    for value_range in (None, (0.0, 10.0)):
        got = read_grey_levels(tmp_path / name, value_range)
        np.testing.assert_array_equal(got.levels, bytes_)
        assert (got.grid, got.clipped) == (None, 0)


def test_colours_become_grey(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    tifffile.imwrite(tmp_path / "opaque.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif", "opaque.png", "opaque.tif"):
        np.testing.assert_array_equal(read_grey_levels(tmp_path / name).levels, luma(rgb))


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    image.save(tmp_path / "a.png")
    assert read_grey_levels(tmp_path / "a.png").levels.tolist() == [[76, 149], [18, 149]]


def test_more_than_8_bits_need_a_range(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 2000], [3000, 4000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", values)
    for name in ("a.png", "a.tif"):
        with pytest.raises(ContentError, match=r"a\.\w+: type: is not of 8 bits \(found 'u?int.*--range LOW HIGH"):
            read_grey_levels(tmp_path / name)
        got = read_grey_levels(tmp_path / name, (1000.0, 4000.0))
        np.testing.assert_allclose(got.levels, [[0, 0, 85], [170, 255, 255]])
        assert got.clipped == pytest.approx(2 / 6)


def test_colours_of_16_bits_are_scaled_before_they_are_weighed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5, 3), (65535, 0, 0), np.uint16), photometric="rgb")
    assert (read_grey_levels(tmp_path / "a.tif", (0, 65535)).levels == 76).all()


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.ome.tif", "a.ome.zarr"])
def test_volumes_bring_their_grid(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    values = rng.integers(0, 256, (4, 12, 15)).astype(np.uint8)
    volumes.write(volumes.from_array(values, (3.0, 1.0, 0.5), modality="CT"), tmp_path / name)
    got = read_grey_levels(tmp_path / name)
    np.testing.assert_array_equal(got.levels, values)
    assert got.grid is not None
    np.testing.assert_allclose(got.grid.spacing_um, (3.0, 1.0, 0.5))
    volumes.write(volumes.from_array(values * np.float32(4), (3.0, 1.0, 0.5), modality="CT"), tmp_path / name)
    with pytest.raises(ContentError, match="not of 8 bits"):
        read_grey_levels(tmp_path / name)
    np.testing.assert_allclose(read_grey_levels(tmp_path / name, (0, 1020)).levels, values, atol=1e-4)


def test_where_a_volume_has_no_data_is_told(tmp_path: Path) -> None:
    valid = np.ones((2, 4, 5), bool)
    valid[0, 0, 0] = False
    volume = volumes.from_array(np.ones((2, 4, 5), np.uint8), (1, 1, 1), modality="CT", valid=valid)
    volumes.write(volume, tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(read_grey_levels(tmp_path / "a.ome.zarr").valid, valid)


def transparent(path: Path) -> None:
    Image.fromarray(np.full((4, 4, 4), 200, np.uint8)).save(path)


def cut(path: Path) -> None:
    Image.fromarray(np.arange(10000, dtype=np.uint8).reshape(100, 100)).save(path)
    path.write_bytes(path.read_bytes()[:120])


def two_channels(path: Path) -> None:
    volumes.write(volumes.from_array(np.zeros((2, 3, 4, 5), np.uint8), (1, 1, 1), modality="CT"), path)


@pytest.mark.parametrize(
    ("name", "make", "error", "words"),
    [
        ("a.png", transparent, ContentError, "is transparent in places.*background"),
        ("a.png", cut, VolumeFileError, "cannot be read as a picture"),
        ("a.png", lambda path: path.write_text("text"), VolumeFileError, "cannot be read as a picture"),
        ("a.png", lambda _: None, VolumeFileError, "is missing"),
        ("a.tif", lambda _: None, VolumeFileError, "is missing"),
        ("a.tif", lambda path: path.write_text("text"), VolumeFileError, "cannot be read as TIFF"),
        ("a.nrrd", lambda _: None, VolumeFileError, "missing|no such|not exist"),
        ("a.ome.zarr", two_channels, ContentError, "has several channels.*a file for each"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path], object], error: type[FusetrackError], words: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match=words) as raised:
        read_grey_levels(tmp_path / name)
    assert raised.value.file == str(tmp_path / name)


@pytest.mark.parametrize("value_range", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_range_rises(tmp_path: Path, value_range: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="--range: needs two numbers, the lower one first"):
        read_grey_levels(tmp_path / "a.png", value_range)


def test_names_that_can_be_shown() -> None:
    assert all(is_shown(Path(name)) for name in ("a.png", "A.JPG", "a.nii.gz", "a.ome.zarr", "a.tif"))
    assert not any(is_shown(Path(name)) for name in ("a.txt", ".a.png", "Thumbs.db", "a.csv"))
