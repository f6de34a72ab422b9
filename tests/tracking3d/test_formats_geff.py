"""GEFF folders, read back by us and by the format's own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

geff = pytest.importorskip("geff")

from tracking3d.detections import Detections  # noqa: E402 - after the format's library is known to be there
from tracking3d.formats.table import read_tracks  # noqa: E402
from tracking3d.tracks import Tracks  # noqa: E402
from volumes.errors import TableError, UnitError  # noqa: E402


def _equal(a: Tracks, b: Tracks) -> None:
    assert np.array_equal(a.parent, b.parent)
    assert np.array_equal(a.detections.id, b.detections.id)
    assert np.array_equal(a.detections.t, b.detections.t)
    assert np.array_equal(a.detections.zyx_um, b.detections.zyx_um)
    assert np.array_equal(a.detections.volume_um3, b.detections.volume_um3, equal_nan=True)
    assert a.detections.dt_s == b.detections.dt_s


def test_tracks_come_back(embryo: Tracks, tmp_path: Path):
    embryo.write(tmp_path / "tracks.geff")
    _equal(read_tracks(tmp_path / "tracks.geff"), embryo)


def test_ids_features_and_unknown_volumes_come_back(tmp_path: Path):
    cells = Detections.of(
        [3, 1, 2], np.eye(3), [np.nan, 2.5, 3.5], {"label": [5, 6, 7], "score": [0.1, 0.2, 0.3]}, id=[40, 10, 20]
    )
    tracks = Tracks(cells, np.array([2, -1, 1]))
    tracks.write(tmp_path / "tracks.geff")
    back = read_tracks(tmp_path / "tracks.geff")
    _equal(back, tracks)
    assert back.detections.features["label"].tolist() == [5, 6, 7]
    assert back.detections.features["score"].tolist() == [0.1, 0.2, 0.3]


def test_the_formats_own_reader_sees_units_edges_and_tracklets(toy: Tracks, tmp_path: Path):
    toy.write(tmp_path / "tracks.geff")
    geff.validate_structure(tmp_path / "tracks.geff")
    graph, metadata = geff.read(tmp_path / "tracks.geff", backend="networkx")
    edges = {tuple(toy.detections.id[edge].tolist()) for edge in toy.edges}
    assert {(int(a), int(b)) for a, b in graph.edges} == edges
    assert metadata.directed
    axes = {axis.name: axis for axis in metadata.axes}
    assert [axis.name for axis in metadata.axes] == ["t", "z", "y", "x"]
    assert {axes[name].unit for name in "zyx"} == {"micrometer"}
    assert (axes["t"].unit, axes["t"].scale, axes["t"].scaled_unit) == ("frame", 60.0, "second")
    node = int(toy.detections.id[6])
    assert graph.nodes[node]["x"] == toy.detections.zyx_um[6, 2]
    assert graph.nodes[node]["track_id"] == toy.track_id[6]


def test_the_formats_own_checks_of_tracklets_and_lineages_pass(embryo: Tracks, tmp_path: Path):
    from geff.core_io import read_to_memory
    from geff.validate.data import ValidationConfig

    embryo.write(tmp_path / "tracks.geff")
    checks = ValidationConfig(graph=True, tracklet=True, lineage=True)
    read = read_to_memory(tmp_path / "tracks.geff", data_validation=checks)
    assert len(read["node_ids"]) == len(embryo)


def test_an_empty_table_comes_back(tmp_path: Path):
    Tracks(Detections.of([], np.zeros((0, 3))), np.zeros(0, int)).write(tmp_path / "empty.geff")
    assert len(read_tracks(tmp_path / "empty.geff")) == 0


def test_writing_again_replaces_the_folder_whole(toy: Tracks, embryo: Tracks, tmp_path: Path):
    path = tmp_path / "tracks.geff"
    embryo.write(path)
    toy.write(path)
    _equal(read_tracks(path), toy)
    assert [p.name for p in tmp_path.iterdir()] == ["tracks.geff"]


def test_a_negative_id_is_refused(tmp_path: Path):
    tracks = Tracks(Detections.of([0], np.zeros((1, 3)), id=[-1]), np.array([-1]))
    with pytest.raises(TableError, match="below 0"):
        tracks.write(tmp_path / "tracks.geff")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_geff_is_refused(tmp_path: Path):
    (tmp_path / "other.geff").mkdir()
    for name in ("other.geff", "missing.geff"):
        with pytest.raises(TableError, match="is no GEFF") as error:
            read_tracks(tmp_path / name)
        assert name in error.value.file


def _foreign(path: Path, edges: list[tuple[int, int]], unit: str | None = "micrometer") -> None:
    """A GEFF of three cells in frames 0, 0, 1, written by the format's own library."""
    from geff.core_io import write_arrays
    from geff_spec import Axis

    axes = [Axis(name="t", type="time", unit="frame"), *(Axis(name=n, type="space", unit=unit) for n in "zyx")]
    values = {"t": np.array([0, 0, 1]), **{n: np.array([0.0, 1.0, 2.0]) for n in "zyx"}}
    write_arrays(
        path,
        np.array([1, 2, 3], np.uint64),
        {name: {"values": column, "missing": None} for name, column in values.items()},
        np.array(edges, np.uint64),
        {},
        geff.GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={}),
    )


def test_another_unit_is_converted(tmp_path: Path):
    _foreign(tmp_path / "nm.geff", [(1, 3)], "nanometer")
    back = read_tracks(tmp_path / "nm.geff")
    assert back.detections.zyx_um[2].tolist() == [0.002, 0.002, 0.002]
    assert back.parent.tolist() == [-1, -1, 0]


def test_two_parents_no_unit_and_backward_links_are_refused(tmp_path: Path):
    _foreign(tmp_path / "merge.geff", [(1, 3), (2, 3)])
    _foreign(tmp_path / "bare.geff", [(1, 3)], None)
    _foreign(tmp_path / "back.geff", [(3, 1)])
    with pytest.raises(TableError, match="has two parents"):
        read_tracks(tmp_path / "merge.geff")
    with pytest.raises(UnitError, match="no length unit"):
        read_tracks(tmp_path / "bare.geff")
    with pytest.raises(TableError, match=r"back\.geff.*not later"):
        read_tracks(tmp_path / "back.geff")
