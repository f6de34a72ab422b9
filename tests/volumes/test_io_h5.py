"""Displacement fields and composites as ITK's .h5, held against SimpleITK point by point."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from volumes import Affine, Composite, DisplacementField, Grid, read_transform, write_transform
from volumes.errors import ContentError, OutputError, TransformError, VolumeFileError

TURN = Affine.rigid((0.2, -0.4, 0.3), (150.0, -250.0, 70.5))


@pytest.fixture
def field(rng):
    axes = Rotation.from_rotvec([0.3, 0.2, -0.5]).as_matrix() @ np.diag([1, -1, 1])
    grid = Grid((5, 6, 7), (40.0, 20.0, 10.0), (100.0, -200.0, 3000.0), axes.tolist())
    return DisplacementField(rng.normal(scale=15, size=(5, 6, 7, 3)), grid)


def points_about(grid, rng, n=200):
    return grid.to_world(rng.uniform(-2, np.asarray(grid.shape) + 1, (n, 3)))


def itk_points(transform, points_um):
    """Where SimpleITK takes points (z, y, x) µm."""
    mm = np.asarray(points_um)[:, ::-1] / 1e3
    return np.array([transform.TransformPoint(tuple(p)) for p in mm.tolist()])[:, ::-1] * 1e3


def same(a, b):
    if isinstance(a, Composite):
        return isinstance(b, Composite) and all(same(p, q) for p, q in zip(a.parts, b.parts, strict=True))
    if isinstance(a, Affine):
        return np.allclose(a.matrix, b.matrix, rtol=1e-12, atol=1e-9)
    return a.grid.is_close(b.grid, 1e-9) and np.allclose(a.displacements_um, b.displacements_um, rtol=0, atol=1e-9)


def build(kind, field):
    return {
        "affine": TURN,
        "field": field,
        "field-then-turn": Composite((TURN, field)),
        "turn-then-field": Composite((field, TURN)),
        "many": Composite((field, TURN, TURN.inverse(), field)),
        "float32": DisplacementField(field.displacements_um.astype(np.float32), field.grid),
    }[kind]


KINDS = ["affine", "field", "field-then-turn", "turn-then-field", "many", "float32"]


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_each_suffix_is_known(tmp_path, field, suffix):
    write_transform(field, tmp_path / f"t{suffix}")
    assert same(field, read_transform(tmp_path / f"t{suffix}"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_maps_alike_in_itk_and_reads_back(tmp_path, field, rng, kind):
    transform, points = build(kind, field), points_about(field.grid, rng)
    write_transform(transform, tmp_path / "t.h5")
    itk = SimpleITK.ReadTransform(str(tmp_path / "t.h5"))
    np.testing.assert_allclose(itk_points(itk, points), transform(points), rtol=0, atol=1e-5)
    again = read_transform(tmp_path / "t.h5")
    assert same(transform, again)
    np.testing.assert_allclose(again(points), transform(points), rtol=0, atol=1e-8)


def test_the_order_of_a_composite_matters(field, rng):
    """Else the conformance above could not tell one order from the other."""
    points = points_about(field.grid, rng)
    assert np.abs(build("field-then-turn", field)(points) - build("turn-then-field", field)(points)).max() > 1


def itk_field(rng):
    image = SimpleITK.GetImageFromArray(rng.normal(scale=0.02, size=(4, 5, 6, 3)), isVector=True)
    image.SetSpacing((0.01, 0.02, 0.04))
    image.SetOrigin((3.0, -0.2, 0.1))
    return SimpleITK.DisplacementFieldTransform(image)


def test_what_itk_wrote_maps_alike_here(tmp_path, rng):
    euler = SimpleITK.Euler3DTransform((5.0, -6.0, 7.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    bent = itk_field(rng)
    itk = SimpleITK.CompositeTransform([euler, bent, SimpleITK.TranslationTransform(3, (0.01, 0.0, -0.01))])
    SimpleITK.WriteTransform(itk, str(tmp_path / "t.h5"))
    found = read_transform(tmp_path / "t.h5")
    assert [type(part) for part in found.parts] == [Affine, DisplacementField, Affine]
    points = points_about(found.parts[1].grid, rng)
    np.testing.assert_allclose(found(points), itk_points(itk, points), rtol=0, atol=1e-5)


class Bent:
    def __call__(self, points):
        return np.asarray(points) ** 2

    def inverse(self):
        return self


@pytest.mark.parametrize("kind", ["alone", "inside", "inverse"])
def test_any_other_map_is_to_be_sampled_first(tmp_path, field, kind):
    transform = {"alone": Bent(), "inside": Composite((TURN, Bent())), "inverse": field.inverse()}[kind]
    for name in ("t.h5", "t.tfm"):
        with pytest.raises(TransformError) as caught:
            write_transform(transform, tmp_path / name)
        assert "DisplacementField.of" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_tfm_holds_no_field(tmp_path, field):
    for transform in (field, TURN @ field):
        with pytest.raises(TransformError, match="DisplacementField") as caught:
            write_transform(transform, tmp_path / "t.tfm")
        assert ".h5" in caught.value.remedy
    SimpleITK.WriteTransform(itk_field(np.random.default_rng(0)), str(tmp_path / "t.tfm"))
    with pytest.raises(TransformError, match="not a linear"):
        read_transform(tmp_path / "t.tfm")


@pytest.mark.parametrize("kind", ["affine", "field-then-turn"])
def test_every_truncation_is_refused(tmp_path, field, kind):
    transform, path = build(kind, field), tmp_path / "t.h5"
    write_transform(transform, path)
    whole = path.read_bytes()
    body = whole.rindex(b"\n#sha256")
    for length in [*range(0, body, 101), *range(60), body - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(VolumeFileError) as caught:
            read_transform(path)
        assert caught.value.remedy
        assert str(path) in str(caught.value)
    for length in range(body, len(whole), 10):
        path.write_bytes(whole[:length])
        assert same(transform, read_transform(path))


def test_every_flipped_byte_is_seen(tmp_path, field, rng):
    path = tmp_path / "t.h5"
    write_transform(field, path)
    whole = path.read_bytes()
    body = whole.rindex(b"\n#sha256")
    for at in [*range(64), *rng.integers(64, body, 100).tolist(), body + 20]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(VolumeFileError):
            read_transform(path)


def test_files_that_hold_no_transform(tmp_path, field):
    path = tmp_path / "t.h5"
    for content in (
        b"",
        b"\x00" * 400,
        b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"#Insight Transform File",
    ):
        path.write_bytes(content)
        with pytest.raises(VolumeFileError):
            read_transform(path)
    for missing in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(VolumeFileError, match="does not exist"):
            read_transform(missing)


def foreign(path, transform):
    """As ITK writes it, without a checksum."""
    SimpleITK.WriteTransform(transform, str(path))
    return path.read_bytes()


def test_kinds_that_are_not_known(tmp_path):
    spline = SimpleITK.BSplineTransform(3)
    spline.SetTransformDomainMeshSize((4, 4, 4))
    flat = SimpleITK.DisplacementFieldTransform(SimpleITK.Image((4, 4), SimpleITK.sitkVectorFloat64, 2))
    for wrong in (spline, SimpleITK.CompositeTransform([spline]), SimpleITK.Euler2DTransform(), flat):
        foreign(tmp_path / "t.h5", wrong)
        with pytest.raises(TransformError) as caught:
            read_transform(tmp_path / "t.h5")
        assert str(tmp_path / "t.h5") in str(caught.value)


def test_a_field_with_nan_in_the_file(tmp_path):
    voxels = np.zeros((3, 3, 3, 3))
    voxels[1, 1, 1, 2] = np.nan
    image = SimpleITK.GetImageFromArray(voxels, isVector=True)
    foreign(tmp_path / "t.h5", SimpleITK.DisplacementFieldTransform(image))
    with pytest.raises(ContentError, match="finite") as caught:
        read_transform(tmp_path / "t.h5")
    assert caught.value.file == str(tmp_path / "t.h5")


@pytest.mark.parametrize("claimed", [(7, 5, 4), (6, 5, 3), (1e6, 1e6, 1e6), (np.nan, 5, 4)])
def test_a_header_that_claims_another_size(tmp_path, rng, claimed):
    whole = foreign(tmp_path / "t.h5", itk_field(rng))
    true = np.array([6.0, 5.0, 4.0]).tobytes()
    assert whole.count(true) == 1
    (tmp_path / "t.h5").write_bytes(whole.replace(true, np.array(claimed, float).tobytes()))
    with pytest.raises(VolumeFileError):
        read_transform(tmp_path / "t.h5")


def test_a_kind_that_itk_does_not_know(tmp_path):
    whole = foreign(tmp_path / "t.h5", SimpleITK.AffineTransform(3))
    (tmp_path / "t.h5").write_bytes(whole.replace(b"AffineTransform", b"AffinoTransform"))
    with pytest.raises(VolumeFileError, match="no ITK transform"):
        read_transform(tmp_path / "t.h5")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, field, monkeypatch):
    path = tmp_path / "t.h5"
    write_transform(TURN, path)
    before = path.read_bytes()

    def half(_transform, target):
        Path(target).write_bytes(before[:500])

    def other(_transform, target):
        SimpleITK_write(SimpleITK.AffineTransform(3), target)

    SimpleITK_write = SimpleITK.WriteTransform  # noqa: N806
    for broken in (half, other):
        monkeypatch.setattr(SimpleITK, "WriteTransform", broken)
        with pytest.raises(OutputError, match="does not read back"):
            write_transform(field, path)
        assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_another_suffix_is_refused(tmp_path, field):
    """ITK itself writes no .H5."""
    for name in ("t.mat", "t.H5"):
        with pytest.raises(OutputError, match=r"\.h5"):
            write_transform(field, tmp_path / name)
