"""``fusion.fuse`` knows colour pictures by the names of their channels, whatever the fuser, and so do movies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000, rgb2hsv, rgb2lab

import fusion
import volumes
from fusion.colour import is_colour, luma, picture, rgb, structure, structure_movie
from fusion.composite import composite
from volumes import Channel, TimeLapse, Volume, from_array
from volumes.errors import ContentError, GridError

SPACING = (2.0, 1.0, 1.0)


@pytest.fixture
def pet(rng: np.random.Generator) -> Volume:
    blobs = gaussian_filter(rng.normal(size=(3, 4, 40, 44)), (0, 1, 4, 4))
    return picture(np.clip(blobs / blobs.std() * 90 + 60, 0, 255).astype(np.uint8), SPACING, modality="PET")


@pytest.fixture
def mri(rng: np.random.Generator) -> Volume:
    return from_array(gaussian_filter(rng.random((4, 40, 44)), 1) * 900, SPACING, modality="MRI")


@pytest.mark.parametrize("kind", ["lpf", "mean", "max", "weighted", "dwt"])
def test_any_kind_fuses_a_colour_and_a_grey_source(pet: Volume, mri: Volume, kind: str) -> None:
    out = fusion.fuse([mri, pet], kind)
    assert is_colour(out.channels)
    assert [c.modality for c in out.channels] == ["fused"] * 3
    assert 0 <= out.array.min() <= out.array.max() <= 255
    plain = fusion.fuse([mri, structure(pet)], kind)
    scale = fusion.config.of_kind(kind).build().scales([mri, structure(pet)])[1]
    assert np.allclose(luma(rgb(out)), np.clip(scale.to_own(plain.channel()), 0, 255), atol=2e-3)
    swapped = fusion.fuse([pet, mri], kind)
    assert np.allclose(swapped.array, out.array, atol=2e-3)


def test_a_picture_and_its_own_grey_give_the_picture(pet: Volume) -> None:
    out = fusion.fuse([structure(pet), pet])
    assert np.allclose(rgb(out), rgb(pet), atol=0.01)
    assert np.allclose(rgb(fusion.fuse([pet, pet])), rgb(pet), atol=0.01)


def test_one_picture_alone_is_itself(pet: Volume) -> None:
    assert fusion.fuse([pet]) is pet


def test_the_colour_of_a_composite_carries_a_further_source(rng: np.random.Generator) -> None:
    described = [Channel("nuclei", "fluorescence", 405, "3060FF"), Channel("membranes", "fluorescence", 561, "FF4020")]
    cells = gaussian_filter(rng.random((2, 4, 40, 44)), (0, 1, 2, 2))
    stack = from_array(cells, SPACING, modality="fluorescence", channels=described)
    colours = composite(stack)
    phase = from_array(rng.random((4, 40, 44)), SPACING, modality="phase")
    out = fusion.fuse([colours, phase])
    before, after = (rgb2hsv(np.moveaxis(rgb(v), 0, -1)) for v in (colours, out))
    seen = (before[..., 1] * before[..., 2] > 0.05) & (after[..., 1] * after[..., 2] > 0.02)
    turn = np.abs((before[..., 0] - after[..., 0] + 0.5) % 1 - 0.5)
    assert seen.mean() > 0.3
    assert turn[seen].max() < 1e-3


def test_movies_are_fused_in_colour_on_one_scale(pet: Volume, mri: Volume) -> None:
    def movie(volume: Volume) -> TimeLapse:
        frames = [volume.with_data((volume.array * f).astype(volume.array.dtype)) for f in (1.0, 0.5)]
        return TimeLapse(volume.grid, volume.channels, (0.0, 30.0), lambda i: frames[i])

    fused = fusion.fuse([movie(pet), movie(mri)])
    assert is_colour(fused.channels)
    assert fused[0].channels == fused.channels
    seen = [structure_movie(movie(pet)), movie(mri)]
    scales = fusion.movie_scales(seen, "percentile")
    for i in (0, 1):
        plain = fusion.fuse([one[i] for one in seen], fusion.LPFConfig(match=scales)).channel()
        assert np.allclose(luma(rgb(fused[i])), np.clip(scales[0].to_own(plain), 0, 255), atol=2e-3)


@pytest.mark.parametrize("name", ["pet.ome.zarr", "pet.ome.tif"])
def test_a_picture_stays_one_in_a_file(pet: Volume, mri: Volume, tmp_path: Path, name: str) -> None:
    volumes.write(pet, tmp_path / name)
    again = volumes.read(tmp_path / name, modality="PET")
    assert np.array_equal(rgb(again), rgb(pet))
    assert np.array_equal(fusion.fuse([again, mri]).array, fusion.fuse([pet, mri]).array)


def test_what_does_not_go_with_a_picture_is_refused(pet: Volume, mri: Volume) -> None:
    two = from_array(np.stack([mri.channel()] * 2), SPACING, modality="MRI")
    movies = [TimeLapse(v.grid, v.channels, (0.0,), lambda _i, v=v: v) for v in (pet, two)]
    for sources in ([pet, two], movies):
        with pytest.raises(ContentError, match="do not correspond"):
            fusion.fuse(sources)
    with pytest.raises(GridError, match=r"volumes\.resample"):
        fusion.fuse([pet, from_array(mri.array[0, :2], SPACING, modality="MRI")])
    broken = picture(np.where(rgb(pet) > 250, np.inf, rgb(pet)), SPACING, modality="PET")
    with pytest.raises(ContentError, match="NaN or infinite"):
        fusion.fuse([broken, mri])
    with pytest.raises(ContentError, match="constant"):
        fusion.fuse([picture(np.full((3, 4, 40, 44), 9, np.uint8), SPACING, modality="PET"), mri])


@pytest.mark.parametrize("kind", ["PET", "SPECT"])
def test_published_pairs_keep_the_colour_where_the_mri_is_dark(data: Path, kind: str) -> None:
    """Where the MRI is below 16 of 255 and LP-F with a maximal base leaves it to the colour source."""
    folder = data / "fusion/harvard" / f"{kind}-MRI"
    turns, differences = [], []
    for file in sorted((folder / kind).iterdir())[:4]:
        colours = np.asarray(Image.open(file).convert("RGB"))
        grey = np.asarray(Image.open(folder / "MRI" / file.name).convert("L"))
        sources = [picture(np.moveaxis(colours, -1, 0), (1, 1, 1), modality=kind),
                   from_array(grey, (1, 1, 1), modality="MRI")]  # fmt: skip
        out = np.moveaxis(rgb(fusion.fuse(sources, fusion.LPFConfig(base="max")))[:, 0], 0, -1)
        before, after = rgb2hsv(colours), rgb2hsv(out / 255)
        seen = (grey < 16) & (np.minimum(before[..., 1] * before[..., 2], after[..., 1] * after[..., 2]) > 0.05)
        turns.append(np.abs((before[..., 0] - after[..., 0] + 0.5) % 1 - 0.5)[seen] * 360)
        differences.append(deltaE_ciede2000(rgb2lab(colours), rgb2lab(out / 255))[seen])
    assert np.concatenate(turns).size > 100
    assert np.concatenate(turns).max() < 0.01
    assert np.median(np.concatenate(differences)) < 10
