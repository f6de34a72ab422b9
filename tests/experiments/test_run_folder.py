"""The run's folder: one run at a time, nothing foreign touched, leftovers swept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.run_folder import RunFolder, read_json, write_json
from volumes.atomic import OLD, PREFIX, RANDOM
from volumes.errors import OutputError

HOLDER = """
import sys, time
from pathlib import Path
from experiments.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    sys.stdout.write("held\\n"); sys.stdout.flush()
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another run") as caught, folder.locked():
            pass
        assert caught.value.remedy is not None
        holder.kill()
    with folder.locked():
        assert folder.path.is_dir()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.tex"
    precious.write_text("years of work")
    with pytest.raises(OutputError, match="no run wrote"), RunFolder(tmp_path).locked():
        pass
    assert precious.read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OutputError, match="is a file"), RunFolder(path).locked():
        pass


def test_what_a_killed_run_left_half_written_is_swept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        write_json(folder.registration("ct"), {"status": "good"})
    half = folder.path / f"{PREFIX}abc-fused.ome.zarr"
    half.mkdir()
    (half / "zarr.json").touch()
    (folder.path / "transforms" / f"{PREFIX}abc-ct.tfm").touch()
    with folder.locked():
        assert not list(folder.path.rglob(f"{PREFIX}*"))
        assert read_json(folder.registration("ct")) == {"status": "good"}


def test_json_is_bytewise_repeatable_and_never_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"µ": 0.1 + 0.2})
    first = path.read_bytes()
    write_json(path, {"µ": 0.1 + 0.2})
    assert path.read_bytes() == first
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", ["{broken", "[1, 2]"])
def test_a_spoilt_json_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(OutputError, match=r"JSON|mapping") as caught:
        read_json(path)
    assert caught.value.file == str(path)


def test_a_missing_json_is_empty(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") == {}


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be created") as caught, RunFolder(tmp_path / "file" / "run").locked():
        pass
    assert caught.value.file == str(tmp_path / "file" / "run")


def test_an_empty_folder_and_one_of_a_run_are_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    for _ in range(2):
        with folder.locked():
            write_json(folder.manifest, {"status": "complete"})
    assert read_json(folder.manifest) == {"status": "complete"}


def test_what_was_set_aside_gets_its_name_back_and_volumes_are_not_searched(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        pass
    aside = folder.path / f"{OLD}{'0' * RANDOM}-fused.ome.zarr"
    aside.mkdir()
    (aside / "zarr.json").write_text("whole")
    inside = folder.path / "labels.ome.zarr" / f"{PREFIX}chunk"
    inside.parent.mkdir()
    inside.touch()
    with folder.locked():
        assert (folder.path / "fused.ome.zarr" / "zarr.json").read_text() == "whole"
        assert not aside.exists()
        assert inside.exists()


def test_the_places_of_sources_and_parts_do_not_meet(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    places = [folder.transform("a"), folder.transform("b"), folder.registration("a"), folder.marker("a")]
    places += [folder.part("a").transform("a"), folder.part("a").manifest, folder.manifest, folder.timings]
    places += [folder.scores, folder.evaluation, folder.report, folder.config, folder.phantom]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert folder.markers() == []
