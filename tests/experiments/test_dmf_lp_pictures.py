"""Pieces are cuts of their scenes, the sources of each together; real stacks get partners of the same structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from experiments.tasks.pictures import Pictures, PicturesConfig, Scene, Stack, specimens
from volumes import from_array
from volumes.errors import ConfigError
from volumes.io import write

EMPTY = PicturesConfig(planes=0, solids=0, plane_size=40, solid_size=16)
SIZE = 12


def holding(*scenes: Scene, flat: tuple[Scene, ...] = ()) -> Pictures:
    """A pool of the scenes given."""
    pictures = Pictures(EMPTY)
    pictures.__dict__.update({"_flat": list(flat), "_solid": list(scenes)})
    return pictures


def numbered(number: int = 2) -> Scene:
    """Each voxel of the clean sources is its own place, that of the taken ones half of it."""
    place = np.arange(SIZE**3, dtype=np.float32).reshape(SIZE, SIZE, SIZE)
    clean = np.stack([place + 10_000 * m for m in range(number)])
    return Scene(clean, ("MRI", "CT", "PET")[:number], clean / 2)


def places(piece_source: np.ndarray) -> np.ndarray:
    """(3, z, y, x) of the places that a piece's voxels were cut from."""
    return np.stack(np.unravel_index((piece_source % 10_000).astype(int), (SIZE,) * 3))


def test_a_piece_is_a_box_of_the_scene_turned_with_all_its_sources() -> None:
    rng, turns = np.random.default_rng(0), set()
    for piece in holding(numbered()).pieces(rng, (4, 6, 6), 2, 160):
        assert np.array_equal(piece.degraded, piece.clean / 2)
        assert np.array_equal(*(source % 10_000 for source in piece.clean))
        assert [int(s.min() >= 10_000) for s in piece.clean] == [("MRI", "CT").index(m) for m in piece.modalities]
        steps = [np.diff(places(piece.clean[0]), axis=axis + 1) for axis in range(3)]
        assert all(np.abs(step).sum(0).max() == np.abs(step).sum(0).min() == 1 for step in steps)
        turns.add(tuple(tuple(step[:, 0, 0, 0]) for step in steps))
    assert len(turns) == 16, "three mirrors and a swap"


def test_slices_of_a_volume_lie_across_any_axis() -> None:
    across = set()
    for piece in holding(numbered()).pieces(np.random.default_rng(1), (1, 8, 9), 2, 40):
        assert piece.clean.shape == (2, 1, 8, 9)
        still = [axis for axis, own in enumerate(places(piece.clean[0])) if own.min() == own.max()]
        assert len(still) == 1
        across.add(still[0])
    assert across == {0, 1, 2}


def test_a_scene_that_is_too_small_is_mirrored() -> None:
    picture = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5).repeat(2, 0)
    scene = Scene(picture, ("MRI", "CT"), picture)
    (piece,) = holding(flat=(scene,)).pieces(np.random.default_rng(0), (3, 4, 9), 2, 1)
    assert piece.clean.shape == (2, 3, 4, 9)
    assert np.array_equal(piece.clean[:, 0], piece.clean[:, 2])
    assert set(np.unique(piece.clean)) == set(range(20))
    mirrored = np.pad(picture[0, 0], ((0, 0), (0, 4)), mode="symmetric")
    turned = [own for rows in (mirrored, mirrored[::-1]) for own in (rows, rows[:, ::-1])]
    assert any(np.array_equal(piece.clean[0, 0], own) for own in turned)


def test_scenes_of_too_few_sources_are_passed_over_and_of_more_a_choice_is_taken() -> None:
    pictures = holding(numbered(2), numbered(3))
    assert {len(piece.clean) for piece in pictures.pieces(np.random.default_rng(0), (2, 4, 4), 3, 10)} == {3}
    pairs = {piece.modalities for piece in pictures.pieces(np.random.default_rng(0), (2, 4, 4), 2, 80)}
    assert len(pairs) == 6, "any two of three, in any order"
    with pytest.raises(ConfigError, match="no scene has 4 sources"):
        pictures.pieces(np.random.default_rng(0), (2, 4, 4), 4, 1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_no_instrument_took_is_brightened_and_degraded_and_black_stays_black(share: float) -> None:
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.3, 1, (2, 1, 20, 20)).astype(np.float32)
    clean[..., :10] = 0
    pictures = Pictures(EMPTY.model_copy(update={"clean_share": share}))
    pictures.__dict__.update({"_flat": [Scene(clean, ("CT", "PET"))], "_solid": []})
    levels = set()
    for piece in pictures.pieces(rng, (1, 20, 20), 2, 10):
        assert (piece.clean == 0).mean() == 0.5
        assert piece.clean.max() <= 1
        levels.add(float(piece.clean.max()))
        assert np.array_equal(piece.clean, piece.degraded) == (share == 1)
    assert len(levels) > 2


def test_pools_are_drawn_by_their_seed() -> None:
    config = EMPTY.model_copy(update={"planes": 2, "solids": 1})
    for name in ("_flat", "_solid"):
        first, again, other = (getattr(Pictures(config, seed), name) for seed in (3, 3, 4))
        assert all(np.array_equal(a.clean, b.clean) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[0].clean, other[0].clean)
    assert len(first[0].clean) == 3


def test_phantoms_are_scenes_on_the_scale_of_what_was_taken() -> None:
    (scene,) = specimens(0, 1, 24)
    assert scene.modalities[0] == "fluorescence"
    assert 2 <= len(scene.clean) <= 3
    for clean, taken in zip(scene.clean, scene.taken, strict=True):
        assert np.quantile(taken, (0.005, 0.998)) == pytest.approx((0, 1), abs=1e-5)
        assert np.isfinite(clean).all()
        assert np.corrcoef(clean.ravel(), taken.ravel())[0, 1] > 0.2


@pytest.fixture
def stack(tmp_path: Path, rng: np.random.Generator) -> Stack:
    z, y, x = np.mgrid[:14, :30, :32]
    body = np.exp(-((((z - 7) / 6) ** 2 + ((y - 15) / 9) ** 2 + ((x - 16) / 9) ** 2) ** 2))
    files = []
    for name, texture in (("a", 0.2), ("b", 0.4)):
        data = 500 * body * (1 + texture * rng.normal(size=body.shape))
        files.append(tmp_path / f"{name}.nii.gz")
        write(from_array(data.astype(np.float32), (1000.0, 1000.0, 1000.0), modality="MRI"), files[-1])
    return Stack(files=tuple(files), modalities=("MRI", "CT"), pieces=12)


def test_real_stacks_are_volumes_and_slices_with_partners(stack: Stack) -> None:
    pictures = Pictures(EMPTY.model_copy(update={"stacks": (stack,)}), 1)
    (whole,) = pictures._solid
    assert whole.modalities == ("MRI", "CT")
    assert whole.clean.shape == (2, 14, 30, 32)
    assert np.quantile(whole.clean[0], (0.005, 0.998)) == pytest.approx((0, 1), abs=1e-5)
    assert len(pictures._flat) == 12
    for scene in pictures._flat:
        assert len(scene.clean) == len(scene.modalities) == 4
        assert scene.modalities[:2] == ("MRI", "CT")
        assert 0.7 * 40 < max(scene.clean.shape[2:]) < 1.7 * 40
        assert 0 <= scene.clean.min() <= scene.clean.max() <= 1
    assert len({scene.clean.shape for scene in pictures._flat}) > 3
    for piece in pictures.pieces(np.random.default_rng(0), (1, 16, 16), 3, 8):
        assert piece.clean.shape == (3, 1, 16, 16)


def test_a_single_stack_gets_another_look_at_its_own_body(stack: Stack) -> None:
    alone = Stack(files=stack.files[:1], modalities=("MRI",), pieces=9)
    pictures = Pictures(EMPTY.model_copy(update={"stacks": (alone,)}), 1)
    assert [len(scene.clean) for scene in pictures._flat] == [3] * 9
    dark = [(other[scene.clean[0] < 0.02] < 0.05).mean() for scene in pictures._flat for other in scene.clean[1:]]
    assert np.median(dark) > 0.7, "where the body is not, its partner is dark"
    (piece,) = pictures.pieces(np.random.default_rng(0), (8, 12, 12), 2, 1)
    assert piece.clean.shape == (2, 8, 12, 12)


def test_a_stack_needs_a_modality_for_each_file_and_one_kind_of_place(stack: Stack) -> None:
    for wrong in (
        {"files": stack.files, "modalities": ("MRI",)},
        {"data": ("a.nii.gz",), "modalities": ("MRI", "CT")},
        {"files": stack.files[:1], "data": ("a.nii.gz",), "modalities": ("MRI",)},
        {"modalities": ("MRI",)},
    ):
        with pytest.raises(ValidationError, match="needs either files or data, and one modality for each"):
            Stack(**wrong)


def test_a_stack_may_lie_in_the_folder_of_real_data(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures(EMPTY.model_copy(update={"stacks": (Stack(data=("a.nii.gz",), modalities=("MRI",)),)}))
    monkeypatch.delenv("FUSETRACK_DATA", raising=False)
    with pytest.raises(ConfigError, match="Set FUSETRACK_DATA"):
        pictures._stacks  # noqa: B018
    monkeypatch.setenv("FUSETRACK_DATA", str(stack.files[0].parent))
    assert pictures._stacks[0].clean.shape == (1, 14, 30, 32)
