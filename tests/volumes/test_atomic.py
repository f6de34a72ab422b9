"""Whatever happens while an output is written, the old or the new is there afterwards, whole."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from volumes import atomic
from volumes.atomic import PREFIX, remove_leftovers, replacing_file, replacing_folder, write_text
from volumes.errors import OutputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def content(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def failing(code):
    def fail(*_arguments):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a.zarr"
    (path / "0").mkdir(parents=True)
    (path / "0" / "chunk").write_text("old")
    (path / "gone").write_text("old")
    return path


def test_a_file_is_replaced_at_the_end_and_not_before(file):
    with replacing_file(file) as temporary:
        assert temporary.parent == file.parent
        assert temporary.name.endswith("a.nii.gz")
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert names(file.parent) == ["a.nii.gz"]


def test_a_folder_is_replaced_whole(folder):
    with replacing_folder(folder) as temporary:
        (temporary / "chunk").write_text("new")
        assert content(folder) == {"0/chunk": "old", "gone": "old"}
    assert content(folder) == {"chunk": "new"}
    assert names(folder.parent) == ["a.zarr"]


def test_parents_are_made_and_names_may_be_unicode(tmp_path):
    write_text(tmp_path / "Zebrafisch µm" / "Ω" / "b.txt", "µ")
    assert (tmp_path / "Zebrafisch µm" / "Ω" / "b.txt").read_bytes() == "µ".encode()
    with replacing_folder(tmp_path / "c" / "d.zarr") as temporary:
        (temporary / "e").write_text("f")
    assert content(tmp_path / "c") == {"d.zarr/e": "f"}


def half_a_file(path, error):
    with replacing_file(path) as temporary:
        temporary.write_text("half")
        raise error


def half_a_folder(path, error):
    with replacing_folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_inside_leaves_the_old(file, folder, error):
    with pytest.raises(error):
        half_a_file(file, error)
    with pytest.raises(error):
        half_a_folder(folder, error)
    assert file.read_text() == "old"
    assert content(folder) == {"0/chunk": "old", "gone": "old"}
    assert names(file.parent) == ["a.nii.gz", "a.zarr"]


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")]
)
def test_a_disk_that_refuses_leaves_the_old_and_is_explained(file, folder, monkeypatch, code, remedy):
    monkeypatch.setattr(atomic.os, "fsync", failing(code))
    with pytest.raises(OutputError, match=f"(?i){remedy}") as caught, replacing_file(file) as temporary:
        temporary.write_text("new")
    assert (caught.value.file, caught.value.__cause__.errno) == (str(file), code)
    with pytest.raises(OutputError, match=f"(?i){remedy}"), replacing_folder(folder) as temporary:
        (temporary / "new").write_text("new")
    assert file.read_text() == "old"
    assert content(folder) == {"0/chunk": "old", "gone": "old"}
    assert names(file.parent) == ["a.nii.gz", "a.zarr"]


def test_a_full_disk_is_told_from_within_the_writer(file):
    with pytest.raises(OutputError, match="free some space"), replacing_file(file):
        failing(errno.ENOSPC)()
    assert file.read_text() == "old"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "gone"), KeyboardInterrupt()])
def test_a_fault_between_the_two_renames_brings_the_old_folder_back(folder, monkeypatch, error):
    rename = atomic.Path.rename

    def faulty(self, target):
        if self.name.startswith(PREFIX) and not self.name.startswith(atomic.OLD):
            raise error
        return rename(self, target)

    monkeypatch.setattr(atomic.Path, "rename", faulty)
    with pytest.raises((OutputError, KeyboardInterrupt)), replacing_folder(folder) as temporary:
        (temporary / "new").write_text("new")
    assert content(folder) == {"0/chunk": "old", "gone": "old"}
    assert names(folder.parent) == ["a.zarr"]


def test_a_writer_that_writes_nothing_is_an_error(file):
    with pytest.raises(OutputError, match="cannot be written"), replacing_file(file):
        pass
    assert file.read_text() == "old"


def test_a_file_in_the_way_is_kept(file):
    with pytest.raises(OutputError, match="is a file"), replacing_folder(file):
        pass
    for below in (file / "b.tif", file / "c" / "b.tif"):
        with pytest.raises(OutputError), replacing_file(below) as temporary:
            temporary.write_text("new")
    assert content(file.parent) == {"a.nii.gz": "old"}


def test_a_folder_in_the_way_of_a_file_is_kept(folder):
    with pytest.raises(OutputError), replacing_file(folder) as temporary:
        temporary.write_text("new")
    assert content(folder) == {"0/chunk": "old", "gone": "old"}


def test_leftovers_go_and_all_else_stays(file, folder):
    (file.parent / f"{PREFIX}0123456789ab-x.tif").write_text("half")
    (file.parent / f"{PREFIX}0123456789ab-x.zarr").mkdir()
    (file.parent / f"{PREFIX}0123456789ab-link").symlink_to(folder)
    remove_leftovers(file.parent)
    assert names(file.parent) == ["a.nii.gz", "a.zarr"]
    assert content(folder) == {"0/chunk": "old", "gone": "old"}


def test_a_folder_set_aside_by_a_killed_run_comes_back(folder):
    aside = folder.rename(folder.parent / f"{atomic.OLD}0123456789ab-a.zarr")
    remove_leftovers(folder.parent)
    assert content(folder) == {"0/chunk": "old", "gone": "old"}
    folder.rename(aside)
    folder.mkdir()
    remove_leftovers(folder.parent)
    assert names(folder.parent) == ["a.zarr"]
    assert content(folder) == {}


KILLED_AT_EACH_LINE = """
    import os, shutil, signal, sys
    from itertools import count
    from pathlib import Path
    from volumes.atomic import remove_leftovers, replacing_file, replacing_folder

    place, kind = Path(sys.argv[1]), sys.argv[2]
    output = place / "a"

    def write(letter):
        if kind == "file":
            with replacing_file(output) as temporary:
                temporary.write_text(letter * 9000)
            return
        with replacing_folder(output) as temporary:
            for part in "01":
                (temporary / part).write_text(letter * 4500)

    def found():
        parts = [output] if output.is_file() else sorted(output.iterdir())
        return "".join(part.read_text() for part in parts)

    def kill_at(line):
        passed = count()
        def trace(_frame, event, _argument):
            if event == "line" and next(passed) == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)

    write("a")
    outcomes = []
    for line in count():
        child = os.fork()
        if child == 0:
            kill_at(line)
            write("b")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        remove_leftovers(place)
        assert os.listdir(place) == ["a"], (line, os.listdir(place))
        outcomes.append(found()[0])
        assert found() == outcomes[-1] * 9000, line
        if status == 0:
            break
        write("a")
    print("".join(outcomes))
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_writer_killed_at_any_line_leaves_the_old_or_the_new(tmp_path, kind):
    """Every line of Python that the writer passes is once its last; the lines' outcomes read aaa…abbb…b."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED_AT_EACH_LINE), str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.strip()
    assert outcomes == "".join(sorted(outcomes))
    assert min(outcomes.count("a"), outcomes.count("b")) > 3
