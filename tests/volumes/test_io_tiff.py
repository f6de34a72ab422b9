"""TIFF: pages by a stated layout, OME-XML and ImageJ, held against tifffile; and stacks that are refused."""

import struct
import zlib

import numpy as np
import pytest
import tifffile

import volumes
from volumes import Channel, Layout
from volumes.errors import ContentError, HeaderError, UnitError, VolumeFileError

CHO = Layout(axes="TZYX", sizes=(20, 5, 443, 512), spacing_um=(1.0, 0.202, 0.202), dt_s=570.0)
SMALL = Layout(axes="ZYX", sizes=(4, 5, 6), spacing_um=(2, 1, 1))


@pytest.fixture
def stack(rng):
    return rng.integers(0, 200, (4, 5, 6)).astype(np.uint8)


def refused(path, error, match, **how):
    with pytest.raises(error, match=match) as caught:
        volumes.read(path, modality="fluorescence", **how)
    assert caught.value.file == str(path)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("name", ["Fluo-N3DH-CHO_02_img.tif", "Fluo-N3DH-CHO_02_ERR_SEG.tif"])
def test_a_real_movie_of_plain_pages(data, name):
    """The second file's own description (Z=20, C=5) is wrong: with a layout, the pages are what counts."""
    path = data / "tracking" / "movies" / name
    movie = volumes.read_timelapse(path, modality="fluorescence", layout=CHO)
    assert len(movie) == 20
    assert movie.dt_s == 570.0
    assert movie.grid.spacing_um == (1.0, 0.202, 0.202)
    with tifffile.TiffFile(path) as tif:
        for t in (0, 7, 19):
            expected = np.stack([tif.pages[5 * t + z].asarray() for z in range(5)])
            np.testing.assert_array_equal(movie[t].array[0], expected)
    assert movie[7].time_s == 7 * 570.0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sizes": (20, 4, 443, 512)}, "100 pages, T=20 × Z=4 are 80"),
        ({"sizes": (20, 5, 512, 443)}, r"pages are \(443, 512\)"),
        ({"axes": "ZTXY"}, "end in YX|pages are"),
    ],
)
def test_a_layout_that_is_not_the_files(data, change, match):
    path = data / "tracking" / "movies" / "Fluo-N3DH-CHO_02_img.tif"
    with pytest.raises(HeaderError, match=match) as caught:
        volumes.read_timelapse(path, modality="fluorescence", layout=CHO.model_copy(update=change))
    assert caught.value.file == str(path)


@pytest.mark.parametrize("axes", ["TCZYX", "ZCTYX", "CTZYX", "TZCYX"])
def test_every_order_of_pages(tmp_path, rng, axes):
    count = {"T": 2, "C": 3, "Z": 4}
    voxels = rng.integers(0, 255, (*(count[a] for a in axes[:3]), 5, 6)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", voxels.reshape(-1, 5, 6), photometric="minisblack", metadata=None)
    layout = Layout(axes=axes, sizes=voxels.shape, spacing_um=(3, 2, 1), dt_s=2.0)
    movie = volumes.read_timelapse(tmp_path / "v.tif", modality="fluorescence", layout=layout)
    expected = voxels.transpose([axes.index(a) for a in "TCZYX"])
    for t in range(2):
        np.testing.assert_array_equal(movie[t].array, expected[t])
    assert [c.name for c in movie.channels] == [f"fluorescence-{i}" for i in range(3)]


def test_a_picture_and_one_frame_are_volumes(tmp_path, stack):
    tifffile.imwrite(tmp_path / "p.tif", stack[0], photometric="minisblack")
    picture = Layout(axes="YX", sizes=(5, 6), spacing_um=(1, 1, 1))
    assert volumes.read(tmp_path / "p.tif", modality="optical", layout=picture).grid.shape == (1, 5, 6)
    tifffile.imwrite(tmp_path / "v.tif", stack, photometric="minisblack")
    frame = Layout(axes="TZYX", sizes=(1, 4, 5, 6), spacing_um=(1, 1, 1), dt_s=1)
    np.testing.assert_array_equal(volumes.read(tmp_path / "v.tif", modality="optical", layout=frame).array[0], stack)
    movie = Layout(axes="TYX", sizes=(4, 5, 6), spacing_um=(1, 1, 1), dt_s=1)
    refused(tmp_path / "v.tif", HeaderError, "read_timelapse", layout=movie)


def test_without_a_layout_a_plain_stack_is_refused(data):
    for name in ("tracking/movies/Fluo-N3DH-CHO_02_img.tif", "segmentation/cells3d/nuclei.tif"):
        assert "layout=Layout(" in refused(data / name, UnitError, "voxel size").remedy


def test_a_layouts_lengths_are_in_um(tmp_path, stack):
    tifffile.imwrite(tmp_path / "v.tif", stack, photometric="minisblack")
    refused(tmp_path / "v.tif", UnitError, "caller", layout=SMALL, unit="mm")


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_both_byte_orders_come_out_native(tmp_path, rng, byteorder):
    voxels = rng.integers(0, 60000, (4, 5, 6)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", voxels, byteorder=byteorder, photometric="minisblack")
    volume = volumes.read(tmp_path / "v.tif", modality="optical", layout=SMALL)
    assert volume.data.dtype.isnative
    np.testing.assert_array_equal(volume.array[0], voxels)


def ome(path, voxels, axes, **metadata):
    """An OME-TIFF as tifffile writes it."""
    tifffile.imwrite(path, voxels, ome=True, photometric="minisblack", metadata={"axes": axes} | metadata)
    return path


SIZES = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}


@pytest.mark.parametrize(("unit", "um"), [("µm", 1.0), ("nm", 1e-3), ("mm", 1e3)])
def test_ome_tiff_of_another_program(tmp_path, rng, unit, um):
    voxels = rng.integers(0, 99, (3, 2, 4, 5, 6)).astype(np.uint16)
    units = {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    path = ome(
        tmp_path / "v.ome.tif",
        voxels,
        "TCZYX",
        **SIZES,
        **units,
        TimeIncrement=1.5,
        TimeIncrementUnit="min",
        Channel={"Name": ["GFP", "RFP"], "EmissionWavelength": [509, 584]},
    )
    movie = volumes.read_timelapse(path, modality="fluorescence")
    np.testing.assert_allclose(movie.grid.spacing_um, (2 * um, 0.25 * um, 0.5 * um))
    assert movie.times_s == (0.0, 90.0, 180.0)
    assert [(c.name, c.wavelength_nm) for c in movie.channels] == [("GFP", 509.0), ("RFP", 584.0)]
    for t, frame in enumerate(movie):
        np.testing.assert_array_equal(frame.array, voxels[t])


@pytest.mark.parametrize("axes", ["CTZYX", "ZTCYX"])
def test_ome_tiff_whose_planes_lie_in_another_order(tmp_path, rng, axes):
    size = {"T": 2, "C": 3, "Z": 4}
    voxels = rng.integers(0, 99, (*(size[a] for a in axes[:3]), 5, 6)).astype(np.uint8)
    movie = volumes.read_timelapse(
        ome(tmp_path / "v.ome.tif", voxels, axes, **SIZES, TimeIncrement=1.0), modality="fluorescence"
    )
    expected = voxels.transpose([axes.index(a) for a in "TCZYX"])
    for t, frame in enumerate(movie):
        np.testing.assert_array_equal(frame.array, expected[t])


def test_ome_tiff_that_does_not_say_enough(tmp_path, stack):
    without = {k: v for k, v in SIZES.items() if k != "PhysicalSizeZ"}
    path = ome(tmp_path / "z.ome.tif", stack, "ZYX", **without)
    assert refused(path, UnitError, "voxel size").field == "PhysicalSizeZ"
    assert volumes.read(path, modality="optical", layout=SMALL).grid.spacing_um == (2.0, 1.0, 1.0)
    path = ome(tmp_path / "p.ome.tif", stack, "ZYX", **SIZES, PhysicalSizeZUnit="pixel")
    refused(path, UnitError, "no unit")
    path = ome(tmp_path / "t.ome.tif", stack, "TYX", **SIZES)
    with pytest.raises(UnitError, match="frame interval"):
        volumes.read_timelapse(path, modality="optical")
    path = ome(tmp_path / "u.ome.tif", stack, "ZYX", **SIZES)
    refused(path, UnitError, "caller", unit="mm")


def test_ome_xml_that_contradicts_the_pages(tmp_path, stack):
    path = ome(tmp_path / "v.ome.tif", stack, "ZYX", **SIZES)
    raw = path.read_bytes()
    for said in (b"7", b"3"):
        path.write_bytes(raw.replace(b'SizeZ="4"', b'SizeZ="%s"' % said))
        refused(path, HeaderError, "4 pages|cannot be read")
    path.write_bytes(raw.replace(b"<Pixels", b"<Pixel "))
    refused(path, HeaderError, "OME-XML|described|cannot")


@pytest.mark.parametrize("value", ["0.0", "-1.", "nan"])
def test_impossible_physical_sizes(tmp_path, stack, value):
    path = ome(tmp_path / "v.ome.tif", stack, "ZYX", **SIZES)
    raw = path.read_bytes()
    assert b'PhysicalSizeZ="2.0"' in raw
    path.write_bytes(raw.replace(b'PhysicalSizeZ="2.0"', f'PhysicalSizeZ="{value}"'.encode()))
    refused(path, HeaderError, "above zero|not finite|cannot be read")


def imagej(path, voxels, axes="ZYX", resolution=(4.0, 2.0), **said):
    tifffile.imwrite(path, voxels, imagej=True, resolution=resolution, metadata={"axes": axes} | said)
    return path


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej(tmp_path, rng, unit):
    voxels = rng.integers(0, 99, (2, 4, 3, 5, 6)).astype(np.uint16)
    path = imagej(tmp_path / "v.tif", voxels, "TZCYX", unit=unit, spacing=2.5, finterval=30.0)
    movie = volumes.read_timelapse(path, modality="fluorescence")
    assert movie.grid.spacing_um == (2.5, 0.5, 0.25)
    assert movie.times_s == (0.0, 30.0)
    for t, frame in enumerate(movie):
        np.testing.assert_array_equal(frame.array, voxels[t].transpose(1, 0, 2, 3))


def test_imagej_that_does_not_say_enough(tmp_path, stack):
    refused(imagej(tmp_path / "a.tif", stack, spacing=1.0), UnitError, "no unit")
    refused(imagej(tmp_path / "b.tif", stack, unit="um"), UnitError, "no slice spacing")
    refused(imagej(tmp_path / "c.tif", stack, unit="pixel", spacing=1.0), UnitError, "no unit of length")
    path = imagej(tmp_path / "d.tif", stack, "TYX", unit="um", spacing=1.0)
    with pytest.raises(UnitError, match="interval"):
        volumes.read_timelapse(path, modality="optical")


def test_colours_and_floats_that_are_not_finite(tmp_path, rng):
    tifffile.imwrite(tmp_path / "c.tif", rng.integers(0, 9, (4, 5, 6, 3)).astype(np.uint8), photometric="rgb")
    refused(tmp_path / "c.tif", ContentError, "colours", layout=SMALL)
    tifffile.imwrite(tmp_path / "w.tif", np.zeros((4, 5, 6), np.uint8), photometric="miniswhite")
    refused(tmp_path / "w.tif", ContentError, "inverted", layout=SMALL)
    voxels = np.ones((4, 5, 6), np.float32)
    voxels[1, 2, 3] = np.nan
    tifffile.imwrite(tmp_path / "n.tif", voxels, photometric="minisblack")
    refused(tmp_path / "n.tif", ContentError, "1 voxels", layout=SMALL)
    volume = volumes.read(tmp_path / "n.tif", modality="CT", layout=SMALL, nonfinite="mask")
    assert not volume.mask()[1, 2, 3]
    assert volume.mask().sum() == 119
    tifffile.imwrite(tmp_path / "z.tif", voxels.astype(np.complex64), photometric="minisblack")
    refused(tmp_path / "z.tif", ContentError, "real numbers", layout=SMALL)


def test_a_page_that_claims_more_than_its_bytes(tmp_path, stack):
    """A picture of 60000 × 60000 from a strip of a few bytes: refused before memory is set aside."""
    packed = zlib.compress(stack[0].tobytes())
    tags = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 60000), (279, 4, 1, len(packed))]
    body = packed + bytes(len(packed) % 2)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    (tmp_path / "v.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory)
    layout = Layout(axes="YX", sizes=(60000, 60000), spacing_um=(1, 1, 1))
    refused(tmp_path / "v.tif", VolumeFileError, "claims 3,600,000,000 bytes", layout=layout)


def test_any_flipped_bit_of_deflated_pages_is_caught(tmp_path, stack):
    volumes.write(volumes.from_array(stack, (1, 1, 1), modality="CT"), tmp_path / "v.tif")
    whole = (tmp_path / "v.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "v.tif") as tif:
        start, count = tif.pages[1].dataoffsets[0], tif.pages[1].databytecounts[0]
    for at in range(start, start + count):
        (tmp_path / "v.tif").write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        try:
            found = volumes.read(tmp_path / "v.tif", modality="CT")
        except VolumeFileError:
            continue
        np.testing.assert_array_equal(found.array[0], stack, err_msg="more than unused bits were flipped")


def test_pages_of_differing_types_are_refused(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "v.tif") as tif:
        for i, plane in enumerate(stack):
            tif.write(plane.astype(np.uint16 if i == 2 else np.uint8), photometric="minisblack", metadata=None)
    refused(tmp_path / "v.tif", HeaderError, "differ in type", layout=SMALL)


def test_a_strip_that_is_not_there(tmp_path, stack):
    tifffile.imwrite(tmp_path / "v.tif", stack, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "v.tif", mode="r+") as tif:
        tif.pages[2].tags["StripByteCounts"].overwrite(0)
    refused(tmp_path / "v.tif", VolumeFileError, "not whole|StripByteCounts|claims", layout=SMALL)


def test_a_compression_that_needs_another_package_says_so(data):
    path = data / "tracking" / "movies" / "tgmm-mini.tif"
    layout = Layout(axes="TZYX", sizes=(31, 29, 101, 151), spacing_um=(1, 1, 1), dt_s=1.0)
    movie = volumes.read_timelapse(path, modality="labels", layout=layout)
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(VolumeFileError, match="imagecodecs"):
            movie[0]
    else:
        assert movie[0].array.max() > 0


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_alike_by_all(tmp_path, rng, count, channels):
    voxels = rng.integers(0, 60000, (count, channels, 3, 5, 6)).astype(np.uint16)
    described = (Channel("GFP <1>", "fluorescence", 509.5), Channel("Rouge é", "SWIR", None, "FF0000"))[:channels]
    times = (5.0, 7.5, 19.25)[:count]
    frames = [
        volumes.from_array(
            v, (2.0, 0.1, 1 / 3), modality="x", origin_um=(1.5, -2, 1e5 + 0.1), channels=described, time_s=t
        )
        for v, t in zip(voxels, times, strict=True)
    ]
    movie = volumes.TimeLapse.of(frames)
    path = tmp_path / "v.ome.tif"
    volumes.write(movie if count > 1 else frames[0], path)
    again = volumes.read_timelapse(path, modality="fluorescence")
    assert again.grid == movie.grid
    assert again.times_s == times
    assert [(c.name, c.wavelength_nm, c.colour) for c in again.channels] == [
        (c.name, c.wavelength_nm, c.colour) for c in described
    ]
    for a, b in zip(again, frames, strict=True):
        np.testing.assert_array_equal(a.array, b.array)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        series = tif.series[0]
        assert series.get_axes(squeeze=False).rstrip("S") == "TCZYX"
        np.testing.assert_array_equal(series.asarray().reshape(voxels.shape), voxels)
        said = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert said["PhysicalSizeX"] == 1 / 3
    assert said["PhysicalSizeXUnit"] == "µm"


def test_ome_xml_holds_to_the_schema_as_far_as_names_go(tmp_path, stack):
    volumes.write(volumes.from_array(stack, (2, 1, 1), modality="optical"), tmp_path / "v.ome.tif")
    with tifffile.TiffFile(tmp_path / "v.ome.tif") as tif:
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["DimensionOrder"] == "XYZCT"
    assert pixels["Type"] == "uint8"
    assert pixels["TiffData"] == {"IFD": 0, "PlaneCount": 4}
    assert [p["PositionZ"] for p in pixels["Plane"]] == [0.0, 2.0, 4.0, 6.0]


def test_stage_positions_of_other_programs_are_no_origin(tmp_path, stack):
    volumes.write(volumes.from_array(stack, (2, 1, 1), modality="optical", origin_um=(9, 8, 7)), tmp_path / "v.ome.tif")
    assert volumes.read(tmp_path / "v.ome.tif", modality="optical").grid.origin_um == (9.0, 8.0, 7.0)
    raw = (tmp_path / "v.ome.tif").read_bytes()
    (tmp_path / "v.ome.tif").write_bytes(raw.replace(b'Creator="fusetrack"', b'Creator="stagetrak"'))
    assert volumes.read(tmp_path / "v.ome.tif", modality="optical").grid.origin_um == (0.0, 0.0, 0.0)


def test_equal_content_gives_equal_bytes(tmp_path, stack):
    volume = volumes.from_array(stack, (2, 1, 1), modality="optical")
    volumes.write(volume, tmp_path / "a.tif")
    volumes.write(volume, tmp_path / "b.tif")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_labels_are_kept_or_refused(tmp_path):
    labels = np.array([[[0, 1, 70000]]], np.int64)
    volumes.write(volumes.from_array(labels, (1, 1, 1), modality="labels"), tmp_path / "v.tif")
    again = volumes.read(tmp_path / "v.tif", modality="labels")
    assert again.data.dtype == np.uint32
    np.testing.assert_array_equal(again.array[0], labels)
    for bad in (np.array([[[-1, 1 << 32]]]), np.array([[[0, (1 << 63) + 1]]], np.uint64)):
        with pytest.raises(ContentError, match="without a loss"):
            volumes.write(volumes.from_array(bad, (1, 1, 1), modality="labels"), tmp_path / "w.tif")
    assert not (tmp_path / "w.tif").exists()


def test_a_type_is_found_over_all_frames(tmp_path):
    frames = np.zeros((2, 1, 1, 2), np.int64)
    frames[1, 0, 0, 1] = 300
    movie = volumes.TimeLapse.from_array(frames, (1, 1, 1), dt_s=1, modality="labels")
    volumes.write(movie, tmp_path / "v.tif")
    assert volumes.read_timelapse(tmp_path / "v.tif", modality="labels")[1].array.max() == 300


def test_frames_of_differing_types_are_never_cast_with_a_loss(tmp_path):
    small = volumes.from_array(np.ones((1, 2, 2), np.uint8), (1, 1, 1), modality="CT")
    odd = volumes.from_array(np.full((1, 2, 2), np.nan, np.float32), (1, 1, 1), modality="CT", time_s=1)
    with pytest.raises(ContentError, match="would change"):
        volumes.write(volumes.TimeLapse.of([small, odd]), tmp_path / "v.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_direction_is_not_dropped(tmp_path, stack):
    flipped = ((1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))
    with pytest.raises(HeaderError, match=r"\.ome\.zarr"):
        volumes.write(volumes.from_array(stack, (1, 1, 1), modality="CT", direction=flipped), tmp_path / "v.tif")


def test_a_mask_that_cannot_be_kept_is_said(tmp_path, stack, caplog):
    valid = np.ones(stack.shape, bool)
    valid[0] = False
    volume = volumes.from_array(stack, (1, 1, 1), modality="CT", valid=valid)
    for name in ("v.tif", "v.nii", "v.nrrd"):
        caplog.clear()
        volumes.write(volume, tmp_path / name)
        assert "keeps no mask" in caplog.text
