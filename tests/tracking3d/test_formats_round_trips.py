"""Every format that is written comes back: random forests with gaps, divisions, lone cells and unknown volumes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracking3d
from tracking3d.detections import Detections
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, OutputError, TableError, UnitError

SUFFIXES = [".csv", ".csv.gz", ".geff", ".xml", ".napari.csv", ".napari.csv.gz"]
QUICK = [suffix for suffix in SUFFIXES if suffix != ".geff"]
SPEAKS_OF_TIME = (".geff", ".xml", ".napari.csv", ".napari.csv.gz")
KEEPS_CONFIDENCE = (".geff", ".xml", ".napari.csv", ".napari.csv.gz")
ANY_FLOAT = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def forests(draw: st.DrawFn) -> Tracks:
    """Up to a dozen cells in any order of rows, ids and frames; a few links, of which some divide or jump frames."""
    n = draw(st.integers(0, 12))
    t = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), dtype=np.int64)
    place = st.tuples(ANY_FLOAT, ANY_FLOAT, ANY_FLOAT)
    zyx = np.array(draw(st.lists(place, min_size=n, max_size=n, unique=True)), dtype=np.float64).reshape(-1, 3)
    parent = np.full(n, -1, dtype=np.int64)
    for row in range(n):
        earlier = [p for p in range(n) if t[p] < t[row] and (parent == p).sum() < 2]
        if earlier and draw(st.booleans()):
            parent[row] = draw(st.sampled_from(earlier))
    volume = draw(st.lists(st.one_of(st.just(np.nan), st.floats(0, 1e5)), min_size=n, max_size=n))
    ids = draw(st.permutations(range(3, n + 3)))
    features = {"label": np.arange(n), "score": np.array(draw(st.lists(ANY_FLOAT, min_size=n, max_size=n)), float)}
    dt_s = draw(st.sampled_from([None, 0.1, 60.0]))
    confidence = np.where(parent >= 0, np.linspace(0.25, 4, n), np.nan) if draw(st.booleans()) else None
    cells = Detections.of(t, zyx, np.array(volume, float), features, dt_s, np.array(ids, int))
    return Tracks(cells, parent, confidence, _merged(t, parent) if draw(st.booleans()) else None)


def _merged(t: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """For each link over a gap, some cell of a frame in between, where there is one."""
    into = np.full(len(t), -1)
    for row in np.flatnonzero(parent >= 0):
        between = np.flatnonzero((t > t[parent[row]]) & (t < t[row]))
        into[row] = between[0] if len(between) else -1
    return into


def by_id(tracks: Tracks) -> dict[str, np.ndarray]:
    """All that a file should keep, in the order of the ids; parents by their ids."""
    cells, order = tracks.detections, np.argsort(tracks.detections.id)
    above = np.append(cells.id, -1)[tracks.parent]
    confidence = np.full(len(cells), np.nan) if tracks.confidence is None else tracks.confidence
    into = np.full(len(cells), -1) if tracks.merged_into is None else np.append(cells.id, -1)[tracks.merged_into]
    columns = {"id": cells.id, "t": cells.t, "zyx": cells.zyx_um, "volume": cells.volume_um3, "parent": above}
    columns["merged into"] = into
    return {name: column[order] for name, column in {**columns, "confidence": confidence, **cells.features}.items()}


def assert_same(back: Tracks, tracks: Tracks, confidence: bool) -> None:
    mine, theirs = by_id(tracks), by_id(back)
    if not confidence:
        del mine["confidence"], theirs["confidence"]
    if not len(tracks):
        mine, theirs = ({k: v for k, v in d.items() if k not in tracks.detections.features} for d in (mine, theirs))
    assert mine.keys() == theirs.keys()
    for name, column in mine.items():
        np.testing.assert_array_equal(theirs[name], column, err_msg=name)


@pytest.mark.parametrize("suffix", QUICK)
@given(tracks=forests())
@settings(max_examples=25, deadline=None)
def test_tracks_come_back_bit_by_bit(suffix: str, tracks: Tracks) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cells{suffix}"
        tracks.write(path)
        dt_s = None if suffix in SPEAKS_OF_TIME else tracks.detections.dt_s
        back = tracking3d.read_tracks(path, dt_s=dt_s)
    assert_same(back, tracks, suffix in KEEPS_CONFIDENCE)
    assert back.detections.dt_s == tracks.detections.dt_s


@pytest.mark.parametrize("suffix", [".xml", ".napari.csv"])
def test_equal_tracks_make_equal_files(suffix: str, embryo: Tracks, tmp_path: Path) -> None:
    for name in "ab":
        embryo.write(tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_real_lineage_comes_back_from_every_format(data: Path, tmp_path: Path) -> None:
    truth = tracking3d.read_tracks(data / "tracking" / "lineages" / "phallusia_Pm09.csv.gz", dt_s=120.0)
    keep = truth.detections.t < 12
    cells = truth.detections.take(keep)
    rows = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)
    parent = rows[truth.parent[keep]]
    tracks = Tracks(cells, parent, np.where(parent >= 0, np.arange(len(parent)) / 7, np.nan))
    assert len(tracks.divisions) > 5
    for suffix in SUFFIXES:
        tracks.write(tmp_path / f"cells{suffix}")
        dt_s = None if suffix in SPEAKS_OF_TIME else 120.0
        assert_same(tracking3d.read_tracks(tmp_path / f"cells{suffix}", dt_s=dt_s), tracks, suffix in KEEPS_CONFIDENCE)


def test_an_unknown_suffix_is_refused(toy: Tracks, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.geff"):
        toy.write(tmp_path / "tracks.json")
    with pytest.raises(TableError, match="no known format"):
        tracking3d.read_tracks(tmp_path / "tracks.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "option"),
    [
        (".csv", {"spacing_um": (1, 1, 1)}),
        (".geff", {"unit": "um"}),
        (".geff", {"dt_s": 3.0}),
        (".xml", {"unit": "um"}),
    ],
)
def test_an_option_of_another_format_is_refused(suffix: str, option: dict, toy: Tracks, tmp_path: Path) -> None:
    toy.write(tmp_path / f"cells{suffix}")
    with pytest.raises(ConfigError, match="not for this format") as error:
        tracking3d.read_tracks(tmp_path / f"cells{suffix}", **option)
    assert error.value.field == next(iter(option))


def test_formats_in_voxels_need_their_size(tmp_path: Path) -> None:
    (tmp_path / "icy.xml").write_text("<root><trackgroup/></root>")
    (tmp_path / "handles.mat").write_bytes(b"MATLAB 5.0")
    (tmp_path / "ctc").mkdir()
    for name in ("icy.xml", "handles.mat", "ctc"):
        with pytest.raises(UnitError, match="spacing_um"):
            tracking3d.read_tracks(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_cell_that_one_merged_into_is_kept(suffix: str, tmp_path: Path) -> None:
    #   7 ——— · ——— 5   was part of 6 in the frame between
    #   4 ——— 6 ——— 9
    cells = Detections.of([0, 2, 0, 1, 2], np.arange(15.0).reshape(5, 3), id=[7, 5, 4, 6, 9])
    tracks = Tracks(cells, np.array([-1, 0, -1, 2, 3]), merged_into=np.array([-1, 3, -1, -1, -1]))
    tracks.write(tmp_path / f"cells{suffix}")
    back = tracking3d.read_tracks(tmp_path / f"cells{suffix}")
    assert back.merged_into is not None
    late = int(np.flatnonzero(back.detections.id == 5)[0])
    assert np.flatnonzero(back.merged_into >= 0).tolist() == [late]
    assert back.detections.id[back.merged_into[late]] == 6
