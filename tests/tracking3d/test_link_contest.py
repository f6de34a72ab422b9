"""Choosing among competing hypotheses: the packing against going through all choices, and drawn movies."""

from __future__ import annotations

from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracking3d
from tracking3d.detections import Detections
from tracking3d.formats.table import read_tracks
from tracking3d.link.config import KINDS
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.contest import MOST, Contest, contest, likeliest, settled
from tracking3d.link.matching import graph, open_all
from tracking3d.link.packing import Bundles, Packing, bundled, joined
from tracking3d.link.proof import proved
from tracking3d.link.reference import chosen_of, optimum
from tracking3d.link.scene import scene
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, TableError

SEEDS = st.integers(0, 2**32 - 1)


def _table(rng: np.random.Generator, frames: int, most: int, numbers: int) -> Detections:
    """Some cells in each frame, each claiming up to two of a few numbers."""
    t = np.repeat(np.arange(frames), rng.integers(1, most + 1, frames))
    claims = [" ".join(map(str, rng.permutation(numbers)[: rng.integers(0, 3)])) for _ in t]
    features = {"claims": np.array(claims), "confidence": rng.uniform(0, 1, len(t))}
    return Detections.of(t, rng.uniform(0, 10, (len(t), 3)), features=features)


def _subsets(cells: list[int]) -> list[frozenset[int]]:
    return [frozenset(s) for s in chain.from_iterable(combinations(cells, k) for k in range(len(cells) + 1))]


def _ways(rivalry: Contest, n: int) -> list[list[frozenset[int]]]:
    """For each contest the sets of cells that may be kept, by going through all sets."""
    apart = {frozenset(pair) for pair in rivalry.pairs.tolist()}
    groups: list[set[int]] = []
    for one, other in rivalry.pairs.tolist():
        met = [g for g in groups if {one, other} & g]
        groups = [g for g in groups if g not in met] + [{one, other}.union(*met)]
    out = []
    for group in groups:
        free = [s for s in _subsets(sorted(group)) if not any(pair <= s for pair in apart)]
        out.append([s for s in free if not any(s < other for other in free)])
    assert all(cell < n for group in groups for cell in group)
    return out


def _problem(seed: int) -> tuple[Contest, int, np.ndarray, np.ndarray, Bundles, np.ndarray]:
    """Contests, links and divisions among a few cells, and what each is worth."""
    rng = np.random.default_rng(seed)
    cells = scene(table := _table(rng, 3, 4, 4))
    n, t = len(cells), cells.t
    pairs = [(a, b) for a in range(n) for b in range(n) if t[b] > t[a] and rng.random() < 0.6] + [
        (a, a) for a in range(n)
    ]
    later = [[b for b in range(n) if t[b] > t[a]] for a in range(n)]
    families = [(a, b, c) for a in range(n) for b, c in combinations(later[a], 2) if rng.random() < 0.1]
    divisions = bundled(np.array(families, int).reshape(-1, 3), rng.normal(4, 3, len(families)))
    links = np.array(pairs, int).reshape(-1, 2)
    return contest(table, cells), n, links, rng.normal(2, 3, len(links)), divisions, rng.normal(-5, 2, n)


def _brute(problem: tuple[Contest, int, np.ndarray, np.ndarray, Bundles, np.ndarray], sure: np.ndarray) -> float:
    """The best total over all choices, the links and divisions among the kept cells by branch and bound."""
    rivalry, n, links, gain, divisions, alone = problem
    best, in_contest = -np.inf, np.unique(rivalry.pairs)
    for kept in product(*_ways(rivalry, n)):
        held = frozenset().union(*kept)
        out = np.array(sorted(set(in_contest.tolist()) - held), int)
        prior = np.log(sure[sorted(held)]).sum() + (np.log(1 - sure[out]) - alone[out]).sum()
        free = ~np.isin(links, out).any(axis=1)
        split = [k for k in range(len(divisions.worth)) if not np.isin(divisions.place.reshape(-1, 3)[k], out).any()]
        families = divisions.place.reshape(-1, 3)[split] + np.array([0, n, n])
        kinds = joined([bundled(links[free] + np.array([0, n]), gain[free]), bundled(families, divisions.worth[split])])
        best = max(best, prior + chosen_of(kinds, 2 * n)[1])
    return best


def _chosen(problem: tuple[Contest, int, np.ndarray, np.ndarray, Bundles, np.ndarray]) -> tuple:
    rivalry, n, links, gain, divisions, alone = problem
    every = n + rivalry.count
    places = graph(links[:, 0], links[:, 1], gain, every, every)
    open_all(places, every)
    splits = bundled(divisions.place.reshape(-1, 3) + np.array([0, every, every]), divisions.worth)
    # Cells as dense as they are large: no choice is credited for places of parts.
    packing, bundles = settled(rivalry, places, splits, alone, np.full(n, 100.0))
    owed = bundles.worth[len(splits.worth) :] - rivalry.prior
    owed += np.array([alone[rivalry.out[a:b]].sum() for a, b in zip(rivalry.start, rivalry.start[1:], strict=False)])
    return packing, bundles, sum(owed[rivalry.contest == k][0] for k in range(rivalry.count))


def _value(packing: Packing, links: np.ndarray, gain: np.ndarray, bundles: Bundles) -> float:
    """What was chosen is worth; fails where a place is claimed twice."""
    n = len(packing.parent)
    of_link = dict(zip(map(tuple, links.tolist()), gain, strict=True))
    child = np.flatnonzero(packing.parent >= 0)
    held = bundles.take(np.flatnonzero(packing.taken))
    claims = np.concatenate([packing.parent[child], n + child, held.place])
    assert len(np.unique(claims)) == len(claims)
    return sum(of_link[(int(packing.parent[b]), int(b))] for b in child) + float(held.worth.sum())


def test_the_total_is_what_was_chosen():
    """Graphs are matched anew, and packed again, several times over."""
    for seed in range(80):
        problem = _problem(seed)
        packing, bundles, _ = _chosen(problem)
        assert _value(packing, *problem[2:4], bundles) == pytest.approx(packing.total, abs=1e-7)
        better = proved(packing, bundles)[0]
        assert _value(better, *problem[2:4], bundles) == pytest.approx(better.total, abs=1e-7)


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_the_packing_with_choices_is_the_best_of_all_choices(seed: int):
    problem = _problem(seed)
    rivalry, n, links, gain = problem[:4]
    rng = np.random.default_rng(seed)
    table = _table(rng, 3, 4, 4)
    sure = table.features["confidence"].clip(0.01, 0.99)[scene(table).order]
    expected = _brute(problem, sure)
    packing, bundles, owed = _chosen(problem)
    assert optimum(n + rivalry.count, links, gain, bundles).total - owed == pytest.approx(expected, abs=1e-5)
    better, proof = proved(packing, bundles)
    assert better.total - owed <= expected + 1e-5
    assert better.total - owed + proof.gap >= expected - 1e-5
    held = better.taken[-len(rivalry.prior) :] if len(rivalry.prior) else better.taken[:0]
    assert np.bincount(rivalry.contest[held], minlength=rivalry.count).tolist() == [1] * rivalry.count
    put_out = rivalry.out[np.repeat(held, np.diff(rivalry.start))]
    assert (better.parent[put_out] < 0).all()
    assert not np.isin(better.parent[:n], put_out).any()


def test_small_contests_are_nearly_all_proved_and_nearly_all_best_at_once():
    shares, lost = [], []
    for seed in range(60):
        packing, bundles, _ = _chosen(_problem(seed))
        before = packing.total
        better, proof = proved(packing, bundles)
        shares.append(proof.proved.mean())
        lost.append(better.total - before > 1e-6)
    assert np.mean(shares) > 0.95
    assert np.mean(lost) < 0.02


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_choices_are_all_sets_that_nothing_can_be_added_to(seed: int):
    table = _table(np.random.default_rng(seed), 2, 6, 5)
    cells = scene(table)
    rivalry = contest(table, cells)
    found = []
    for k in range(rivalry.count):
        own = np.flatnonzero(rivalry.contest == k)
        outs = [set(rivalry.out[rivalry.start[c] : rivalry.start[c + 1]].tolist()) for c in own]
        members = set().union(*outs)
        found.append(sorted(sorted(members - out) for out in outs))
    assert sorted(found) == sorted(sorted(map(sorted, ways)) for ways in _ways(rivalry, len(cells)))


def test_the_likeliest_are_those_of_the_largest_confidence():
    sure = np.array([0.9, 0.6, 0.6, 0.2, 0.7, 0.7])
    claims = np.array(["1 2", "1", "2", "3 4", "3", "4"])
    cells = Detections.of([0] * 6, np.arange(18.0).reshape(-1, 3), features={"claims": claims, "confidence": sure})
    assert likeliest(cells).tolist() == [True, False, False, False, True, True]
    assert likeliest(Detections.of([0], [(0, 0, 0)])).tolist() == [True]


def test_of_too_many_choices_the_least_sure_are_put_out(caplog):
    n = 20
    claims = np.array([f"{k}" for k in range(n // 2)] * 2 + [" ".join(map(str, range(n // 2)))])
    sure = np.linspace(0.9, 0.1, n + 1)
    cells = Detections.of(
        np.zeros(n + 1, int),
        np.arange(3.0 * (n + 1)).reshape(-1, 3),
        features={"claims": claims, "confidence": sure},
    )
    rivalry = contest(cells, scene(cells))
    assert len(rivalry.prior) <= MOST
    assert "least sure" in caplog.text
    assert n in rivalry.out


def _movie(rng: np.random.Generator, frames: int = 8, crowd: int = 12) -> tuple[Detections, np.ndarray]:
    """Pairs of cells, and single ones of twice the size; both come as a whole and as two halves. True rows are told."""
    t, zyx, claims, volume, true = [], [], [], [], []
    for frame in range(frames):
        for k in range(crowd):
            two = k % 2 == 0
            place = np.array([0, 14 * (k // 4), 14 * (k % 4)]) + rng.normal(0, 0.4, 3) + [0, 0.5 * frame, 0]
            halves = place + np.array([[0, 0, -3], [0, 0, 3]]) + rng.normal(0, 0.2 if two else 2.0, (2, 3))
            for centre, own, size in (
                (halves[0], f"{2 * k}", 1),
                (halves[1], f"{2 * k + 1}", 1),
                (place, f"{2 * k} {2 * k + 1}", 2),
            ):
                t.append(frame)
                zyx.append(centre)
                claims.append(own)
                volume.append(200.0 * size)
                true.append(two == (size == 1))
    return Detections.of(t, np.array(zyx), volume, {"claims": np.array(claims)}), np.array(true)


def test_time_tells_halves_of_a_cell_from_two_cells(rng):
    cells, true = _movie(rng)
    tracks = tracking3d.link(cells)
    assert (tracks.chosen == true).mean() > 0.95
    assert tracks.chosen[true].mean() > likeliest(cells)[true].mean() + 0.2
    lost = ~tracks.chosen
    assert (tracks.parent[lost] == -1).all()
    assert (tracks.track_id[lost] == 0).all()
    alone = tracks.cells()
    assert len(alone) == tracks.chosen.sum()
    assert alone.track_id.tolist() == tracks.track_id[tracks.chosen].tolist()
    assert len(alone.edges) == len(tracks.edges)


def test_a_choice_is_proved_like_any_link(rng):
    cells, true = _movie(rng, frames=6, crowd=8)
    solution = ConstraintConfig().build().solve(cells)
    assert solution.proof.gap < 1e-6
    assert solution.proof.proved.all()
    assert (solution.tracks.chosen == true).all()


@pytest.mark.parametrize("volumes_known", [True, False])
def test_far_from_others_parts_do_not_win_by_their_number(rng, volumes_known):
    """Every cell comes as a whole and as halves; both halves stay near, but no nearer than halves of anything are."""
    lattice = 60.0 * np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    n, radius, zyx = len(lattice), 10.0, []
    for _ in range(6):
        across = rng.normal(0, 1, (n, 3))
        across *= 3 / 8 * radius / np.linalg.norm(across, axis=1, keepdims=True)
        place = lattice + rng.normal(0, 0.5, (n, 3))
        zyx += [place, place + across, place - across]
    volume = np.tile(np.repeat(4 / 3 * np.pi * radius**3 * np.array([1, 0.5, 0.5]), n), 6) if volumes_known else None
    claims = np.tile(
        [*(f"{2 * i} {2 * i + 1}" for i in range(n)), *map(str, range(0, 2 * n, 2)), *map(str, range(1, 2 * n, 2))], 6
    )
    cells = Detections.of(np.repeat(np.arange(6), 3 * n), np.concatenate(zyx), volume, {"claims": claims})
    assert tracking3d.link(cells).chosen.reshape(6, 3, n)[:, 0].mean() > 0.95


def test_what_is_chosen_depends_on_neither_order_nor_place_nor_unit(rng):
    cells, _ = _movie(rng)
    expected = tracking3d.link(cells)
    order = rng.permutation(len(cells))
    assert (tracking3d.link(cells.take(order)).chosen == expected.chosen[order]).all()
    moved = Detections.of(cells.t + 3, 1e3 * (cells.zyx_um[:, ::-1] + 40), 1e9 * cells.volume_um3, dict(cells.features))
    assert (tracking3d.link(moved).chosen == expected.chosen).all()


def test_claims_that_nobody_shares_change_nothing(embryo: Tracks):
    cells = embryo.detections
    numbers = np.arange(len(cells))
    claiming = Detections.of(cells.t, cells.zyx_um, cells.volume_um3, {"claims": numbers})
    plain, linked = tracking3d.link(cells), tracking3d.link(claiming)
    assert (plain.parent == linked.parent).all()
    assert linked.chosen is None


def test_of_a_group_one_is_a_cell(rng):
    """The same number at three rows of a frame: at most one of them, here the one that stays on its path."""
    lattice = 20.0 * np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3)
    zyx = np.concatenate([lattice + rng.normal(0, spread, lattice.shape) for _ in range(6) for spread in (0.3, 4, 4)])
    group = np.tile(np.arange(27), 18)
    cells = Detections.of(np.repeat(np.arange(6), 81), zyx, None, {"claims": group})
    chosen = tracking3d.link(cells).chosen.reshape(6, 3, 27)
    assert (chosen.sum(axis=1) == 1).all()
    assert chosen[:, 0].mean() > 0.9


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "constraint"])
def test_other_kinds_refuse_detections_that_exclude_each_other(rng, kind):
    cells, _ = _movie(rng, 3)
    with pytest.raises(ConfigError, match="competing"):
        tracking3d.link(cells, kind)
    assert len(tracking3d.link(cells.take(likeliest(cells)), kind)) == likeliest(cells).sum()


def test_labels_cannot_split_what_competes(rng):
    import volumes

    cells, _ = _movie(rng, 3)
    labels = volumes.TimeLapse.from_array(
        np.zeros((3, 2, 2, 2), np.uint16), (1.0, 1.0, 1.0), dt_s=1.0, modality="labels"
    )
    with pytest.raises(TableError, match="split"):
        tracking3d.link(cells, labels=labels)


def test_the_choice_comes_back_from_a_table_and_other_formats_hold_the_chosen(tmp_path, rng):
    tracks = tracking3d.link(_movie(rng, 4)[0])
    tracks.write(tmp_path / "tracks.csv")
    again = read_tracks(tmp_path / "tracks.csv")
    assert (again.chosen == tracks.chosen).all()
    assert (again.track_id == tracks.track_id).all()
    for name in ("tracks.geff", "tracks.xml", "tracks.napari.csv"):
        tracks.write(tmp_path / name)
        assert len(tracking3d.read_tracks(tmp_path / name)) == tracks.chosen.sum()


def test_links_to_what_was_not_chosen_are_refused():
    cells = Detections.of([0, 1], np.eye(3)[:2])
    with pytest.raises(TableError, match="not both chosen"):
        Tracks(cells, np.array([-1, 0]), chosen=np.array([True, False]))
    with pytest.raises(TableError, match="needs 2 values"):
        Tracks(cells, np.array([-1, 0]), chosen=np.array([True]))
    with pytest.raises(TableError, match="not chosen"):
        tracking3d.correct(Tracks(cells, np.array([-1, -1]), chosen=np.array([True, False])), [])
