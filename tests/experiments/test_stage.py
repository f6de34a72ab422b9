"""The stage cache: what makes a stage run again, and what does not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import fingerprint
from experiments.run_folder import RunFolder, read_json, write_json
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


def test_every_part_of_a_key_tells(tmp_path: Path) -> None:
    one, two, same = (tmp_path / name for name in ("one", "two", "same"))
    for path, text in ((one, "1"), (two, "2"), (same, "1")):
        path.write_text(text)
    base = ("s", "{}", {"a": one, "b": two}, ("k1", "k2"), ("fusion",))
    others = [
        ("r", *base[1:]),
        ("s", '{"x": 1}', *base[2:]),
        ("s", "{}", {"a": two, "b": one}, *base[3:]),
        ("s", "{}", {"a": one, "c": two}, *base[3:]),
        ("s", "{}", {"a": one}, *base[3:]),
        (*base[:3], ("k2", "k1"), base[4]),
        (*base[:4], ("fusion", "phantom")),
    ]
    keys = {fingerprint.stage_key(*parts) for parts in (base, *others)}
    assert len(keys) == len(others) + 1
    alike = ("s", "{}", {"b": two, "a": same}, ("k1", "k2"), ("volumes", "fusion", "fusion"))
    assert fingerprint.stage_key(*alike) == fingerprint.stage_key(*base)


def test_a_changed_line_of_code_is_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "somecode"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sub" / "deep.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for text in ("x = 1\n", "x = 2\n"):
        (package / "sub" / "deep.py").write_text(text)
        fingerprint.of_package.cache_clear()
        digests.append(fingerprint.of_package("somecode"))
    (package / "notes.txt").write_text("no code")
    fingerprint.of_package.cache_clear()
    assert digests[0] != digests[1] == fingerprint.of_package("somecode")
    with pytest.raises(VolumeFileError, match="no such package") as caught:
        fingerprint.of_package("nocode_anywhere")
    assert caught.value.field == "nocode_anywhere"


def test_a_file_larger_than_a_block_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"a" * (fingerprint.BLOCK + 5))
    assert fingerprint.of_path(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_watcher_is_told_of_each_start_and_end(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)
    log = Log()
    run_stages("p", [first], folder, log)
    run_stages("p", [first, second], folder, log)
    states = [("first", "start"), ("first", "done"), ("first", "cached"), ("second", "start"), ("second", "done")]
    assert log.lines == [("p", *state) for state in states]


def test_a_reused_stage_keeps_its_key_and_its_seconds(folder: RunFolder, source: Path) -> None:
    stages = two_stages(folder, source)
    made = run_stages("p", stages, folder, Log())
    write_json(folder.timings, {"first": 12.5, "second": 3.0})
    again = run_stages("p", stages, folder, Log())
    assert [(done.stage, done.seconds, done.cached) for done in again] == [("first", 12.5, True), ("second", 3.0, True)]
    assert [done.key for done in again] == [done.key for done in made]
    assert not any(done.cached for done in made)
    assert made[0].key != made[1].key


def test_a_stage_may_rest_on_one_that_was_done_before(folder: RunFolder, source: Path) -> None:
    first, second = two_stages(folder, source)
    key = run_stages("p", [first], folder, Log())[0].key
    alone = run_stages("p", [second], folder, Log(), {"first": key})[0]
    assert alone.key == run_stages("p", [first, second], folder, Log())[1].key
    assert run_stages("p", [second], folder, Log(), {"first": "another"})[0].cached is False


def test_all_that_rests_on_a_changed_stage_is_forgotten_and_nothing_else(folder: RunFolder, source: Path) -> None:
    """A run that dies in the changed stage: the chain behind it must not pass for done, its neighbour may."""
    first, second = two_stages(folder, source)
    third = replace(second, name="third", after=("second",))
    beside = replace(second, name="beside", after=())
    chain = [first, second, third, beside]
    run_stages("p", chain, folder, Log())

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages("p", [replace(first, settings="x", work=die), second, third, beside], folder, Log())
    assert [path.stem for path in folder.markers()] == ["beside"]


@pytest.mark.parametrize("text", ["[1]", "{}", '{"key": "another"}'])
def test_a_marker_of_something_else_means_work(folder: RunFolder, source: Path, text: str) -> None:
    stages = two_stages(folder, source)
    worked(stages, folder)
    folder.marker("first").write_text(text)
    assert "first" in worked(stages, folder)
