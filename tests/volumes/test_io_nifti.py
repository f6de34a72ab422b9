"""NIfTI against SimpleITK and nibabel: where voxels lie, what they hold, and what is written."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

import volumes
from volumes.errors import ContentError, HeaderError

REAL = ["niivue_CT_pitch", "clinical_tutorial_T2", "clinical_scct", "clinical_scct_stripped", "spm_T1", "spm_PET"]


def itk_grid(path):
    """Origin, spacing and direction as SimpleITK reads them (mm, x y z), turned into our words."""
    image = SimpleITK.ReadImage(str(path))
    direction = np.reshape(image.GetDirection(), (3, 3))[::-1, ::-1]
    return image, np.array(image.GetOrigin()[::-1]) * 1e3, np.array(image.GetSpacing()[::-1]) * 1e3, direction


@pytest.mark.parametrize("name", REAL)
def test_the_world_of_real_files_is_simpleitks(data, rng, name):
    path = data / "registration" / f"{name}.nii.gz"
    image, origin, spacing, direction = itk_grid(path)
    volume = volumes.read(path, modality="CT")
    half_voxel = volume.grid.spacing_um[0] * 1e-3
    np.testing.assert_allclose(volume.grid.origin_um, origin, atol=half_voxel)
    np.testing.assert_allclose(volume.grid.spacing_um, spacing, rtol=1e-6)
    np.testing.assert_allclose(volume.grid.axes, direction, atol=1e-6)
    index = rng.integers(0, volume.grid.shape, (20, 3))
    itk = [image.TransformIndexToPhysicalPoint(tuple(map(int, i[::-1])))[::-1] for i in index]
    np.testing.assert_allclose(volume.grid.to_world(index), np.array(itk) * 1e3, atol=half_voxel)


@pytest.mark.parametrize("name", REAL)
def test_the_voxels_of_real_files_are_simpleitks(data, name):
    path = data / "registration" / f"{name}.nii.gz"
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    volume = volumes.read(path, modality="CT")
    assert volume.channels[0].modality == "CT"
    np.testing.assert_allclose(volume.array[0], expected, rtol=1e-6)


def rotated(rng, dtype=np.int16, left_handed=False):
    direction = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    if left_handed:
        direction[:, 0] *= -1
    voxels = rng.integers(0, 100, (4, 5, 6)).astype(dtype)
    return volumes.from_array(
        voxels, (2.5, 0.7, 0.4), modality="MRI", origin_um=(-120.5, 33.0, 9000.25), direction=direction
    )


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_what_is_written_lies_at_the_same_place_for_everyone(tmp_path, rng, suffix, left_handed):
    volume = rotated(rng, left_handed=left_handed)
    path = tmp_path / f"specimen{suffix}"
    volumes.write(volume, path)
    image, origin, spacing, direction = itk_grid(path)
    np.testing.assert_allclose(origin, volume.grid.origin_um, atol=2e-3)
    np.testing.assert_allclose(spacing, volume.grid.spacing_um, rtol=1e-6)
    np.testing.assert_allclose(direction, volume.grid.axes, atol=1e-6)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), volume.array[0])
    header = nibabel.load(path).header
    assert header.get_xyzt_units() == ("mm", "sec")
    assert int(header["qform_code"]) > 0
    assert int(header["sform_code"]) > 0
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-5)
    again = volumes.read(path, modality="MRI")
    assert again.grid.is_close(volume.grid)
    np.testing.assert_array_equal(again.array, volume.array)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
)
def test_every_type_comes_back_as_it_was(tmp_path, dtype):
    ends = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    voxels = np.array([ends.min, 0, 1, ends.max], dtype).reshape(1, 2, 2)
    volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="labels"), tmp_path / "v.nii.gz")
    again = volumes.read(tmp_path / "v.nii.gz", modality="labels")
    assert again.data.dtype == dtype
    np.testing.assert_array_equal(again.array[0], voxels)


@pytest.mark.parametrize(("dtype", "kept"), [("bool", "uint8"), ("float16", "float32"), (">i2", "int16")])
def test_other_types_are_kept_in_a_wider_one(tmp_path, dtype, kept):
    voxels = np.array([0, 1, 1, 0]).astype(dtype).reshape(1, 2, 2)
    volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="labels"), tmp_path / "v.nii")
    again = volumes.read(tmp_path / "v.nii", modality="labels")
    assert again.data.dtype == np.dtype(kept)
    np.testing.assert_array_equal(again.array[0], voxels)


def test_equal_content_gives_equal_bytes(tmp_path, rng):
    volume = rotated(rng)
    volumes.write(volume, tmp_path / "a.nii.gz")
    volumes.write(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_big_endian_voxels_come_out_native(tmp_path, rng):
    voxels = rng.integers(0, 1000, (6, 5, 4)).astype(">i2")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_xyzt_units("mm", "sec")
    image = nibabel.Nifti1Image(voxels, np.diag((2.0, 2.0, 3.0, 1.0)), header)
    image.to_filename(tmp_path / "big.nii")
    assert (tmp_path / "big.nii").read_bytes()[:4] == (348).to_bytes(4, "big")
    volume = volumes.read(tmp_path / "big.nii", modality="MRI")
    assert volume.data.dtype.isnative
    np.testing.assert_array_equal(volume.array[0], voxels.T)
    assert volume.grid.spacing_um == (3000.0, 2000.0, 2000.0)


def nibabel_file(path, voxels, unit="mm", time="sec", affine=None, **fields):
    """A NIfTI file made by nibabel (voxels over x, y, z), with header fields set at the end, byte by byte."""
    cls = fields.pop("cls", nibabel.Nifti1Image)
    image = cls(voxels, np.diag((1.0, 1.0, 1.0, 1.0)) if affine is None else affine)
    image.header.set_xyzt_units(unit, time)
    image.to_filename(path)
    raw = bytearray(path.read_bytes())
    header = type(image.header)(bytes(raw[: int(image.header["sizeof_hdr"])]), check=False)
    for name, value in fields.items():
        header[name] = value
    raw[: len(header.binaryblock)] = header.binaryblock
    path.write_bytes(raw)
    return path


def test_nifti_2_is_read(tmp_path, rng):
    voxels = rng.random((3, 4, 5), np.float32)
    path = nibabel_file(tmp_path / "two.nii", voxels, cls=nibabel.Nifti2Image)
    np.testing.assert_array_equal(volumes.read(path, modality="CT").array[0], voxels.T)


@pytest.mark.parametrize(
    ("stored", "slope", "inter", "comes_out"),
    [
        ("int16", 2.0, -1024.0, "float32"),
        ("int32", 0.5, 3.0, "float64"),
        ("float32", 3.0, 0.0, "float32"),
        ("int16", 0.0, 0.0, "int16"),
        ("int16", np.nan, np.nan, "int16"),
        ("int16", 1.0, 0.0, "int16"),
    ],
)
def test_scaling(tmp_path, stored, slope, inter, comes_out):
    voxels = np.arange(24).reshape(2, 3, 4).astype(stored)
    path = nibabel_file(tmp_path / "v.nii", voxels, scl_slope=slope, scl_inter=inter)
    volume = volumes.read(path, modality="CT")
    plain = slope == 0 or np.isnan(slope)
    assert volume.data.dtype == comes_out
    np.testing.assert_allclose(volume.array[0], voxels.T * (1 if plain else slope) + (0 if plain else inter))


@pytest.mark.parametrize(("slope", "inter"), [(0.0, 5.0), (np.nan, 5.0), (np.inf, 0.0), (2.0, np.nan)])
def test_scaling_that_readers_disagree_on_is_refused(tmp_path, slope, inter):
    path = nibabel_file(tmp_path / "v.nii", np.zeros((2, 2, 2), np.int16), scl_slope=slope, scl_inter=inter)
    with pytest.raises(HeaderError, match="slope"):
        volumes.read(path, modality="CT")


def test_a_scaling_that_overflows_is_refused(tmp_path):
    path = nibabel_file(tmp_path / "v.nii", np.full((2, 2, 2), 30000, np.int16), scl_slope=3e38, scl_inter=0)
    with pytest.raises(ContentError, match="8 voxels"):
        volumes.read(path, modality="CT")


@pytest.mark.parametrize(("unit", "um"), [("micron", 1.0), ("mm", 1e3), ("meter", 1e6)])
def test_lengths_are_in_the_files_own_unit(tmp_path, unit, um):
    path = nibabel_file(tmp_path / "v.nii", np.zeros((2, 3, 4), np.uint8), unit, affine=np.diag((1.0, 2.0, 3.0, 1.0)))
    assert volumes.read(path, modality="CT").grid.spacing_um == (3 * um, 2 * um, um)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("time", "seconds"), [("sec", 1.0), ("msec", 1e-3), ("usec", 1e-6)])
def test_a_movie_is_read_frame_by_frame(tmp_path, rng, suffix, time, seconds):
    voxels = rng.integers(0, 99, (3, 4, 5, 6)).astype(np.uint8)
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header.set_xyzt_units("mm", time)
    image.header["pixdim"][4], image.header["toffset"] = 2.5, 10
    image.to_filename(tmp_path / f"movie{suffix}")
    movie = volumes.read_timelapse(tmp_path / f"movie{suffix}", modality="PET")
    np.testing.assert_allclose(movie.times_s, (10 + 2.5 * np.arange(6)) * seconds, rtol=1e-12)
    for i, frame in enumerate(movie):
        np.testing.assert_array_equal(frame.array[0], voxels[..., i].T)
    with pytest.raises(HeaderError, match="read_timelapse"):
        volumes.read(tmp_path / f"movie{suffix}", modality="PET")


def test_a_trailing_axis_of_one_and_a_single_slice_are_volumes(tmp_path):
    path = nibabel_file(tmp_path / "v.nii", np.ones((3, 4, 1, 1), np.uint8))
    assert volumes.read(path, modality="CT").grid.shape == (1, 4, 3)
    movie = volumes.read_timelapse(path, modality="CT")
    assert len(movie) == 1
    assert movie.dt_s is None


def test_the_time_of_a_volume_is_kept(tmp_path):
    volume = volumes.from_array(np.zeros((2, 2, 2), np.uint8), (1, 1, 1), modality="CT", time_s=12.5)
    volumes.write(volume, tmp_path / "v.nii")
    assert volumes.read(tmp_path / "v.nii", modality="CT").time_s == 12.5


def test_what_nifti_cannot_hold_is_refused(tmp_path):
    two = volumes.from_array(np.zeros((2, 2, 2, 2), np.uint8), (1, 1, 1), modality="CT")
    with pytest.raises(HeaderError, match="one channel"):
        volumes.write(two, tmp_path / "v.nii")
    long = volumes.from_array(np.zeros((1, 1, 40000), np.uint8), (1, 1, 1), modality="CT")
    with pytest.raises(HeaderError, match="32767"):
        volumes.write(long, tmp_path / "v.nii")
    far = volumes.from_array(
        np.zeros((2, 2, 2), np.uint8), (0.1, 0.1, 0.1), modality="CT", origin_um=(1e6 + 0.03, 0, 0)
    )
    with pytest.raises(HeaderError, match="1e-3 of a voxel"):
        volumes.write(far, tmp_path / "v.nii")
    movie = volumes.TimeLapse.from_array(np.zeros((2, 2, 2, 2), np.uint8), (1, 1, 1), dt_s=1, modality="CT")
    with pytest.raises(HeaderError, match="one volume at a time"):
        volumes.write(movie, tmp_path / "v.nii")
    assert list(tmp_path.iterdir()) == []
