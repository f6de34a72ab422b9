"""Transforms as ITK files, held against SimpleITK point by point and against the RIRE standard's fiducials."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes import Affine, Composite, read_transform, write_transform
from volumes.errors import OutputError, TransformError, VolumeFileError

TURN = {"rotation_rad": (0.2, -0.4, 0.3), "translation_um": (1500.0, -2500.0, 70.5)}


def itk_points(transform, points_um):
    """Where SimpleITK takes points (z, y, x) µm."""
    mm = np.asarray(points_um)[:, ::-1] / 1e3
    return np.array([transform.TransformPoint(tuple(p)) for p in mm.tolist()])[:, ::-1] * 1e3


def sheared():
    matrix = np.eye(4)
    matrix[:3] = [[1.1, 0.2, -0.1, 300.0], [0.05, 0.9, 0.3, -20.0], [0.0, -0.15, 1.2, 5000.0]]
    return Affine(matrix)


@pytest.fixture
def points(rng):
    return rng.uniform(-1e5, 1e5, (50, 3))


def test_the_fiducials_of_rire(data):
    lines = (data / "registration" / "rire_ct_T1.standard").read_text().splitlines()
    rows = np.array([line.split() for line in lines if line.split()[:1] and line.split()[0] in "12345678"], float)
    assert rows.shape == (8, 7)
    transform = read_transform(data / "registration" / "rire_ct_to_mrT1_gt.tfm")
    ct, mr = rows[:, 1:4][:, ::-1] * 1e3, rows[:, 4:7][:, ::-1] * 1e3
    np.testing.assert_allclose(transform(ct), mr, atol=1.0)


def versor():
    out = SimpleITK.VersorRigid3DTransform()
    out.SetRotation((0.0, 0.6, 0.8), 0.7)
    out.SetCenter((5.0, -6.0, 7.0))
    out.SetTranslation((1.0, 2.0, 3.0))
    return out


def similarity():
    out = SimpleITK.Similarity3DTransform()
    out.SetRotation((1.0, 0.0, 0.0), -0.3)
    out.SetScale(1.3)
    out.SetCenter((5.0, -6.0, 7.0))
    return out


def affine():
    out = SimpleITK.AffineTransform(3)
    out.SetMatrix((1.1, 0.2, -0.1, 0.05, 0.9, 0.3, 0.0, -0.15, 1.2))
    out.SetCenter((1.0, 20.0, -30.0))
    out.SetTranslation((0.5, 0.25, 0.125))
    return out


def scale():
    return SimpleITK.ScaleTransform(3, (1.5, 2.0, 0.5))


KINDS = {
    "euler": lambda: SimpleITK.Euler3DTransform((5.0, -6.0, 7.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0)),
    "versor-rigid": versor,
    "versor": lambda: SimpleITK.VersorTransform((0.0, 0.6, 0.8), 0.7),
    "similarity": similarity,
    "affine": affine,
    "scale": scale,
    "translation": lambda: SimpleITK.TranslationTransform(3, (1.0, -2.0, 3.5)),
    "identity": lambda: SimpleITK.Transform(3, SimpleITK.sitkIdentity),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_linear_kind_maps_as_itk_maps(tmp_path, points, kind):
    itk = KINDS[kind]()
    SimpleITK.WriteTransform(itk, str(tmp_path / "t.tfm"))
    ours = read_transform(tmp_path / "t.tfm")
    assert isinstance(ours, Affine)
    np.testing.assert_allclose(ours(points), itk_points(itk, points), atol=1e-6)


def test_an_itk_composite_applies_the_last_added_first(tmp_path, points):
    itk = SimpleITK.CompositeTransform([KINDS["euler"](), scale(), affine()])
    SimpleITK.WriteTransform(itk, str(tmp_path / "t.tfm"))
    ours = read_transform(tmp_path / "t.tfm")
    assert isinstance(ours, Composite)
    assert len(ours.parts) == 3
    np.testing.assert_allclose(ours(points), itk_points(itk, points), atol=1e-6)
    backwards = Composite(tuple(reversed(ours.parts)))
    assert np.abs(backwards(points) - ours(points)).max() > 100


@pytest.mark.parametrize(
    "transform",
    [Affine.identity(), Affine.rigid(**TURN), sheared(), Composite((Affine.rigid(**TURN), sheared()))],
    ids=["identity", "rigid", "sheared", "composite"],
)
def test_what_is_written_maps_alike_in_itk(tmp_path, points, transform):
    write_transform(transform, tmp_path / "t.tfm")
    itk = SimpleITK.ReadTransform(str(tmp_path / "t.tfm"))
    np.testing.assert_allclose(itk_points(itk, points), transform(points), atol=1e-6)
    again = read_transform(tmp_path / "t.tfm")
    assert type(again) is type(transform)
    np.testing.assert_allclose(again(points), transform(points), atol=1e-8)


def test_a_resampled_image_lies_where_itk_puts_it(tmp_path, rng):
    """Fixed points to moving points, as ITK's resampling has it: the file means the same to both."""
    import volumes

    moving = volumes.from_array(rng.random((8, 9, 10)), (3.0, 2.0, 1.0), modality="CT")
    transform = Affine.rigid((0.1, 0.05, -0.1), (2.0, 1.0, -1.5))
    write_transform(transform, tmp_path / "t.tfm")
    volumes.write(moving, tmp_path / "m.nii")
    image = SimpleITK.ReadImage(str(tmp_path / "m.nii"))
    itk = SimpleITK.ReadTransform(str(tmp_path / "t.tfm"))
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, image, itk, SimpleITK.sitkLinear, -1.0))
    ours = volumes.resample(moving, like=moving, transform=transform)
    inside = ours.mask() & (theirs >= 0)
    assert inside.sum() > 100
    np.testing.assert_allclose(ours.array[0][inside], theirs[inside], atol=1e-4)


def test_equal_content_gives_equal_bytes(tmp_path):
    transform = Composite((Affine.rigid(**TURN), sheared()))
    write_transform(transform, tmp_path / "a.tfm")
    write_transform(transform, tmp_path / "b.tfm")
    assert (tmp_path / "a.tfm").read_bytes() == (tmp_path / "b.tfm").read_bytes()


@settings(max_examples=25, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-1e7, 1e7)] * 3),
)
def test_any_rigid_transform_survives_a_file(tmp_path_factory, turn, shift):
    path = tmp_path_factory.mktemp("t") / "t.tfm"
    transform = Affine.rigid(turn, shift)
    write_transform(transform, path)
    found = read_transform(path)
    assert isinstance(found, Affine)
    np.testing.assert_allclose(found.matrix, transform.matrix, rtol=1e-14, atol=1e-12)


def test_every_truncation_is_refused(tmp_path):
    """ITK itself reads some of these as the identity."""
    write_transform(Composite((Affine.rigid(**TURN), sheared())), tmp_path / "whole.tfm")
    text = (tmp_path / "whole.tfm").read_text()
    for length in range(len(text)):
        (tmp_path / "cut.tfm").write_text(text[:length])
        with pytest.raises(VolumeFileError) as caught:
            read_transform(tmp_path / "cut.tfm")
        assert caught.value.remedy


def test_files_that_hold_no_transform(tmp_path):
    for content in (b"", b"\x00" * 400, b"NRRD0004\n", b"#Insight Transform File V1.0\n"):
        (tmp_path / "t.tfm").write_bytes(content)
        with pytest.raises(VolumeFileError):
            read_transform(tmp_path / "t.tfm")
    for missing in (tmp_path / "none.tfm", tmp_path):
        with pytest.raises(VolumeFileError, match="does not exist"):
            read_transform(missing)


def text_of(kind, parameters, fixed):
    return (
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}\n"
        f"Parameters: {parameters}\nFixedParameters: {fixed}\n"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (text_of("AffineTransform_double_3_3", "0 0 0 0 0 0 0 0 0 1 2 3", "0 0 0"), TransformError),
        (text_of("AffineTransform_double_3_3", "nan 0 0 0 1 0 0 0 1 1 2 3", "0 0 0"), Exception),
        (text_of("Euler2DTransform_double_2_2", "0.1 2 3", "0 0"), TransformError),
        (text_of("NoSuchTransform_double_3_3", "0.1 2 3", "0 0"), VolumeFileError),
        (text_of("AffineTransform_double_3_3", "1 0 0 0 1 0 0", "0 0 0"), VolumeFileError),
    ],
    ids=["singular", "nan", "planar", "unknown", "too-few"],
)
def test_transforms_that_are_refused(tmp_path, text, error):
    (tmp_path / "t.tfm").write_text(text)
    with pytest.raises(error) as caught:
        read_transform(tmp_path / "t.tfm")
    assert isinstance(caught.value, TransformError | VolumeFileError)
    assert str(tmp_path) in str(caught.value)


def test_what_a_tfm_cannot_hold(tmp_path):
    class Bent:
        def __call__(self, points):
            return np.asarray(points) ** 2

        def inverse(self):
            return self

    with pytest.raises(TransformError, match="linear"):
        write_transform(Bent(), tmp_path / "t.tfm")
    with pytest.raises(OutputError, match=r"\.tfm"):
        write_transform(Affine.identity(), tmp_path / "t.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_transform(Affine.identity(), tmp_path / "t.tfm")
    before = (tmp_path / "t.tfm").read_bytes()

    def half(_transform, path):
        Path(path).write_bytes(before[:120])

    monkeypatch.setattr(SimpleITK, "WriteTransform", half)
    with pytest.raises(OutputError, match="does not read back"):
        write_transform(sheared(), tmp_path / "t.tfm")
    assert (tmp_path / "t.tfm").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
