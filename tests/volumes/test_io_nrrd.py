"""NRRD against SimpleITK and pynrrd: world, unit, voxels, and headers that are refused."""

import gzip

import nrrd
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

import volumes
from volumes.errors import ContentError, HeaderError, UnitError, VolumeFileError

FIELDS = {
    "type": "uint8",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 3 2",
    "space directions": "(1,0,0) (0,2,0) (0,0,3)",
    "space origin": "(10,20,30)",
    "space units": '"um" "um" "um"',
    "endian": "little",
    "encoding": "raw",
}
VOXELS = np.arange(24, dtype=np.uint8)
BYTES = VOXELS.tobytes()


def made(path, voxels=BYTES, **fields):
    """A NRRD file of these fields (underscores for spaces; None leaves one out), with these bytes after."""
    said = FIELDS | {name.replace("_", " "): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in said.items() if value is not None]
    path.write_bytes(("NRRD0004\n" + "\n".join(lines) + "\n\n").encode() + voxels)
    return path


def refused(path, error, match, **how):
    with pytest.raises(error, match=match) as caught:
        volumes.read(path, modality="CT", **how)
    assert caught.value.file == str(path)
    return caught.value


def test_the_plain_case(tmp_path):
    volume = volumes.read(made(tmp_path / "v.nrrd"), modality="fluorescence")
    np.testing.assert_array_equal(volume.array[0], VOXELS.reshape(2, 3, 4))
    assert volume.grid.spacing_um == (3.0, 2.0, 1.0)
    assert volume.grid.origin_um == (30.0, 20.0, 10.0)


@pytest.mark.parametrize("name", ["zbrain-tERK-8bit_xyz5um", "zf_lightsheet_ref_2016-10-18fish1_pre_xyz5um"])
def test_real_files_in_microns(data, name):
    path = data / "registration" / f"{name}.nrrd"
    image = SimpleITK.ReadImage(str(path))
    volume = volumes.read(path, modality="fluorescence")
    np.testing.assert_array_equal(volume.array[0], SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.grid.spacing_um, image.GetSpacing()[::-1])
    np.testing.assert_allclose(volume.grid.origin_um, image.GetOrigin()[::-1])
    assert volume.data.dtype.isnative


def test_a_real_file_without_a_unit_needs_one(data):
    path = data / "registration" / "bigstream_fix_lowres.nrrd"
    assert "unit='um'" in refused(path, UnitError, "no unit").remedy
    volume = volumes.read(path, modality="fluorescence", unit="um")
    assert volume.grid.spacing_um == (1.68, 1.84, 1.84)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(volume.array[0], expected)


@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "RAS"]
)
def test_spaces_lie_where_simpleitk_says(tmp_path, rng, space):
    turn = Rotation.from_rotvec([0.2, 0.3, -0.4]).as_matrix() * (1.0, 2.0, 3.0)
    rows = " ".join(f"({','.join(map(str, column))})" for column in turn.T)
    path = made(tmp_path / "v.nrrd", space=space, space_directions=rows)
    image, volume = SimpleITK.ReadImage(str(path)), volumes.read(path, modality="CT")
    index = rng.integers(0, volume.grid.shape, (10, 3))
    itk = [image.TransformIndexToPhysicalPoint(tuple(map(int, i[::-1])))[::-1] for i in index]
    np.testing.assert_allclose(volume.grid.to_world(index), itk, atol=1e-9)


def test_a_space_without_anatomy_is_lps_as_for_itk(tmp_path):
    path = made(tmp_path / "v.nrrd", space=None, space_dimension="3", space_origin=None)
    volume = volumes.read(path, modality="CT")
    np.testing.assert_allclose(volume.grid.axes, np.eye(3))
    assert volume.grid.origin_um == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("space", ["right-anterior-superior-time", "left-anterior"])
def test_an_unknown_space_is_refused(tmp_path, space):
    refused(made(tmp_path / "v.nrrd", space=space), HeaderError, None)


def test_space_units_win_over_units(tmp_path):
    path = made(tmp_path / "v.nrrd", units='"mm" "mm" "mm"')
    assert volumes.read(path, modality="CT").grid.spacing_um == (3.0, 2.0, 1.0)
    path = made(tmp_path / "v.nrrd", units='"mm" "mm" "mm"', space_units=None)
    assert volumes.read(path, modality="CT").grid.spacing_um == (3000.0, 2000.0, 1000.0)
    refused(made(tmp_path / "v.nrrd"), UnitError, "caller", unit="mm")
    refused(made(tmp_path / "v.nrrd", space_units='"um" "um" "mm"'), UnitError, "different units")


def test_spacings_alone(tmp_path):
    plain = {"space": None, "space_directions": None, "space_origin": None, "space_units": None}
    path = made(tmp_path / "v.nrrd", spacings="1 2 3", units='"um" "um" "um"', **plain)
    assert volumes.read(path, modality="CT").grid.spacing_um == (3.0, 2.0, 1.0)
    for bad in ("1 0 3", "1 -2 3"):
        path = made(tmp_path / "v.nrrd", spacings=bad, units='"um" "um" "um"', **plain)
        refused(path, HeaderError, "above zero")
    refused(made(tmp_path / "v.nrrd", units='"um" "um" "um"', **plain), HeaderError, "no voxel size")


@pytest.mark.parametrize(
    ("directions", "match"),
    [
        ("(0,0,0) (0,2,0) (0,0,3)", "zero or not finite"),
        ("(1,0,0) (2,0,0) (0,0,3)", "singular"),
        ("(1,0,0) (0.5,2,0) (0,0,3)", "orthonormal"),
        ("(nan,0,0) (0,2,0) (0,0,3)", "finite"),
        ("(1,0) (0,2) (0,3)", None),
        ("(1,0,0) (0,2,0)", None),
        ("one two three", None),
    ],
)
def test_impossible_directions(tmp_path, directions, match):
    refused(made(tmp_path / "v.nrrd", space_directions=directions), HeaderError, match)


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"sizes": "4 -3 2"}, HeaderError, "impossible size"),
        ({"sizes": "4 3"}, HeaderError, None),
        ({"sizes": "400000 300000 200000"}, VolumeFileError, "claims 24,000,000,000,000,000 bytes"),
        ({"sizes": "4 3 1"}, VolumeFileError, "12 bytes more"),
        ({"type": "block"}, ContentError, "blocks"),
        ({"type": "quaternion"}, HeaderError, "known type"),
        ({"type": "uint16", "endian": None, "sizes": "4 3 1"}, HeaderError, "little or big"),
        ({"encoding": "ascii"}, HeaderError, "not read"),
        ({"encoding": None}, HeaderError, "missing"),
        ({"data_file": "../elsewhere.raw"}, HeaderError, "apart from the header"),
        ({"byte_skip": "8"}, HeaderError, "apart from the header"),
        ({"space_origin": "(1,2)"}, HeaderError, None),
        ({"dimension": "2", "sizes": "6 4"}, HeaderError, None),
    ],
)
def test_headers_that_are_refused(tmp_path, fields, error, match):
    refused(made(tmp_path / "v.nrrd", **fields), error, match)


@pytest.mark.parametrize("kind", ["list", "vector"])
@pytest.mark.parametrize("first", [True, False])
def test_an_axis_of_channels(tmp_path, kind, first):
    order = [kind, "domain", "domain", "domain"] if first else ["domain", "domain", "domain", kind]
    rows = "(1,0,0) (0,2,0) (0,0,3)"
    path = made(
        tmp_path / "v.nrrd",
        np.arange(48, dtype=np.uint8).tobytes(),
        dimension="4",
        sizes="2 4 3 2" if first else "4 3 2 2",
        kinds=" ".join(order),
        space_directions=f"none {rows}" if first else f"{rows} none",
    )
    volume = volumes.read(path, modality="fluorescence")
    flat = np.arange(48)
    expected = flat.reshape(24, 2).T.reshape(2, 2, 3, 4) if first else flat.reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(volume.array, expected)
    assert [c.name for c in volume.channels] == ["fluorescence-0", "fluorescence-1"]
    coloured = made(
        tmp_path / "c.nrrd",
        bytes(72),
        dimension="4",
        sizes="3 4 3 2",
        kinds="RGB-color domain domain domain",
        space_directions=f"none {rows}",
    )
    refused(coloured, ContentError, "rgb-color")


def test_nan_is_counted_or_masked(tmp_path):
    voxels = np.ones(24, np.float32)
    voxels[[3, 7]] = np.nan, np.inf
    path = made(tmp_path / "v.nrrd", voxels.astype(">f4").tobytes(), type="float", endian="big")
    refused(path, ContentError, "2 voxels")
    volume = volumes.read(path, modality="CT", nonfinite="mask")
    assert int((~volume.mask()).sum()) == 2
    assert volume.array.max() == 1.0


def test_a_movie_is_a_single_frame(tmp_path):
    movie = volumes.read_timelapse(made(tmp_path / "v.nrrd"), modality="CT")
    assert len(movie) == 1
    assert movie[0].array.sum() == VOXELS.sum()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32", "float64", "bool", "float16"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_is_written_is_read_alike_by_all(tmp_path, rng, dtype, count):
    direction = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    voxels = rng.integers(0, 2, (count, 2, 3, 4)).astype(dtype)
    volume = volumes.from_array(
        voxels, (3.0, 0.1, 1 / 3), modality="CT", origin_um=(1e6, -7.123456789, 0.1), direction=direction
    )
    path = tmp_path / "v.nrrd"
    volumes.write(volume, path)
    again = volumes.read(path, modality="CT")
    np.testing.assert_allclose(again.grid.matrix, volume.grid.matrix, rtol=1e-12)
    np.testing.assert_array_equal(again.array, voxels)
    theirs, header = nrrd.read(str(path), index_order="C")
    np.testing.assert_array_equal(theirs.reshape(voxels.shape), voxels)
    assert header["space units"] == ["um"] * 3
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(image.GetOrigin()[::-1], volume.grid.origin_um, rtol=1e-12)
    np.testing.assert_allclose(image.GetSpacing()[::-1], volume.grid.spacing_um, rtol=1e-9)


def test_equal_content_gives_equal_bytes(tmp_path):
    volume = volumes.read(made(tmp_path / "v.nrrd"), modality="CT")
    volumes.write(volume, tmp_path / "a.nrrd")
    volumes.write(volume, tmp_path / "b.nrrd")
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()


def test_gzip_is_read_to_its_checksum(tmp_path):
    packed = bytearray(gzip.compress(VOXELS.tobytes()))
    assert volumes.read(made(tmp_path / "v.nrrd", bytes(packed), encoding="gzip"), modality="CT").array.sum() == 276
    packed[-6] ^= 1
    refused(made(tmp_path / "v.nrrd", bytes(packed), encoding="gzip"), VolumeFileError, "CRC")
    refused(made(tmp_path / "v.nrrd", bytes(packed[:-12]), encoding="gzip"), VolumeFileError, "truncated")
