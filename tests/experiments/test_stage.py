"""The stage cache: what makes a stage run again, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments import fingerprint
from experiments.run_folder import RunFolder, read_json
from experiments.stage import Stage, State, run_stages
from volumes.errors import StageError, VolumeFileError


class Log:
    """Remembers what a run told its watcher."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, State]] = []

    def __call__(self, part: str, stage: str, state: State) -> None:
        self.lines.append((part, stage, state))

    @property
    def worked(self) -> list[str]:
        return [stage for _, stage, state in self.lines if state == "start"]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text("1")
    return path


def two_stages(folder: RunFolder, source: Path) -> list[Stage]:
    """first: copies the input; second: counts it."""
    first = Stage(
        "first",
        "{}",
        ("copy.txt",),
        lambda: (folder.path / "copy.txt").write_text(source.read_text()) and None,
        inputs={"in": source},
    )
    second = Stage(
        "second",
        "{}",
        ("count.txt",),
        lambda: (folder.path / "count.txt").write_text(str(len((folder.path / "copy.txt").read_text()))) and None,
        after=("first",),
    )
    return [first, second]


def worked(stages: list[Stage], folder: RunFolder) -> list[str]:
    log = Log()
    run_stages("part", stages, folder, log)
    return log.worked


def test_a_second_run_does_nothing(folder: RunFolder, source: Path) -> None:
    stages = two_stages(folder, source)
    assert worked(stages, folder) == ["first", "second"]
    assert worked(stages, folder) == []
    assert set(read_json(folder.timings)) == {"first", "second"}


def test_a_changed_input_runs_all_that_follows(folder: RunFolder, source: Path) -> None:
    stages = two_stages(folder, source)
    worked(stages, folder)
    source.write_text("22")
    assert worked(stages, folder) == ["first", "second"]
    assert (folder.path / "count.txt").read_text() == "2"


def test_changed_settings_run_their_stage_and_what_follows(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)
    worked([first, second], folder)
    assert worked([first, replace(second, settings='{"a": 1}')], folder) == ["second"]
    assert worked([replace(first, settings='{"b": 1}'), second], folder) == ["first", "second"]


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_an_output_that_was_touched_is_made_again(folder: RunFolder, source: Path, harm: str) -> None:
    stages = two_stages(folder, source)
    worked(stages, folder)
    output = folder.path / "count.txt"
    if harm == "change":
        output.write_text("999")
    else:
        output.unlink()
    assert worked(stages, folder) == ["second"]
    assert output.read_text() == "1"


def test_a_stage_that_died_runs_again_and_the_one_before_it_does_not(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)

    def die() -> None:
        (folder.path / "count.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages("part", [first, replace(second, work=die)], folder, Log())
    assert worked([first, second], folder) == ["second"]
    assert (folder.path / "count.txt").read_text() == "1"


def test_a_broken_promise_is_an_error(folder: RunFolder, source: Path) -> None:
    first, _ = two_stages(folder, source)
    with pytest.raises(StageError, match="did not write") as caught:
        run_stages("part", [replace(first, outputs=("other.txt",))], folder, Log())
    assert caught.value.value == ["other.txt"]
    assert not folder.marker("first").exists()


def test_a_verdict_stops_the_run_also_when_the_stage_is_reused(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)

    def refuse() -> None:
        raise StageError("not to be used", field="first")

    strict = [replace(first, verdict=refuse), second]
    for _ in range(2):
        with pytest.raises(StageError, match="not to be used"):
            run_stages("part", strict, folder, Log())
    assert not (folder.path / "count.txt").exists()


def test_what_rested_on_an_older_result_does_not_pass_for_done(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)
    worked([first, second], folder)

    def refuse() -> None:
        raise StageError("not to be used", field="first")

    with pytest.raises(StageError):
        run_stages("part", [replace(first, settings='{"b": 1}', verdict=refuse), second], folder, Log())
    assert folder.marker("first").exists()
    assert not folder.marker("second").exists()


def test_a_spoilt_marker_means_work(folder: RunFolder, source: Path) -> None:
    stages = two_stages(folder, source)
    worked(stages, folder)
    folder.marker("second").write_text("{half")
    assert worked(stages, folder) == ["second"]


def test_a_missing_input_is_named(folder: RunFolder, source: Path) -> None:
    source.unlink()
    with pytest.raises(VolumeFileError, match="no such file") as caught:
        run_stages("part", two_stages(folder, source)[:1], folder, Log())
    assert caught.value.file == str(source)


def test_a_folder_s_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    before = fingerprint.of_path(tmp_path / "a")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    renamed = fingerprint.of_path(tmp_path / "a")
    (tmp_path / "a" / "y").write_text("2")
    assert len({before, renamed, fingerprint.of_path(tmp_path / "a")}) == 3


def test_the_code_is_part_of_the_key() -> None:
    of_volumes = fingerprint.stage_key("s", "", {}, (), ("volumes",))
    of_fusion = fingerprint.stage_key("s", "", {}, (), ("fusion",))
    assert of_volumes != of_fusion
    assert of_fusion == fingerprint.stage_key("s", "", {}, (), ("fusion",))
