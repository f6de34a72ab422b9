"""Pairs between many volumes: which way is taken, and what loops say of the pairs on it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import volumes
from registration.graph import AGREED_VOXELS, Graph, Link, Task, foreground_um, register_graph
from registration.linear.linear import RigidConfig
from registration.quality import Quality, Status
from registration.result import Registered
from volumes import Affine
from volumes.errors import ConfigError

NAMES = ("atlas", "ref", "live", "ct")
POINTS = np.random.default_rng(0).uniform(-50, 50, (200, 3))
POSES = {
    name: Affine.rigid((0.1 * i, -0.2 * i, 0.05 * i), (3.0 * i, -7.0 * i, 11.0 * i)) for i, name in enumerate(NAMES)
}
"""The specimen's own frame → each volume's world."""


def true(fixed: str, moving: str) -> Affine:
    return POSES[moving] @ POSES[fixed].inverse()


def link(fixed: str, moving: str, error_um: float = 0.0, status: Status = Status.GOOD, spread: float = 0.1) -> Link:
    """A pair whose transform is wrong by a shift."""
    quality = Quality(1.0, 1.2, 1.0, 0.9, 0.0, 0.0, 1.0, 1.0, spread, 10)
    off = Affine.rigid(translation_um=(0.0, error_um, 0.0))
    reasons = () if status is Status.GOOD else ("look at it",)
    return Link(fixed, moving, Registered(off @ true(fixed, moving), quality, status, reasons))


def graph(*links: Link, reference: str = "atlas") -> Graph:
    names = {name for one in links for name in (one.fixed, one.moving)}
    return Graph(reference, links, dict.fromkeys(names, POINTS), dict.fromkeys(names, 1.0))


def test_a_chain_is_the_product_of_its_pairs_whichever_way_they_were_registered():
    found = graph(link("atlas", "ref"), link("live", "ref")).bridged("live")
    assert found.path == ("atlas", "ref", "live")
    np.testing.assert_allclose(found.transform(POINTS), true("atlas", "live")(POINTS), atol=1e-9)
    np.testing.assert_allclose(found.transform.inverse()(found.transform(POINTS)), POINTS, atol=1e-9)
    assert (found.status, found.loop_um) == (Status.GOOD, None)


def test_the_reference_lies_on_itself():
    found = graph(link("atlas", "ref")).bridged("atlas")
    assert found.path == ("atlas",)
    np.testing.assert_array_equal(found.transform(POINTS), POINTS)


def test_all_simple_loops_of_a_complete_graph_are_found_once():
    """K4 has four triangles and three squares."""
    full = graph(*(link(a, b) for a, b in combinations(NAMES, 2)))
    lengths = sorted(len(loop.names) for loop in full.loops)
    assert lengths == [3, 3, 3, 3, 4, 4, 4]
    assert all(loop.error_um < 1e-9 and loop.closes for loop in full.loops)


def test_a_pair_and_its_reverse_make_a_loop():
    both = graph(link("atlas", "ref"), link("ref", "atlas", error_um=5.0))
    (loop,) = both.loops
    assert loop.error_um == pytest.approx(5.0)


def test_a_wrong_pair_that_says_good_is_told_apart_and_gone_around():
    """Every loop through it fails, while each other pair lies in a loop that closes."""
    wrong = ("atlas", "live")
    full = graph(*(link(a, b, 40.0 if (a, b) == wrong else 0.0) for a, b in combinations(NAMES, 2)))
    for i, one in enumerate(full.links):
        assert full.closest(i).closes == ((one.fixed, one.moving) != wrong)
    found = full.bridged("live")
    assert len(found.path) == 3
    np.testing.assert_allclose(found.transform(POINTS), true("atlas", "live")(POINTS), atol=1e-9)
    assert found.status is Status.GOOD
    assert found.loop_um < 1e-9


def test_in_a_single_loop_nobody_can_tell_which_pair_is_wrong():
    three = graph(link("atlas", "ref"), link("ref", "live"), link("atlas", "live", 40.0))
    assert three.loops[0].error_um == pytest.approx(40.0)
    for name in ("ref", "live"):
        found = three.bridged(name)
        assert found.status is Status.DOUBTFUL
        assert any("does not close" in reason and "40" in reason for reason in found.reasons)


def test_the_bound_is_counted_in_the_coarsest_voxels_of_the_loop():
    links = (link("atlas", "ref"), link("ref", "live"), link("atlas", "live", 3.0))
    fine = graph(*links)
    coarse = Graph("atlas", links, fine.points_um, {"atlas": 1.0, "ref": 1.0, "live": 2.0})
    assert not fine.loops[0].closes
    assert coarse.loops[0].closes
    assert coarse.loops[0].bound_um == AGREED_VOXELS * 2.0


def test_a_doubtful_pair_is_gone_around_and_a_failed_one_taken_last():
    around = graph(link("atlas", "live", status=Status.DOUBTFUL), link("atlas", "ref"), link("ref", "live"))
    assert around.bridged("live").path == ("atlas", "ref", "live")
    only = graph(link("atlas", "live", status=Status.FAILED)).bridged("live")
    assert only.status is Status.FAILED
    assert only.reasons == ("atlas–live: look at it",)


def test_of_two_good_ways_the_shorter_is_taken():
    full = graph(link("atlas", "ref"), link("ref", "live"), link("atlas", "live"))
    assert full.bridged("live").path == ("atlas", "live")


def test_a_volume_that_no_pair_reaches_is_an_error():
    with pytest.raises(ConfigError, match="no pair leads"):
        graph(link("atlas", "ref")).bridged("ct")


def test_real_registrations_close_their_loop(specimen):
    """Three tones of one specimen, moved: the pairs are found one by one, the loop says how well."""
    poses = {"a": Affine.identity(), "b": Affine.rigid((0.1, 0, 0.05), (4, -3, 6)), "c": Affine.rigid((0, 0.12, 0))}
    tones = {"a": np.asarray, "b": lambda v: 1 - v, "c": np.sqrt}
    seen = {name: specimen.seen(transform=poses[name], tone=tones[name]) for name in poses}
    registrar = RigidConfig(rotations=0, samples=20_000).build()
    found = register_graph(seen, "a", [Task(*pair, registrar) for pair in (("a", "b"), ("b", "c"), ("a", "c"))])
    assert found.loops[0].closes
    points = foreground_um(seen["a"])
    for name, pose in poses.items():
        off = np.linalg.norm(found.bridged(name).transform(points) - pose(points), axis=1).mean()
        assert off < 1.5, name
    assert all(one.registered.quality.cycle_um == found.loops[0].error_um for one in found.links)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("a", "x")], "not among"),
        ([("a", "a"), ("a", "b")], "with itself"),
        ([("a", "b"), ("a", "b")], "twice"),
        ([], "no chain"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(pairs, said):
    tiny = volumes.from_array(np.random.default_rng(0).random((8, 8, 8)), (1, 1, 1), modality="CT")
    with pytest.raises(ConfigError, match=said):
        register_graph({"a": tiny, "b": tiny}, "a", [Task(*pair, RigidConfig().build()) for pair in pairs])
