"""Luma carries structure and chroma is carried: what the equation promises, held against scikit-image's colorimetry."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab, rgb2ycbcr

import fusion
from fusion.colour import carried, is_colour, luma, picture, recoloured, rgb, structure, white_of
from volumes import Channel, Volume, from_array
from volumes.errors import ContentError, GridError

SPACING = (1.0, 1.0, 1.0)


class Brightest:
    """The pixelwise maximum, in the sources' own unit."""

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        return volumes[0].with_data(np.maximum.reduce([v.array for v in volumes]).astype(np.float32))


def grey(data: np.ndarray, modality: str = "MRI", **more: object) -> Volume:
    return from_array(np.asarray(data, np.float32), SPACING, modality=modality, **more)


def coloured(fuser: object, *sources: Volume) -> np.ndarray:
    """Fused in colour, (3, z, y, x)."""
    made = fuser.fuse([structure(source) for source in sources])
    return rgb(recoloured(made, sources, fuser))


def delta_e(a: np.ndarray, b: np.ndarray, white: float = 1.0) -> np.ndarray:
    return deltaE_ciede2000(*(rgb2lab(np.moveaxis(x, 0, -1).astype(float) / white) for x in (a, b)))


@pytest.fixture
def hot(rng: np.random.Generator) -> np.ndarray:
    """Smooth blobs of all hues on black, 8 bits, three planes."""
    from scipy.ndimage import gaussian_filter

    blobs = gaussian_filter(rng.normal(size=(3, 3, 40, 44)), (0, 1, 4, 4))
    return np.clip(blobs / blobs.std() * 90 + 60, 0, 255).astype(np.uint8)


@pytest.fixture
def pet(hot: np.ndarray) -> Volume:
    return picture(hot, SPACING, modality="PET")


def test_luma_is_that_of_the_standard(rng: np.random.Generator) -> None:
    colours = rng.random((3, 2, 5, 6))
    assert np.allclose(luma(colours), (rgb2ycbcr(np.moveaxis(colours, 0, -1))[..., 0] - 16) / 219, atol=1e-4)


unit = st.floats(0, 1, width=32)


@settings(max_examples=200, deadline=None)
@given(st.tuples(unit, unit, unit), st.floats(-0.25, 1.25, width=32))
def test_luma_is_met_hue_stays_and_nothing_leaves_the_gamut(colour: tuple[float, float, float], level: float) -> None:
    own = np.array(colour, np.float32).reshape(3, 1, 1, 1)
    y = luma(own)
    out = carried(np.full((1, 1, 1), level, np.float32), own - y, y)
    assert 0 <= out.min() <= out.max() <= 1
    assert abs(float(luma(out)[0, 0, 0]) - min(max(level, 0), 1)) < 3e-6
    if np.ptp(out) > 1e-2:
        before, after = (colorsys.rgb_to_hsv(*(float(v) for v in c.ravel()))[0] for c in (own, out))
        assert min(abs(before - after), 1 - abs(before - after)) < 1e-3
    assert np.ptp(out) <= np.ptp(own) + 1e-6


@settings(max_examples=100, deadline=None)
@given(st.tuples(unit, unit, unit), unit)
def test_no_colour_of_that_luma_and_hue_has_more_chroma(colour: tuple[float, float, float], level: float) -> None:
    """Brute force over the share s: the largest that stays in the gamut and does not exceed Y′/Y."""
    own = np.array(colour, np.float64).reshape(3, 1, 1, 1)
    y = luma(own)
    chroma = own - y
    tried = np.linspace(0, 1, 2001)
    inside = [
        s for s in tried if (level + s * chroma).min() >= -1e-9 and (level + s * chroma).max() <= 1 + 1e-9
        and s * y[0, 0, 0] <= level + 1e-9
    ]  # fmt: skip
    out = carried(np.full((1, 1, 1), level), chroma, y)
    assert abs(np.ptp(out) - max(inside) * np.ptp(own)) < 1e-3


def test_a_dimmed_picture_keeps_its_hue_in_cielab(hot: np.ndarray) -> None:
    own = hot / np.float32(255)
    y = luma(own)
    out = carried(0.6 * y, own - y, y)
    before, after = (rgb2lab(np.moveaxis(x, 0, -1)) for x in (own, out))
    seen = np.hypot(after[..., 1], after[..., 2]) > 10
    turn = np.angle(np.exp(1j * (np.arctan2(*before[..., :0:-1].T) - np.arctan2(*after[..., :0:-1].T)))).T
    assert np.allclose(out, 0.6 * own, atol=1e-6)
    assert np.degrees(np.abs(turn[seen])).mean() < 1.5


@pytest.mark.parametrize("base", ["mean", "max"])
def test_a_picture_fused_with_its_own_structure_is_itself(pet: Volume, hot: np.ndarray, base: str) -> None:
    out = coloured(fusion.LPFConfig(base=base).build(), pet, structure(pet))
    assert delta_e(out, hot, 255).max() < 0.05
    assert np.abs(out - hot).max() < 0.01


def test_pure_patches_stay_themselves() -> None:
    """Eight pure colours, under a second source that shows the same structure in another unit."""
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], np.uint8)
    patches = np.repeat(np.repeat(corners.T.reshape(3, 1, 2, 4), 8, axis=2), 8, axis=3)
    source = picture(patches, SPACING, modality="PET")
    same = structure(source)
    other = same.with_data(same.array * 7 - 300, [Channel("MRI", "MRI")])
    out = coloured(fusion.LPFConfig().build(), source, other)
    assert delta_e(out, patches, 255).max() < 1


def test_where_the_other_source_is_dark_a_picture_stays_itself(pet: Volume, hot: np.ndarray) -> None:
    lit = np.zeros(pet.grid.shape)
    lit[:, :, 22:] = np.linspace(0, 400, 22)
    out = coloured(Brightest(), pet, grey(lit))
    assert delta_e(out, hot, 255)[:, :, :22].max() < 0.05
    assert np.allclose(luma(out), np.clip(np.maximum(luma(hot.astype(float)), lit), 0, 255), atol=1e-3)


def test_a_source_without_colour_in_three_channels_is_a_grey_source(pet: Volume, rng: np.random.Generator) -> None:
    mr = rng.random(pet.grid.shape).astype(np.float32) * 255
    fuser = fusion.LPFConfig().build()
    drawn = picture(np.stack([mr] * 3), SPACING, modality="MRI")
    thrice, once = coloured(fuser, pet, drawn), coloured(fuser, pet, grey(mr))
    chroma = [out - luma(out) for out in (thrice, once)]
    angle = (chroma[0] * chroma[1]).sum(0) / np.maximum(np.prod([np.linalg.norm(c, axis=0) for c in chroma], 0), 1e-9)
    seen = np.linalg.norm(chroma[0], axis=0) > 1
    assert seen.mean() > 0.5
    assert angle[seen].min() > 0.9999


def test_several_colour_sources_share_the_result(pet: Volume, hot: np.ndarray, rng: np.random.Generator) -> None:
    red, green = np.zeros((2, 3, 1, 16, 16), np.uint8)
    red[0, 0, :, :8], green[1, 0, :, 8:] = 200, 100
    pair = [picture(c, SPACING, modality=m) for c, m in ((red, "PET"), (green, "SPECT"))]
    assert np.allclose(coloured(Brightest(), *pair), np.maximum(red, green), atol=1e-3)
    fuser = fusion.LPFConfig().build()
    third = grey(rng.random(pet.grid.shape))
    other = picture(hot[::-1].copy(), SPACING, modality="SPECT")
    one, two = coloured(fuser, pet, other, third), coloured(fuser, third, other, pet)
    assert np.allclose(one, two, atol=1e-3)


def test_masks_leave_each_source_alone_where_the_other_has_no_data(pet: Volume, hot: np.ndarray) -> None:
    left = np.zeros(pet.grid.shape, bool)
    left[:, :, :30] = True
    right = np.zeros(pet.grid.shape, bool)
    right[:, :, 20:40] = True
    part = picture(np.where(left, hot, 199), SPACING, modality="PET", valid=left)
    mr = structure(pet).with_data(structure(pet).array, [Channel("MRI", "MRI")])
    mr = grey(np.where(right, mr.channel(), np.nan), valid=right)
    fuser = fusion.LPFConfig(match="none").build()
    made = recoloured(fuser.fuse([structure(part), mr]), [part, mr], fuser)
    out = rgb(made)
    assert np.allclose(out[:, :, :, :20], hot[:, :, :, :20], atol=1.5)
    assert np.ptp(out[:, :, :, 30:], axis=0).max() < 1e-3
    assert (out[:, :, :, 40:] == 0).all()
    assert np.array_equal(made.valid, left | right)
    assert np.isfinite(out).all()


def test_a_matched_result_is_in_the_picture_s_own_unit(pet: Volume, rng: np.random.Generator) -> None:
    """The unit of the MRI plays no part: 12 bits or 8, the colours are the same."""
    mr = rng.random(pet.grid.shape)
    fuser = fusion.LPFConfig().build()
    small, large = (coloured(fuser, pet, grey(gain * mr + shift)) for gain, shift in ((1, 0), (4000, -1000)))
    assert np.allclose(small, large, atol=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_the_kind_of_number_says_what_white_is(hot: np.ndarray, dtype: str) -> None:
    white = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    data = (hot / 255 * white).astype(dtype)
    source = picture(data, SPACING, modality="PET")
    assert white_of(source) == white
    out = coloured(fusion.LPFConfig().build(), source, structure(source))
    assert np.allclose(out, data, atol=1e-4 * white)


def test_eight_bits_in_floating_numbers_are_known_by_their_size(hot: np.ndarray) -> None:
    assert white_of(picture(hot.astype(np.float32) * 1.001, SPACING, modality="PET")) == 255
    assert white_of(picture(hot.astype(np.float64) * 100, SPACING, modality="PET")) == 65535
    with pytest.raises(ContentError, match=r"no known white.*Divide"):
        white_of(picture(hot * 1e6, SPACING, modality="PET"))


def test_white_can_be_stated_where_it_would_be_guessed_wrong(hot: np.ndarray) -> None:
    """A dark frame of a movie in floating numbers on 255: bright structure beside it is not cut to 1."""
    dark = picture(hot / 255 * 0.9, SPACING, modality="PET")
    mr = grey(np.full(dark.grid.shape, 200.0))
    made = Brightest().fuse([structure(dark), mr])
    assert luma(rgb(recoloured(made, [dark, mr]))).max() < 1.01
    assert np.allclose(luma(rgb(recoloured(made, [dark, mr], white=255.0))), 200, atol=1e-3)


def test_channels_are_known_by_name_not_by_position(hot: np.ndarray) -> None:
    order = [Channel(name, "PET") for name in ("Blue", "red", "green")]
    shuffled = from_array(hot[[2, 0, 1]], SPACING, modality="PET", channels=order)
    assert is_colour(shuffled.channels)
    assert np.array_equal(rgb(shuffled), hot)
    assert not is_colour([Channel(name, "PET") for name in ("red", "green", "far red")])


@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 2, 8, 8), (8, 8)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match="moveaxis"):
        picture(np.zeros(shape, np.uint8), SPACING, modality="PET")
