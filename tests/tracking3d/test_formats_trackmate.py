"""TrackMate XML: files of known structure as TrackMate writes them, and what is refused in others."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tracking3d
from tracking3d.detections import Detections
from tracking3d.formats.trackmate import read_trackmate
from tracking3d.tracks import Tracks
from volumes.errors import TableError, UnitError

SPOTS = {
    #  id: frame, x, y, z, radius, visible, mean intensity
    2004: (0, 10.125, 20.25, 3.0, 2.5, 1, 91.5),
    2007: (1, 11.0, 21.0, 3.5, 2.5, 1, 92.0),
    2011: (3, 12.0, 22.0, 4.0, 2.0, 1, 40.0),  # over a gap of one frame
    2012: (3, 15.0, 25.0, 4.0, 2.0, 1, 41.0),
    2020: (0, 50.0, 60.0, 0.0, 2.0, 1, 10.0),  # a track that was filtered out
    2021: (1, 50.5, 60.5, 0.0, 2.0, 1, 11.0),
    2030: (2, 80.0, 90.0, 1.0, 1.0, 1, 5.0),  # visible, in no track
    2031: (2, 81.0, 91.0, 1.0, 1.0, 0, 1.0),  # filtered out as a spot
}
EDGES = {0: [(2004, 2007), (2007, 2011), (2007, 2012)], 1: [(2020, 2021)]}


def written(
    spots: dict = SPOTS,
    edges: dict = EDGES,
    filtered: tuple[int, ...] | None = (0,),
    space: str | None = "micron",
    time: str = "sec",
) -> str:
    """A file as TrackMate 7 lays it out, with the sections that tracks do not need."""
    frames = sorted({spot[0] for spot in spots.values()})
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<TrackMate version="7.11.1">', "<Log>Done.&#10;</Log>"]
    unit = "" if space is None else f'spatialunits="{space}" '
    lines += [f'<Model {unit}timeunits="{time}">', f'<AllSpots nspots="{len(spots)}">']
    for frame in frames:
        lines.append(f'<SpotsInFrame frame="{frame}">')
        for own, (t, x, y, z, radius, visible, mean) in spots.items():
            if t == frame:
                lines.append(
                    f'<Spot ID="{own}" name="ID{own}" STD_INTENSITY_CH1="{mean / 10}" QUALITY="{mean}" '
                    f'POSITION_T="{t * 30.0}" MEAN_INTENSITY_CH1="{mean}" RADIUS="{radius}" VISIBILITY="{visible}" '
                    f'MANUAL_SPOT_COLOR="-10921639" POSITION_X="{x}" POSITION_Y="{y}" FRAME="{t}" POSITION_Z="{z}" />'
                )
        lines.append("</SpotsInFrame>")
    lines += ["</AllSpots>", "<AllTracks>"]
    for number, pairs in edges.items():
        lines.append(f'<Track name="Track_{number}" TRACK_ID="{number}" NUMBER_SPOTS="3" TRACK_INDEX="{number}">')
        lines += [f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="0.4" />' for a, b in pairs]
        lines.append("</Track>")
    lines.append("</AllTracks>")
    if filtered is not None:
        lines += ["<FilteredTracks>", *(f'<TrackID TRACK_ID="{n}" />' for n in filtered), "</FilteredTracks>"]
    image = '<ImageData filename="a.tif" width="99" pixelwidth="0.5" voxeldepth="1.0" timeinterval="30.0" />'
    return "\n".join([*lines, "</Model>", f"<Settings>{image}</Settings>", "</TrackMate>"])


@pytest.fixture
def xml(tmp_path: Path):
    """Writes a text as a file, and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "cells.xml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def links(tracks: Tracks) -> set[tuple[int, int]]:
    return {tuple(tracks.detections.id[edge].tolist()) for edge in tracks.edges}


def test_a_file_of_known_structure_is_read_exactly(xml) -> None:
    tracks = read_trackmate(xml(written()))
    cells = tracks.detections
    kept = [2004, 2007, 2030, 2011, 2012]
    assert cells.id.tolist() == kept
    assert cells.t.tolist() == [SPOTS[own][0] for own in kept]
    assert cells.zyx_um.tolist() == [[SPOTS[own][3], SPOTS[own][2], SPOTS[own][1]] for own in kept]
    assert cells.volume_um3.tolist() == [4 / 3 * np.pi * SPOTS[own][4] ** 3 for own in kept]
    assert links(tracks) == set(EDGES[0])
    assert cells.id[tracks.divisions].tolist() == [2007]
    assert cells.dt_s == 30.0
    assert cells.features["MEAN_INTENSITY_CH1"].tolist() == [SPOTS[own][6] for own in kept]
    assert set(cells.features) == {"STD_INTENSITY_CH1", "QUALITY", "MEAN_INTENSITY_CH1"}
    assert tracks.confidence is None


def test_filtered_tracks_can_be_kept(xml) -> None:
    everything = read_trackmate(xml(written()), all_tracks=True)
    assert links(everything) == {*EDGES[0], *EDGES[1]}
    assert 2031 not in everything.detections.id
    undecided = read_trackmate(xml(written(filtered=None)))
    assert links(undecided) == links(everything)
    none = read_trackmate(xml(written(filtered=())))
    assert none.detections.id.tolist() == [2030]


@pytest.mark.parametrize(("unit", "um"), [("µm", 1.0), ("um", 1.0), ("nm", 1e-3), ("mm", 1e3)])
def test_lengths_become_micrometres(xml, unit: str, um: float) -> None:
    cells = read_trackmate(xml(written(space=unit))).detections
    assert cells.zyx_um[0].tolist() == [3.0 * um, 20.25 * um, 10.125 * um]
    assert cells.volume_um3[0] == pytest.approx(4 / 3 * np.pi * 2.5**3 * um**3, rel=1e-15)


@pytest.mark.parametrize("unit", ["pixel", None])
def test_pixels_need_their_size(xml, unit: str | None) -> None:
    path = xml(written(space=unit))
    with pytest.raises(UnitError, match="spacing_um"):
        read_trackmate(path)
    cells = read_trackmate(path, spacing_um=(2.0, 0.5, 0.25)).detections
    assert cells.zyx_um[0].tolist() == [6.0, 10.125, 2.53125]
    assert cells.volume_um3[0] == pytest.approx(4 / 3 * np.pi * 2.5**3 * 0.25)


def test_a_size_beside_a_length_and_an_unknown_length_are_refused(xml) -> None:
    with pytest.raises(UnitError, match="count twice"):
        read_trackmate(xml(written()), spacing_um=(1.0, 1.0, 1.0))
    with pytest.raises(UnitError, match="no known length"):
        read_trackmate(xml(written(space="furlong")))


@pytest.mark.parametrize(("unit", "dt_s"), [("min", 1800.0), ("ms", 0.03), ("frame", 7.0)])
def test_seconds_are_the_files_or_else_what_is_stated(xml, unit: str, dt_s: float) -> None:
    assert read_trackmate(xml(written(time=unit)), dt_s=7.0).detections.dt_s == pytest.approx(dt_s)


def test_an_edge_written_backwards_is_turned(xml) -> None:
    turned = {0: [(b, a) for a, b in EDGES[0]], 1: EDGES[1]}
    assert links(read_trackmate(xml(written(edges=turned)))) == set(EDGES[0])


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ({0: [(2004, 9999)]}, "9999 names a cell that is not there"),
        ({0: [(2004, 2020)]}, "not later than its parent"),
        ({0: [(2004, 2007), (2020, 2007)]}, "second parent"),
        ({0: [(2004, 2007), (2004, 2011), (2004, 2012)]}, "3 children"),
    ],
)
def test_edges_that_make_no_forest_are_refused(xml, edges: dict, says: str) -> None:
    with pytest.raises(TableError, match=says) as error:
        read_trackmate(xml(written(edges=edges)))
    assert error.value.file.endswith("cells.xml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('POSITION_X="11.0"', 'POSITION_X="far"', r'POSITION_X: <Spot ID="2007"> needs a finite number'),
        ('POSITION_X="11.0"', 'POSITION_X="NaN"', "needs a finite number"),
        ('POSITION_Y="21.0" ', "", r'POSITION_Y: <Spot ID="2007"> lacks it'),
        ('<SpotsInFrame frame="1">', '<SpotsInFrame frame="1.5">', "needs a whole number"),
        ('SPOT_TARGET_ID="2011"', "", "SPOT_TARGET_ID: <Edge"),
        ("AllTracks>", "SomeTracks>", "AllTracks: <Model> holds no <AllTracks>"),
        ("Model", "Muddle", "Model: holds no tracking model"),
        ("TrackMate", "TrackMite", "no TrackMate file"),
        ("</TrackMate>", "", "no whole XML file"),
        ('ID="2007"', 'ID="2004"', "occurs more than once"),
    ],
)
def test_damage_is_told_with_its_element(xml, old: str, new: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        read_trackmate(xml(written().replace(old, new)))


def test_what_is_written_names_units_features_and_lineages(toy: Tracks, tmp_path: Path) -> None:
    toy.write(tmp_path / "cells.xml")
    root = ElementTree.parse(tmp_path / "cells.xml").getroot()  # noqa: S314 - own file
    model = root.find("Model")
    assert (model.get("spatialunits"), model.get("timeunits")) == ("micron", "sec")
    assert root.find("Settings/ImageData").get("timeinterval") == "60.0"
    declared = {feature.get("feature") for feature in model.iterfind("FeatureDeclarations/SpotFeatures/Feature")}
    spots = list(model.iter("Spot"))
    assert {name for spot in spots for name in spot.attrib} - {"ID", "name"} == declared
    assert len(spots) == int(model.find("AllSpots").get("nspots")) == len(toy)
    # The false detection is in no track; the two lineages are one track each.
    tracks = list(model.iterfind("AllTracks/Track"))
    assert sorted(len(track) for track in tracks) == [5, 8]
    kept = [element.get("TRACK_ID") for element in model.iterfind("FilteredTracks/TrackID")]
    assert kept == [track.get("TRACK_ID") for track in tracks]
    starts = {float(spot.get("POSITION_T")) / float(spot.get("FRAME")) for spot in spots if spot.get("FRAME") != "0"}
    assert starts == {60.0}


def test_features_get_names_that_xml_allows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    features = {
        "mean GFP": [1.5, np.inf],
        "RADIUS": [3, 4],
        "touches": [True, False],
        "kind": ["a", "b"],
        "9": [1, 2],
    }
    cells = Detections.of([0, 1], [(0, 0, 0), (1, 1, 1)], features={k: np.array(v) for k, v in features.items()})
    Tracks(cells, np.array([-1, 0])).write(tmp_path / "cells.xml")
    back = tracking3d.read_tracks(tmp_path / "cells.xml").detections.features
    assert {name: column.tolist() for name, column in back.items()} == {
        "mean_GFP": [1.5, np.inf],
        "FEATURE_RADIUS": [3, 4],
        "touches": [1, 0],
        "FEATURE_9": [1, 2],
    }
    assert "kind is left out" in caplog.text
    twin = Detections.of([0], [(0, 0, 0)], features={"a b": np.ones(1), "a_b": np.ones(1)})
    with pytest.raises(TableError, match="two features are called a_b"):
        Tracks(twin, np.array([-1])).write(tmp_path / "twin.xml")


@pytest.mark.parametrize("own", [-1, 2**31])
def test_ids_that_java_cannot_hold_are_refused(tmp_path: Path, own: int) -> None:
    cells = Detections.of([0], [(0, 0, 0)], id=[own])
    with pytest.raises(TableError, match="must lie in 0"):
        Tracks(cells, np.array([-1])).write(tmp_path / "cells.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_cell_of_a_track_that_is_left_out_was_not_merged_into(tmp_path: Path) -> None:
    cells = Detections.of([0, 2, 0, 1, 2], np.arange(15.0).reshape(5, 3))
    tracks = Tracks(cells, np.array([-1, 0, -1, 2, 3]), merged_into=np.array([-1, 3, -1, -1, -1]))
    tracks.write(tmp_path / "cells.xml")
    text = (tmp_path / "cells.xml").read_text()
    (tmp_path / "cells.xml").write_text(text.replace('<TrackID TRACK_ID="2" />', ""))
    back = read_trackmate(tmp_path / "cells.xml")
    assert back.detections.id.tolist() == [0, 1]
    assert back.merged_into is None
    assert read_trackmate(tmp_path / "cells.xml", all_tracks=True).merged_into is not None
