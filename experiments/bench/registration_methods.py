"""Who takes part in the registration benchmark, and the process that each is measured in."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from experiments.bench.registration_tasks import REPOSITORY, Model
from volumes.errors import ConfigError

HERE = Path(__file__).resolve().parent
PROCESS = HERE / "registration_process.py"
OURS = "fusetrack"
THREADS = (
    "OMP_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
LONGEST_S = 1800.0
"""A registration that has not ended after so long is stopped, and counts as an error."""


@dataclass(frozen=True)
class Method:
    """One participant.

    Parameters
    ----------
    name : as in the table.
    model : what it looks for.
    file : the module of this folder whose ``METHODS`` has it under ``name model``.
    needs : the package that it cannot do without.
    """

    name: str
    model: Model
    file: str
    needs: str

    @property
    def key(self) -> str:
        """Its name in ``METHODS``."""
        return f"{self.name} {self.model}"


METHODS = (
    Method(OURS, "rigid", "registration_ours.py", "registration"),
    Method(OURS, "affine", "registration_ours.py", "registration"),
    Method(OURS, "deformable", "registration_ours.py", "registration"),
    Method("SimpleITK", "rigid", "registration_peers.py", "SimpleITK"),
    Method("SimpleITK", "affine", "registration_peers.py", "SimpleITK"),
    Method("elastix", "rigid", "registration_elastix.py", "itk"),
    Method("elastix", "affine", "registration_elastix.py", "itk"),
    Method("elastix", "deformable", "registration_elastix.py", "itk"),
    Method("greedy", "rigid", "registration_greedy.py", "picsl_greedy"),
    Method("greedy search", "rigid", "registration_greedy.py", "picsl_greedy"),
    Method("greedy", "affine", "registration_greedy.py", "picsl_greedy"),
    Method("greedy", "deformable", "registration_greedy.py", "picsl_greedy"),
    Method("ConvexAdam", "deformable", "registration_peers.py", "convexAdam"),
)


def known(python: Path, packages: Sequence[str]) -> set[str]:
    """Those of the packages that an interpreter can find.

    Raises
    ------
    ConfigError : there is no such interpreter, or it does not run.
    """
    code = "import sys, importlib.util as u; sys.stdout.write(' '.join(n for n in sys.argv[1:] if u.find_spec(n)))"
    try:
        done = subprocess.run([python, "-P", "-c", code, *packages], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        remedy = "Give the python of an environment with the peers in it"
        raise ConfigError("does not run", field="--peers", value=str(python), remedy=remedy) from error
    return set(done.stdout.split())


def _log() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


@dataclass
class Worker:
    """A method's process; started when it is first asked, and again after it died."""

    method: Method
    python: Path
    threads: int = 1
    process: subprocess.Popen[str] | None = None
    log: IO[str] = field(default_factory=_log)

    def ask(self, folder: Path, out: Path) -> dict[str, Any]:
        """The answer of :mod:`experiments.bench.registration_process` to one case; after its first, uncounted one."""
        if self.process is None:
            self.process = self._started()
            first = self._answer(folder, out)
            if "error" in first:
                return first
        return self._answer(folder, out)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _started(self) -> subprocess.Popen[str]:
        environment = os.environ | dict.fromkeys(THREADS, str(self.threads))
        if self.method.name == OURS:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        else:
            environment.pop("PYTHONPATH", None)
        return subprocess.Popen(  # noqa: S603
            [self.python, "-P", PROCESS, HERE / self.method.file, self.method.key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )

    def _answer(self, folder: Path, out: Path) -> dict[str, Any]:
        """One request and its answer; a process that dies or takes too long is an error, too."""
        stdin, stdout = (self.process.stdin, self.process.stdout) if self.process else (None, None)
        if stdin is None or stdout is None:
            return self._gone("was not there")
        try:
            stdin.write(json.dumps({"folder": str(folder), "out": str(out)}) + "\n")
            stdin.flush()
        except BrokenPipeError:
            return self._gone("ended")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(LONGEST_S):
                return self._gone(f"took more than {LONGEST_S:g} s")
        line = stdout.readline()
        return dict(json.loads(line)) if line else self._gone("ended")

    def _gone(self, why: str) -> dict[str, Any]:
        """The end of a process as an error, with the last thing that it said."""
        self.close()
        self.log.seek(0)
        last = [line.strip() for line in self.log if line.strip()][-1:]
        return {"error": f"the process {why}: {last[0] if last else 'it said nothing'}"}


@contextmanager
def workers(methods: Sequence[Method], peers: Path, threads: int = 1) -> Iterator[list[Worker]]:
    """A worker for each method, ours under this interpreter; they end with the block."""
    ours = Path(sys.executable)
    made = [Worker(method, ours if method.name == OURS else peers, threads) for method in methods]
    try:
        yield made
    finally:
        for worker in made:
            worker.close()
            worker.log.close()
