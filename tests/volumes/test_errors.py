"""An error says where, what, which value and what to do, also after a trip between processes."""

import pickle

import pytest

from volumes import errors
from volumes.errors import FusetrackError, HeaderError, UnitError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FusetrackError)]


def test_text_holds_file_field_problem_value_and_remedy_in_this_order():
    error = HeaderError("must be above zero", file="a.nii", field="spacing", value=-1.0, remedy="State it")
    assert str(error) == "a.nii: spacing: must be above zero (found -1.0). State it"


def test_what_is_unknown_is_left_out():
    assert str(HeaderError("is broken")) == "is broken"
    assert str(HeaderError("is broken", field="dim", value=0)) == "dim: is broken (found 0)"


def test_a_long_value_is_cut():
    text = str(HeaderError("is broken", value="x" * 5000))
    assert len(text) < 200
    assert "…" in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_caught_as_the_base_and_survives_pickling(kind):
    error = kind("is broken", file="a.tif", field="f", value=(1, 2), remedy="Mend it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes: dask sends errors so
    assert isinstance(again, FusetrackError)
    assert (type(again), str(again)) == (kind, str(error))
    assert (again.file, again.field, again.value, again.remedy) == ("a.tif", "f", (1, 2), "Mend it")


def test_a_missing_unit_is_a_header_fault():
    assert issubclass(UnitError, HeaderError)
