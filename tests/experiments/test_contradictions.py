"""Each way in which the parts of an experiment contradict each other, alone and in its own words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from experiments.config import Experiment
from experiments.contradictions import contradictions, of_phantom
from experiments.entries import Cells, Displaced, Simulated, Source
from phantom.config import PhantomConfig

BASE = Experiment.model_validate(
    {
        "name": "x",
        "sources": {"a": {"file": "a", "modality": "CT"}, "b": {"file": "b", "modality": "CT"}},
        "register": {"kind": "rigid"},
        "fuse": {"kind": "lpf"},
        "segment": {"kind": "watershed"},
        "link": {"kind": "constraint"},
        "truth_labels": {"file": "c", "modality": "labels"},
    }
)
A, B = BASE.sources["a"], BASE.sources["b"]
TURN = Displaced(rotation_deg=(1, 0, 0), shift_um=(0, 0, 0))
TABLE = Cells.model_validate({"file": "cells.csv"})
NOTHING = {"sources": {}, "register_": None, "fuse": None, "segment": None, "link": None, "truth_labels": None}
NO_CELLS = {"segment": None, "link": None, "truth_labels": None}

CASES: dict[str, tuple[Mapping[str, object], list[str]]] = {
    "nothing": (NOTHING, ["needs at least one entry in sources, or cells, or a phantom"]),
    "a table alone is enough": (NOTHING | {"cells": TABLE}, []),
    "another reference": ({"reference": "pet"}, ["reference 'pet' is not among the sources ['a', 'b']"]),
    "the second as reference": ({"reference": "b"}, []),
    "the reference moved": (
        {"sources": {"a": A.model_copy(update={"displaced": TURN}), "b": B}},
        ["the reference 'a' cannot be displaced; displace another source"],
    ),
    "another moved": ({"sources": {"a": A, "b": B.model_copy(update={"displaced": TURN})}}, []),
    "a named reference moved": (
        {"sources": {"a": A, "b": B.model_copy(update={"displaced": TURN})}, "reference": "b"},
        ["the reference 'b' cannot be displaced; displace another source"],
    ),
    "a moved movie": (
        {"sources": {"a": A, "b": B.model_copy(update={"displaced": TURN, "movie": True})}},
        ["displaced moves a single volume, not a movie"],
    ),
    "one source to register": ({"sources": {"a": A}, "fuse": None}, ["register needs at least two sources"]),
    "one source to fuse": ({"sources": {"a": A}, "register_": None}, ["fuse needs at least two sources"]),
    "segment what is not there": (
        {"segment_on": "pet"},
        ["segment_on 'pet' is neither 'fused' nor among ['a', 'b']"],
    ),
    "segment what is not fused": (
        {"segment_on": "fused", "fuse": None},
        ["segment_on is 'fused', but there is no fuse stage"],
    ),
    "segment a table": (
        NOTHING | {"cells": TABLE, "segment": BASE.segment},
        ["segment needs a source", "cells come either from a table (cells) or from segment, not from both"],
    ),
    "cells from two places": (
        {"cells": TABLE},
        ["cells come either from a table (cells) or from segment, not from both"],
    ),
    "link nothing": (NO_CELLS | {"link": BASE.link}, ["link needs segment or cells"]),
    "link a table": (NO_CELLS | {"link": BASE.link, "cells": TABLE}, []),
    "numbers of no labels": (
        {"truth_labels": None, "truth_follows_cells": True},
        ["truth_follows_cells needs truth_labels"],
    ),
    "truth of nothing": ({"segment": None, "link": None}, ["truth_labels needs segment"]),
}


def test_the_whole_is_consistent() -> None:
    assert [*of_phantom(BASE), *contradictions(BASE)] == []


@pytest.mark.parametrize("case", CASES)
def test_each_contradiction_is_told_once_and_no_other(case: str) -> None:
    change, problems = CASES[case]
    assert [*contradictions(BASE.model_copy(update=change))] == problems


INSTRUMENT = {"kind": "light_sheet", "shape": (8, 16, 16), "spacing_um": (2.0, 1.0, 1.0)}
PHANTOM = PhantomConfig.model_validate(
    {
        "name": "p",
        "anatomy": {"kind": "embryo"},
        "cells": {"count": 4},
        "instruments": {"one": INSTRUMENT, "two": INSTRUMENT},
    }
)
BRINGS = "phantom brings its own sources and truth: leave out sources, cells, truth_labels, truth_follows_cells"
PHANTOM_CASES: dict[str, tuple[Mapping[str, object], tuple[str, ...] | None, list[str]]] = {
    "all its instruments": ({}, None, []),
    "one of them": ({}, ("two",), []),
    "one that is not there": ({}, ("one", "pet"), ["phantom has no instrument 'pet', only ['one', 'two']"]),
    "one of them twice": ({}, ("one", "one"), ["phantom.sources names an instrument twice"]),
    "sources beside it": ({"sources": {"a": A}}, None, [BRINGS]),
    "cells beside it": ({"cells": TABLE}, None, [BRINGS]),
    "labels beside it": ({"truth_labels": Source(file=A.file, modality="labels")}, None, [BRINGS]),
    "numbers beside it": ({"truth_follows_cells": True}, None, [BRINGS]),
}


@pytest.mark.parametrize("case", PHANTOM_CASES)
def test_a_phantom_goes_with_its_own_instruments_alone(case: str) -> None:
    change, names, problems = PHANTOM_CASES[case]
    phantom = Simulated(config=PHANTOM, sources=names)
    config = Experiment.model_construct(name="x", phantom=phantom).model_copy(update=change)
    assert [*of_phantom(config)] == problems


def test_the_first_of_several_problems_stops_the_config() -> None:
    with pytest.raises(ValueError, match="phantom brings its own"):
        Experiment(name="x", phantom=Simulated(config=PHANTOM), sources={"a": A}, reference="pet")
