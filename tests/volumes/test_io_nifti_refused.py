"""NIfTI headers and voxels that cannot be trusted: each is refused, with its field and what to do."""

import gzip

import nibabel
import numpy as np
import pytest

import volumes
from volumes.errors import ContentError, HeaderError, UnitError, VolumeFileError

SHIFTED = np.array([[1.0, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def made(path, voxels=None, *, qform=None, sform=None, codes=(1, 1), **fields):
    """A NIfTI file whose header fields are set as they stand, without nibabel's checks."""
    header = nibabel.Nifti1Header()
    voxels = np.zeros((3, 4, 5), np.int16) if voxels is None else voxels
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_qform(np.eye(4) if qform is None else qform, codes[0], strip_shears=True)
    header.set_sform(np.eye(4) if sform is None else sform, codes[1])
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + bytes(4) + voxels.tobytes("F"))
    return path


def refused(path, error, match, **how):
    with pytest.raises(error, match=match) as caught:
        volumes.read(path, modality="CT", **how)
    assert caught.value.file == str(path)
    assert caught.value.remedy
    return caught.value


def test_no_spatial_unit(tmp_path):
    path = made(tmp_path / "v.nii", xyzt_units=8)
    assert refused(path, UnitError, "no unit").field == "xyzt_units"
    assert volumes.read(path, modality="CT", unit="um").grid.spacing_um == (1.0, 1.0, 1.0)
    assert volumes.read(path, modality="CT", unit="mm").grid.spacing_um == (1000.0, 1000.0, 1000.0)
    refused(path, UnitError, "known", unit="parsec")


def test_a_stated_unit_that_contradicts(tmp_path):
    path = made(tmp_path / "v.nii")
    refused(path, UnitError, "caller", unit="um")
    assert volumes.read(path, modality="CT", unit="mm").grid.spacing_um[0] == 1000.0


@pytest.mark.parametrize("code", [4, 7])
def test_an_unknown_unit(tmp_path, code):
    refused(made(tmp_path / "v.nii", xyzt_units=code), HeaderError, "unit of length")


def test_qform_and_sform_that_differ(tmp_path):
    path = made(tmp_path / "v.nii", sform=SHIFTED)
    refused(path, HeaderError, "affine='sform' or affine='qform'")
    assert volumes.read(path, modality="CT", affine="sform").grid.origin_um == (0.0, 0.0, -7000.0)
    assert volumes.read(path, modality="CT", affine="qform").grid.origin_um == (0.0, 0.0, 0.0)
    assert volumes.read_timelapse(path, modality="CT", affine="sform").grid.origin_um == (0.0, 0.0, -7000.0)


def test_qform_and_sform_that_differ_along_an_axis_of_one_slice(tmp_path):
    path = made(tmp_path / "v.nii", np.zeros((3, 4, 1), np.int16), sform=np.diag((1.0, 1.0, 5.0, 1.0)))
    refused(path, HeaderError, "qform and sform")


def test_a_difference_below_a_thousandth_of_a_voxel_is_none(tmp_path):
    near = np.eye(4)
    near[0, 3] = 5e-4
    assert volumes.read(made(tmp_path / "v.nii", sform=near), modality="CT").grid.shape == (5, 4, 3)


def test_no_affine(tmp_path):
    path = made(tmp_path / "v.nii", codes=(0, 0), pixdim=[1, 2, 3, 4, 0, 0, 0, 0])
    refused(path, HeaderError, "affine='pixdim'")
    refused(path, HeaderError, "no sform", affine="sform")
    grid = volumes.read(path, modality="CT", affine="pixdim").grid
    assert grid.spacing_um == (4000.0, 3000.0, 2000.0)
    np.testing.assert_array_equal(grid.axes, np.eye(3))


@pytest.mark.parametrize("bad", [0.0, -2.0, np.nan, np.inf])
def test_impossible_spacing(tmp_path, bad):
    pixdim = [1, 1, bad, 1, 0, 0, 0, 0]
    refused(made(tmp_path / "q.nii", codes=(1, 0), pixdim=pixdim), HeaderError, "above zero")
    sform = np.diag((1.0, bad, 1.0, 1.0))
    if bad != -2.0:
        refused(made(tmp_path / "s.nii", codes=(0, 1), sform=sform), HeaderError, "finite")


def test_a_mirrored_sform_is_legal(tmp_path):
    grid = volumes.read(
        made(tmp_path / "s.nii", codes=(0, 1), sform=np.diag((1.0, -2.0, 1.0, 1.0))), modality="CT"
    ).grid
    assert np.linalg.det(grid.axes) < 0
    assert grid.spacing_um == (1000.0, 2000.0, 1000.0)


def test_a_singular_and_a_sheared_direction(tmp_path):
    singular, sheared = np.eye(4), np.eye(4)
    singular[:3, 0] = singular[:3, 1]
    sheared[0, 1] = 0.2
    refused(made(tmp_path / "v.nii", codes=(0, 1), sform=singular), HeaderError, "singular")
    refused(made(tmp_path / "v.nii", codes=(0, 1), sform=sheared), HeaderError, "orthonormal")


def test_quaternions_that_are_no_rotation(tmp_path):
    refused(made(tmp_path / "v.nii", codes=(1, 0), quatern_b=0.9, quatern_c=0.9), HeaderError, "rotation")
    refused(made(tmp_path / "w.nii", codes=(1, 0), pixdim=[5, 1, 1, 1, 0, 0, 0, 0]), HeaderError, "rotation")


def test_a_qfac_of_zero_stands_for_one(tmp_path):
    grid = volumes.read(made(tmp_path / "v.nii", codes=(1, 0), pixdim=[0, 1, 1, 1, 0, 0, 0, 0]), modality="CT").grid
    assert np.linalg.det(grid.axes) > 0


@pytest.mark.parametrize(
    "dim",
    [[3, 3, -4, 5, 1, 1, 1, 1], [3, 3, 0, 5, 1, 1, 1, 1], [0, 3, 4, 5, 1, 1, 1, 1], [9, 3, 4, 5, 1, 1, 1, 1]],
)
def test_impossible_sizes(tmp_path, dim):
    assert refused(made(tmp_path / "v.nii", dim=dim), HeaderError, "impossible size").field == "dim"


def test_more_than_four_axes(tmp_path):
    path = made(tmp_path / "v.nii", np.zeros((2, 2, 2, 1, 3), np.int16))
    refused(path, HeaderError, "more than four axes")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_that_claims_terabytes(tmp_path, suffix):
    raw = made(tmp_path / "v.nii", dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]).read_bytes()
    path = tmp_path / f"huge{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    refused(path, VolumeFileError, "claims 54,000,000,000,352 bytes")


def test_a_header_that_says_less_than_the_file_holds(tmp_path):
    refused(made(tmp_path / "v.nii", dim=[3, 3, 4, 4, 1, 1, 1, 1]), VolumeFileError, "more than its header says")
    path = made(tmp_path / "m.nii", np.zeros((2, 2, 2, 3), np.int16), pixdim=[1] * 8)
    path.write_bytes(path.read_bytes() + b"12")
    with pytest.raises(VolumeFileError, match="2 bytes more"):
        volumes.read_timelapse(path, modality="CT")


@pytest.mark.parametrize(
    ("dtype", "what"),
    [([("R", "u1"), ("G", "u1"), ("B", "u1")], "RGB"), ("complex64", "complex"), ("complex128", "complex")],
)
def test_voxels_that_are_no_real_numbers(tmp_path, dtype, what):
    refused(made(tmp_path / "v.nii", np.zeros((2, 2, 2), dtype)), ContentError, "real numbers")


def test_an_unknown_or_contradicting_type(tmp_path):
    refused(made(tmp_path / "v.nii", datatype=77), HeaderError, "known type")
    refused(made(tmp_path / "v.nii", bitpix=8), HeaderError, "contradicts the datatype")


def test_voxels_inside_the_header(tmp_path):
    refused(made(tmp_path / "v.nii", vox_offset=10), HeaderError, "inside the header")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite(tmp_path, bad):
    voxels = np.ones((2, 3, 4), np.float32)
    voxels[0, 1, 2] = voxels[1, 2, 3] = bad
    path = made(tmp_path / "v.nii", voxels)
    assert refused(path, ContentError, "2 voxels are NaN or infinite").field == "voxels"
    volume = volumes.read(path, modality="CT", nonfinite="mask")
    np.testing.assert_array_equal(volume.mask(), np.isfinite(voxels).T)
    assert volume.array[0, 2, 1, 0] == 0
    assert np.isfinite(volume.array).all()


@pytest.mark.parametrize(("units", "error"), [(2, UnitError), (2 | 32, HeaderError)])
def test_a_movie_without_a_unit_of_time(tmp_path, units, error):
    path = made(tmp_path / "m.nii", np.zeros((2, 2, 2, 3), np.int16), xyzt_units=units, pixdim=[1] * 8)
    with pytest.raises(error, match=r"time"):
        volumes.read_timelapse(path, modality="CT")


def test_a_movie_whose_frames_have_no_interval(tmp_path):
    path = made(tmp_path / "m.nii", np.zeros((2, 2, 2, 3), np.int16), pixdim=[1, 1, 1, 1, 0, 0, 0, 0])
    with pytest.raises(HeaderError, match="interval"):
        volumes.read_timelapse(path, modality="CT")


def test_a_pair_of_files_is_refused(tmp_path):
    refused(made(tmp_path / "v.nii", magic=b"ni1"), VolumeFileError, "single NIfTI file")


def test_options_of_other_formats(tmp_path):
    path = made(tmp_path / "v.nii")
    layout = volumes.Layout(axes="ZYX", sizes=(5, 4, 3), spacing_um=(1, 1, 1))
    refused(path, HeaderError, "tiff alone", layout=layout)
