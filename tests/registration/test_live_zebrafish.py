"""The live zebrafish's graph, on poses that are known; its pictures; and the real stacks of one fish."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import live_zebrafish
from experiments.bench.live_zebrafish import Way, apart_um, loops_in_view, outside, registered
from experiments.bench.live_zebrafish_picture import Overlay, draw_bridge, draw_stacks, overlay
from experiments.bench.live_zebrafish_registrars import AsGiven, Peer
from registration.given import assess
from registration.graph import Graph
from registration.result import Registered
from volumes import Affine, Volume, from_array
from volumes.errors import ConfigError

SPACING = (5.0, 5.0, 5.0)
POST = Affine.rigid((0.0, 0.05, 0.02), (2.0, -4.0, 6.0), (40.0, 50.0, 60.0))
STACK = Affine.rigid((0.03, 0.0, -0.04), (-3.0, 5.0, 4.0), (40.0, 50.0, 60.0))
OFF_UM = 7.0


@dataclass(frozen=True)
class Told:
    """Gives what it is told, by the moving volume's place among those it is asked of."""

    transforms: list[Affine]

    def register(self, fixed: Volume, moving: Volume, **_more: object) -> Registered:
        return assess(self.transforms.pop(0), fixed, moving)


@pytest.fixture(scope="module")
def fish() -> dict[str, Volume]:
    """One cloud of blobs as four volumes, in the poses above."""
    rng = np.random.default_rng(3)
    centres, widths = rng.uniform((20, 25, 25), (55, 75, 95), (12, 3)), rng.uniform(7, 12, 12)
    points = np.stack(np.meshgrid(*(np.arange(n) * 5.0 for n in (16, 20, 24)), indexing="ij"), -1).reshape(-1, 3)
    poses = {"pre": STACK, "post": POST @ STACK, "tERK": Affine.identity(), "H2B-RFP": Affine.identity()}
    found = {}
    for name, pose in poses.items():
        seen = pose.inverse()(points)
        light = sum(np.exp(-((seen - c) ** 2).sum(1) / (2 * w**2)) for c, w in zip(centres, widths, strict=True))
        found[name] = from_array(100 * np.reshape(light, (16, 20, 24)), SPACING, modality="fluorescence")
    return found


def told(fish: dict[str, Volume], off_um: float = 0.0) -> Graph:
    """The graph of the true poses, the pair tERK – post wrong by a shift."""
    wrong = Affine.rigid((0, 0, 0), (0.0, 0.0, off_um), (0, 0, 0))
    after = POST @ STACK
    graph, cpu_s = registered(fish, Way(Told([POST]), Told([STACK, wrong @ after, STACK, after])))
    assert len(cpu_s) == len(graph.links) == 6
    return graph


def test_loops_over_true_poses_close_and_a_wrong_pair_opens_just_its_own(fish: dict[str, Volume]) -> None:
    assert max(loop.error_um for loop in loops_in_view(told(fish))) < 1e-9
    for loop in loops_in_view(told(fish, OFF_UM)):
        ways = [frozenset(pair) for pair in zip(loop.names, (*loop.names[1:], loop.names[0]), strict=True)]
        expected = OFF_UM if frozenset(("tERK", "post")) in ways else 0.0
        assert loop.error_um == pytest.approx(expected, abs=1e-9)


def test_the_bridge_lies_as_far_from_the_direct_way_as_its_pair_is_wrong(fish: dict[str, Volume]) -> None:
    graph = told(fish, OFF_UM)
    assert apart_um(graph, "tERK") == pytest.approx(OFF_UM)
    assert apart_um(graph, "H2B-RFP") == pytest.approx(0, abs=1e-9)


def test_tissue_beside_the_brain_is_found_out(fish: dict[str, Volume]) -> None:
    assert outside(fish, told(fish), "tERK") < 0.02
    graph, _ = registered(fish, Way(AsGiven(), Told([Affine.rigid((0, 0, 0), (0, 0, 500.0), (0, 0, 0))] * 4)))
    assert outside(fish, graph, "tERK") == 1


def test_simpleitk_finds_a_known_pose_and_takes_no_start(fish: dict[str, Volume]) -> None:
    found = Peer("rigid").register(fish["pre"], fish["post"])
    points = fish["pre"].grid.to_world(np.argwhere(fish["pre"].channel() > 30))
    assert np.linalg.norm(found.transform(points) - POST(points), axis=1).mean() < 2.5
    with pytest.raises(ConfigError, match="middles"):
        Peer("rigid").register(fish["pre"], fish["post"], start=POST)


def test_volumes_that_lie_on_each_other_are_grey(fish: dict[str, Volume]) -> None:
    same = overlay("same", fish["pre"], fish["pre"], Affine.identity())
    plane, projection = same.plane(0, 8), same.projection(1)
    assert plane.shape == (20, 24, 3)
    for picture in (plane, projection):
        assert np.ptp(picture, axis=-1).max() < 1e-6
        assert picture.max() == 1
    beside = overlay("beside", fish["pre"], fish["post"], Affine.identity()).plane(0, 8)
    assert np.ptp(beside, axis=-1).max() > 0.1


def test_projections_show_the_fixed_volume_only_within_the_moving_field() -> None:
    field = np.zeros((2, 3, 4), bool)
    field[:, :, :2] = True
    picture = Overlay("half", np.ones((2, 3, 4)), np.zeros((2, 3, 4)), field).projection(0)
    np.testing.assert_array_equal(picture[0, :, 1], [1, 1, 0, 0])
    np.testing.assert_array_equal(picture[..., 0], 0)


def test_pictures_are_written_and_the_same_twice(fish: dict[str, Volume], tmp_path: Path) -> None:
    graph = told(fish)
    for name in ("one", "two"):
        draw_stacks(fish, graph, tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    draw_bridge(fish, graph, tmp_path / "bridge.png")
    assert (tmp_path / "bridge.png").read_bytes().startswith(b"\x89PNG")


def test_the_stacks_of_a_real_fish_agree_on_where_they_lie_in_the_atlas(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "zebrafish.csv"
    arguments = ["--data", str(data), "--out", str(out), "--fish", live_zebrafish.FISH[0]]
    live_zebrafish.main([*arguments, "--ways", "affine, upright"])
    tables = {end: _rows(tmp_path / f"zebrafish{end}.csv") for end in ("", "_loops", "_bridges")}
    assert {end: len(rows) for end, rows in tables.items()} == {"": 6, "_loops": 7, "_bridges": 2}
    assert float(tables["_bridges"][0]["apart_um"]) < 10
    assert all(float(row["similarity_after"]) > float(row["similarity_before"]) for row in tables[""][:5])
    assert tables[""][0]["status"] == "good"
    assert len(out.with_suffix(".md").read_text().splitlines()) == 6 + 7 + 2 + 3 * 2 + 2


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
