"""Which defaults a pair of modalities gets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import volumes
from registration.defaults import FALLBACK, TABLE, choose, family
from volumes.errors import ContentError

MODALITIES = ["fluorescence", "confocal", "light sheet", "brightfield", "optical", "phase", "SWIR", "CT", "MRI", "PET"]


def seen(modality, planes=4):
    return volumes.from_array(np.zeros((planes, 5, 6)), (1, 1, 1), modality=modality)


@pytest.mark.parametrize(("one", "other"), list(product(MODALITIES, MODALITIES)))
def test_the_order_of_the_two_does_not_matter(one, other):
    there, back = choose(seen(one), seen(other)), choose(seen(other), seen(one))
    assert there.registrar == back.registrar
    assert there.pair == back.pair
    assert (there.fixed, there.moving) == (back.moving, back.fixed)


def test_each_row_is_found_by_its_names_and_builds_a_registrar():
    for names, row in TABLE.items():
        one, other = [*names, *names][:2]
        choice = choose(seen(one), seen(other))
        assert choice.registrar is row.registrar
        assert hasattr(choice.registrar.build(), "register")
        assert set(row.contrasts) <= names


@pytest.mark.parametrize(("one", "other"), [("PET", "CT"), ("Raman", "MRI"), ("Raman", "Raman")])
def test_a_pair_without_a_row_falls_back_and_says_so(one, other):
    choice = choose(seen(one), seen(other))
    assert choice.registrar is FALLBACK.registrar
    assert choice.pair.startswith("any")
    assert (choice.fixed, choice.moving) == ("raw", "raw")


def test_a_picture_is_registered_as_a_projection():
    for fixed, moving in ((seen("SWIR", 1), seen("CT")), (seen("CT"), seen("SWIR", 1))):
        choice = choose(fixed, moving)
        assert choice.registrar.kind == "projection"
        assert "plane" in str(choice)


def test_the_channel_that_is_registered_decides():
    channels = [volumes.Channel("light", "brightfield"), volumes.Channel("cells", "fluorescence")]
    both = volumes.from_array(np.zeros((2, 4, 5, 6)), (1, 1, 1), modality="optical", channels=channels)
    assert family(both) == "brightfield"
    assert family(both, "cells") == family(both, 1) == "fluorescence"
    assert choose(both, seen("CT"), "cells") == choose(seen("fluorescence"), seen("CT"))
    with pytest.raises(ContentError, match="no such channel"):
        family(both, 2)
