"""Units of length and time: every spelling that files use, and none that is guessed."""

from pathlib import Path

import pytest

from volumes.errors import UnitError
from volumes.io import units

FILE = Path("specimen.nrrd")


@pytest.mark.parametrize(
    ("spelling", "um"),
    [
        ("um", 1.0),
        ("µm", 1.0),
        ("μm", 1.0),
        ("\\u00B5m", 1.0),
        ("micron", 1.0),
        ("microns", 1.0),
        ("Micrometer", 1.0),
        ("micrometres", 1.0),
        (' "microns" ', 1.0),
        ("mm", 1e3),
        ("millimeters", 1e3),
        ("cm", 1e4),
        ("m", 1e6),
        ("metres", 1e6),
        ("nm", 1e-3),
        ("nanometer", 1e-3),
        ("angstrom", 1e-4),
        ("Å", 1e-4),
    ],
)
def test_lengths(spelling, um):
    assert units.length_um(spelling, None, FILE, "unit") == um
    assert units.length_um(None, spelling, FILE, "unit") == um


@pytest.mark.parametrize(
    ("spelling", "seconds"),
    [("s", 1), ("sec", 1), ("seconds", 1), ("ms", 1e-3), ("us", 1e-6), ("μs", 1e-6), ("min", 60), ("hours", 3600)],
)
def test_times(spelling, seconds):
    assert units.time_s(spelling, FILE, "unit", "") == seconds


@pytest.mark.parametrize("nothing", [None, "", "pixel", "pixels", "voxel", "reference frame"])
def test_no_unit_is_refused_unless_it_is_stated(nothing):
    with pytest.raises(UnitError, match="unit='um'") as caught:
        units.length_um(nothing, None, FILE, "space units")
    assert caught.value.file == "specimen.nrrd"
    assert caught.value.field == "space units"
    assert units.length_um(nothing, "mm", FILE, "space units") == 1e3
    with pytest.raises(UnitError):
        units.time_s(nothing, FILE, "TimeIncrementUnit", "State it")


def test_an_unknown_unit_is_refused_wherever_it_stands():
    for said, stated in (("furlong", None), (None, "furlong"), ("furlong", "mm")):
        with pytest.raises(UnitError, match="known"):
            units.length_um(said, stated, FILE, "unit")


def test_a_stated_unit_that_contradicts_the_file_is_refused():
    assert units.length_um("micron", "µm", FILE, "unit") == 1.0
    with pytest.raises(UnitError, match="caller"):
        units.length_um("mm", "um", FILE, "unit")
