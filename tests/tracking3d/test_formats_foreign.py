"""Icy's XML and PhagoSight's handles: small files of known content, written here as those programs lay them out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import tracking3d
from tracking3d.formats.icy import read_icy
from tracking3d.formats.phagosight import read_phagosight
from tracking3d.tracks import Tracks
from volumes.errors import TableError, UnitError

SPACING = (2.0, 0.5, 0.25)
CELL = '<detection classname="plugins.nchenouard.particletracking.DetectionSpotTrack" color="-20480"'
ICY = f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<root><trackfile version="1"/>
<trackgroup description="mhtTracks-Run1">
  <track id="-1743400864">
    {CELL} t="0" type="1" x="4" y="8.5" z="1"/>
    {CELL} t="1" type="2" x="5" y="9" z="1"/>
    {CELL} t="3" type="1" x="6" y="10" z="2"/>
  </track>
  <track id="7">{CELL} t="4" type="1" x="6" y="11" z="2"/>{CELL} t="5" type="1" x="6" y="12" z="2"/></track>
  <track id="8">{CELL} t="4" type="1" x="7" y="9" z="2"/></track>
</trackgroup>
<linklist><link from="-1743400864" to="7"/><link from="-1743400864" to="8"/></linklist>
</root>"""


def parents(tracks: Tracks) -> list[int]:
    return tracks.parent.tolist()


def icy(folder: Path, text: str = ICY) -> Path:
    path = folder / "tracks.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_icys_tracks_links_and_gaps_are_read(tmp_path: Path) -> None:
    tracks = read_icy(icy(tmp_path), SPACING, dt_s=24.0)
    cells = tracks.detections
    assert cells.t.tolist() == [0, 1, 3, 4, 5, 4]
    assert parents(tracks) == [-1, 0, 1, 2, 3, 2]
    assert cells.zyx_um[:3].tolist() == [[2.0, 4.25, 1.0], [2.0, 4.5, 1.25], [4.0, 5.0, 1.5]]
    assert cells.features["virtual"].tolist() == [0, 1, 0, 0, 0, 0]
    assert cells.features["icy_track"].tolist() == [-1743400864] * 3 + [7, 7, 8]
    assert cells.dt_s == 24.0
    again = tracking3d.read_tracks(icy(tmp_path), spacing_um=SPACING, dt_s=24.0)
    assert parents(again) == parents(tracks)


def test_the_order_of_icys_detections_does_not_matter(tmp_path: Path) -> None:
    lines = ICY.splitlines()
    lines[4], lines[6] = lines[6], lines[4]
    turned = read_icy(icy(tmp_path, "\n".join(lines)), SPACING)
    assert turned.detections.t[:3].tolist() == [3, 1, 0]
    assert parents(turned) == [1, 2, -1, 0, 3, 0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('from="-1743400864" to="7"', 'from="7" to="-1743400864"', "not later than its parent|second parent"),
        ('to="8"', 'to="9"', "link: <link> names no track"),
        ('<track id="8">', '<track id="7">', "two tracks of one id"),
        ('to="8"', "", "to: <link> lacks it"),
        ('x="5"', 'x="Infinity"', 'x: <detection t="1"> needs a finite number'),
        ('t="3"', 't="1"', "not later than its parent"),
        ("trackgroup", "group", "no track group of Icy"),
    ],
)
def test_damage_in_icys_file_is_told(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        read_icy(icy(tmp_path, ICY.replace(old, new)), SPACING)


def nodes(n: int = 5) -> np.ndarray:
    """A node network of 28 columns: y, x, z, distance, frame, own number, …, volume at 10, track at 13."""
    out = np.zeros((n, 28))
    out[:, 0], out[:, 1], out[:, 2] = np.arange(n) + 11, np.arange(n) + 21, 1 + np.arange(n) % 2
    out[:, 4] = [1, 1, 2, 3, 2][:n]
    out[:, 5] = np.arange(n) + 1
    out[:, 9] = [100, 200, 110, 0, 210][:n]
    out[:, 12] = [1, 2, 1, 1, 0][:n]
    return out


FINAL = np.array([[1, 2], [3, 5], [4, 0]])


def saved(folder: Path, **fields: np.ndarray) -> Path:
    path = folder / "handles.mat"
    savemat(path, {"handles": {"numFrames": 3, **fields}})
    return path


def test_phagosights_handles_are_read(tmp_path: Path) -> None:
    tracks = read_phagosight(saved(tmp_path, nodeNetwork=nodes(), finalNetwork=FINAL), SPACING, dt_s=30.0)
    cells = tracks.detections
    assert cells.t.tolist() == [0, 0, 1, 2, 1]
    assert cells.zyx_um[:2].tolist() == [[0.0, 5.0, 5.0], [2.0, 5.5, 5.25]]
    assert cells.id.tolist() == [1, 2, 3, 4, 5]
    assert parents(tracks) == [-1, -1, 0, 2, 1]
    np.testing.assert_array_equal(cells.volume_um3, [25.0, 50.0, 27.5, np.nan, 52.5])
    again = tracking3d.read_tracks(tmp_path / "handles.mat", spacing_um=SPACING, dt_s=30.0)
    assert parents(again) == parents(tracks)


def test_without_a_final_network_the_nodes_own_tracks_hold(tmp_path: Path) -> None:
    assert parents(read_phagosight(saved(tmp_path, nodeNetwork=nodes()), SPACING)) == [-1, -1, 0, 2, -1]


def test_handles_of_matlab_7_3_are_the_same(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "new.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("handles")
        group["nodeNetwork"], group["finalNetwork"] = nodes().T, FINAL.astype(float).T
    # The first 128 bytes say so, the version among them.
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    old = read_phagosight(saved(tmp_path, nodeNetwork=nodes(), finalNetwork=FINAL), SPACING)
    new = read_phagosight(path, SPACING)
    assert parents(new) == parents(old)
    assert np.array_equal(new.detections.zyx_um, old.detections.zyx_um)


def test_without_h5py_matlab_7_3_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TableError, match="needs h5py"):
        read_phagosight(path, SPACING)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"finalNetwork": FINAL}, "no handles of PhagoSight"),
        ({"nodeNetwork": nodes()[:, :4]}, "needs 5 columns"),
        ({"nodeNetwork": nodes()[:, :6]}, "holds no tracks"),
        ({"nodeNetwork": nodes(), "finalNetwork": FINAL + 2}, "names no row of nodeNetwork"),
        ({"nodeNetwork": nodes(), "finalNetwork": FINAL + 0.5}, "names no row of nodeNetwork"),
        ({"nodeNetwork": nodes(), "finalNetwork": np.array([[1, 2], [3, 3]])}, "second parent"),
        ({"nodeNetwork": nodes(), "finalNetwork": np.array([[1], [2]])}, "not later"),
        ({"nodeNetwork": np.where(nodes() == 11, np.nan, nodes()), "finalNetwork": FINAL}, "not finite"),
        ({"nodeNetwork": np.array("text")}, "holds no numbers"),
    ],
)
def test_damaged_handles_are_told(tmp_path: Path, fields: dict, says: str) -> None:
    with pytest.raises(TableError, match=says) as error:
        read_phagosight(saved(tmp_path, **fields), SPACING)
    assert error.value.file.endswith("handles.mat")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", bytes(200), b"\x80\x04pickle"])
def test_what_is_no_matlab_file_is_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "handles.mat"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"handles\.mat"):
        read_phagosight(path, SPACING)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, np.nan, 1.0)])
def test_voxels_of_no_size_are_refused(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    with pytest.raises(UnitError, match="three lengths above zero"):
        read_icy(icy(tmp_path), spacing)
