"""What holds for every kind of fuser that needs no weights: exact properties, any size, gaps, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

import fusion
from fusion.config import CONFIGS, KINDS, FuserConfig, of_kind
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError, GridError

SPACING = (2.0, 0.5, 0.5)
SHAPE = (11, 37, 41)
KINDS_HERE = [
    fusion.LPFConfig(),
    fusion.LPFConfig(detail="max-abs", base="max"),
    fusion.LPFConfig(base="entropy"),
    fusion.MeanConfig(),
    fusion.MaxConfig(),
    fusion.WeightedConfig(),
    fusion.WeightedConfig(weights="local-entropy"),
    fusion.DWTConfig(),
    fusion.DWTConfig(wavelet="haar", levels=2),
]


def name(config: FuserConfig) -> str:
    return "-".join(str(v) for v in config.model_dump(exclude_defaults=True).values()) or config.kind


every_kind = pytest.mark.parametrize("config", KINDS_HERE, ids=lambda c: f"{c.kind}-{name(c)}")


def source(data: np.ndarray, modality: str = "MRI", valid: np.ndarray | None = None) -> Volume:
    return from_array(data, SPACING, modality=modality, valid=valid)


def fused(arrays: list[np.ndarray], config: FuserConfig) -> np.ndarray:
    return fusion.fuse([source(a, f"m{i}") for i, a in enumerate(arrays)], config).channel()


@pytest.fixture
def three(rng: np.random.Generator) -> list[np.ndarray]:
    a, b, c = (ndimage.gaussian_filter(rng.normal(size=SHAPE), s) for s in (1, (1, 3, 3), 0.5))
    return [(40 * a).astype(np.float32), (900 * b + 200).astype(np.float32), c.astype(np.float32)]


@every_kind
@pytest.mark.parametrize("number", [2, 3])
def test_equal_sources_give_themselves(three, config: FuserConfig, number: int) -> None:
    for one in three:
        # A wavelet's filters sum to 1 in float32 only to some of its last digits.
        most = 4e-6 if config.kind == "dwt" else 4e-7
        assert np.abs(fused([one] * number, config) - one).max() <= most * np.abs(one).max()


@every_kind
def test_the_order_of_sources_leaves_no_trace(three, config: FuserConfig) -> None:
    first = fusion.fuse([source(a, f"m{i}") for i, a in enumerate(three)], config)
    for order in permutations(range(3)):
        again = fusion.fuse([source(three[i], f"m{i}") for i in order], config)
        assert np.array_equal(again.array, first.array)
        assert again.channels == first.channels


@every_kind
def test_a_common_factor_and_shift_pass_through(three, config: FuserConfig) -> None:
    plain = fused(three, config)
    moved = fused([250.0 * a - 300 for a in three], config)
    far = np.abs(moved - (250 * plain - 300)) > 2e-4 * 250 * np.ptp(plain)
    # Where two energies are equal but for rounding, either source is right.
    assert far.mean() < 0.005


@every_kind
@pytest.mark.parametrize(
    "shape", [(1, 1, 2), (1, 2, 3), (2, 1, 1), (1, 7, 7), (3, 3, 3), (1, 33, 45), (5, 2, 40), (9, 17, 8)]
)
def test_any_size_is_kept(rng: np.random.Generator, config, shape) -> None:
    a, b = rng.normal(size=(2, *shape)).astype(np.float32)
    out = fused([a, 30 * b + 7], config)
    assert out.shape == shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    if np.ptp(a) > 0:
        assert np.abs(fused([a, a], config) - a).max() <= 4e-6 * np.abs(a).max()


@every_kind
def test_a_source_is_never_given_the_scale_of_another(three, config: FuserConfig) -> None:
    """Of a volume and a rescaled copy, the fused values say both again."""
    volumes = [source(three[0]), source(50 * three[0] - 1000, "CT")]
    own, copy = config.build().scales(volumes)
    out = fusion.fuse(volumes, config).channel()
    size = np.abs(three[0]).max()
    assert np.abs(own.to_own(out) - three[0]).max() < 1e-4 * size
    assert np.abs(copy.to_own(out) - (50 * three[0] - 1000)).max() < 1e-4 * 50 * size
    assert copy.gain * 50 == pytest.approx(own.gain, rel=1e-5)


@every_kind
def test_where_only_one_source_has_data_it_is_alone(three, config: FuserConfig) -> None:
    """A copy with a missing half changes nothing, whatever stands there; neither has the last rows."""
    whole, half = np.ones(SHAPE, bool), np.ones(SHAPE, bool)
    whole[:, 30:] = False
    half[:, 18:] = False
    volumes = [source(three[0], "MRI", whole), source(np.where(half, three[0], np.nan), "CT", half)]
    out = fusion.fuse(volumes, config.model_copy(update={"match": "none"}))
    assert np.array_equal(out.mask(), whole)
    assert np.abs(out.channel() - three[0])[whole].max() < 4e-6 * np.abs(three[0]).max()
    assert (out.channel()[~whole] == 0).all()


@every_kind
def test_far_from_where_a_source_ends_the_other_is_alone(three, config: FuserConfig) -> None:
    narrow = np.zeros(SHAPE, bool)
    narrow[:, :, :12] = True
    volumes = [source(three[0]), source(10 * three[2], "CT", narrow)]
    levels = {"levels": 1} if "levels" in type(config).model_fields else {}
    out = fusion.fuse(volumes, config.model_copy(update={"match": "none", **levels})).channel()
    # A wavelet of 8 coefficients reaches 7 voxels further, and 7 on the way back.
    assert np.abs(out - three[0])[..., 28:].max() < 4e-6 * np.abs(three[0]).max()
    assert np.abs(out - three[0])[..., :12].max() > 0.1


@every_kind
def test_where_a_source_ends_nothing_stands_out(config: FuserConfig) -> None:
    """Two slopes, one 100 above the other and ending half way: its end is no edge that a rule may choose."""
    _, y, x = np.mgrid[:11, :64, :64].astype(np.float32)
    half = np.ones(x.shape, bool)
    half[:, 32:] = False
    low, high = 0.2 * y + 0.1 * x, 100 + 0.2 * y + 0.1 * x
    out = fusion.fuse(
        [source(low), source(np.where(half, high, 0), "CT", half)], config.model_copy(update={"match": "none"})
    ).channel()
    assert (out > low - 2).all()
    assert (out < high + 2).all()
    step = np.abs(np.diff(out, axis=1))
    if config.kind in ("lpf", "dwt") and config.levels is None:
        assert step.max() < 50 / 4


@every_kind
def test_one_source_gives_itself(three, config: FuserConfig) -> None:
    one = source(three[0])
    assert fusion.fuse([one], config) is one
    assert config.build().fuse([one]) is one


@every_kind
def test_what_cannot_be_fused_is_refused(three, config: FuserConfig) -> None:
    one, other = source(three[0]), source(three[1], "CT")
    nan = three[1].copy()
    nan[3, 4, 5] = np.nan
    moved = replace(other, grid=replace(other.grid, origin_um=(0.0, 0.0, 3.0)))
    cases = [
        ([], ContentError, "at least one volume"),
        ([one, moved], GridError, r"3 µm \(6 voxels\).*volumes\.resample\(volumes\[1\], like=volumes\[0\]"),
        ([one, source(three[1][:, :-1])], GridError, "has shape"),
        ([one, source(nan, "CT")], ContentError, r"volumes\[1\] \(CT\): 1 voxels are NaN"),
        ([one, source(np.full(SHAPE, 7.0))], ContentError, r"volumes\[1\]: is constant.*match='none'"),
        ([one, source(np.ones(SHAPE, np.uint8), "labels")], ContentError, "labels"),
        ([one, source(three[1], "CT", np.zeros(SHAPE, bool))], ContentError, "no valid voxel"),
    ]
    for volumes, error, message in cases:
        for call in (lambda v: fusion.fuse(v, config), config.build().fuse):
            with pytest.raises(error, match=message):
                call(volumes)


@every_kind
def test_constants_are_fused_unmatched(config: FuserConfig) -> None:
    unmatched = config.model_copy(update={"match": "none"})
    out = fused([np.full(SHAPE, 3.0), np.full(SHAPE, 5.0)], unmatched)
    expected = 5 if "max" in name(config) else 4
    assert np.abs(out - expected).max() < 4e-6 * expected
    assert np.allclose(fused([np.full(SHAPE, 7.0)] * 2, config), 7)


@every_kind
def test_a_config_survives_json_and_refuses_a_typo(config: FuserConfig) -> None:
    held = config.model_copy(update={"match": (fusion.Scale(2.0, -1.0), fusion.Scale())})
    adapter: TypeAdapter[FuserConfig] = TypeAdapter(FuserConfig)
    assert adapter.validate_json(held.model_dump_json()) == held
    with pytest.raises(ValidationError, match="Extra inputs"):
        adapter.validate_python({"kind": config.kind, "matsch": "none"})


def test_the_union_its_classes_and_their_names_agree() -> None:
    members = get_args(get_args(FuserConfig)[0])
    assert members == CONFIGS
    assert tuple(member().kind for member in members) == KINDS
    assert all("match" in member.model_fields for member in members)
    for kind in KINDS:
        assert of_kind(kind).kind == kind


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="lpf, mean, max, weighted, dwt"):
        of_kind("median")
