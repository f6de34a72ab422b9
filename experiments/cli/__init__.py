"""The ``fusetrack`` command: files in, files out; exit code 0 only when the result can be trusted.

Each verb is in the file of its subject. Heavy packages are imported inside the verbs, so that ``fusetrack --help``
answers at once.
"""

from __future__ import annotations

import json
import logging
import sys

from experiments.cli import cells, evaluation, fusing, learning, registering, running
from experiments.cli.app import app

__all__ = ["cells", "evaluation", "fusing", "learning", "main", "registering", "running"]


def main() -> None:
    """Entry point: run one verb; a typed error becomes one message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except Exception as error:
        from volumes.errors import FusetrackError

        if not isinstance(error, FusetrackError):
            raise
        _fail(error)


def _fail(error: Exception) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), file=sys.stderr)
    else:
        print(f"fusetrack: {error}", file=sys.stderr)
    sys.exit(1)
