"""Modalities are open names; only what is surely a slip of the keyboard is refused."""

import pytest

from volumes.errors import ConfigError
from volumes.modality import KNOWN, UNKNOWN_COLOUR, modality


@pytest.mark.parametrize("known", list(KNOWN.values()))
def test_known_names_are_found_in_any_case(known):
    assert modality(known.name.upper()) == modality(f" {known.name.lower()} ") == known


@pytest.mark.parametrize(
    "name", ["OCT", "fMRI", "uCT", "MWIR", "SWI", "autofluorescence", "immunofluorescence", "Raman", "darkfield"]
)
def test_names_of_other_instruments_stand_for_themselves(name):
    assert modality(name).name == name
    assert modality(name).colour == UNKNOWN_COLOUR


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("MIR", "MRI"),
        ("PTE", "PET"),
        ("SWRI", "SWIR"),
        ("flourescence", "fluorescence"),
        ("fluoresence", "fluorescence"),
        ("brigthfield", "brightfield"),
        ("opticall", "optical"),
        ("label", "labels"),
    ],
)
def test_a_slip_is_refused_and_the_right_name_given(slip, meant):
    with pytest.raises(ConfigError, match=meant):
        modality(slip)


def test_an_empty_name_is_refused():
    with pytest.raises(ConfigError, match="empty"):
        modality("  ")
