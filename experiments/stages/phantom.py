"""Stage ``phantom``: a specimen is drawn, whose instruments are the sources of all that follows."""

from __future__ import annotations

import json

from experiments.entries import Simulated
from experiments.phantom_file import files_of
from experiments.run_folder import RunFolder
from experiments.stage import Stage

NAME = "phantom"


def phantom_stage(simulated: Simulated, folder: RunFolder) -> Stage:
    """Draws the phantom into the run's folder; its key holds the phantom's whole config and the code that draws it."""
    files = files_of(simulated.config)
    settings = simulated.config.model_dump_json(exclude={"title"})
    for path in files.values():  # a result depends on what a file holds, not on where it lies
        settings = settings.replace(json.dumps(str(path)), json.dumps(path.name))
    return Stage(
        NAME,
        settings,
        (folder.phantom.name,),
        lambda: _draw(simulated, folder),
        inputs=files,
        code=("phantom",),
    )


def _draw(simulated: Simulated, folder: RunFolder) -> None:
    """All that was done before rests on another phantom: its markers go first, so that none of it passes for done."""
    from phantom.recording import write_phantom

    for marker in folder.markers():
        marker.unlink()
    write_phantom(simulated.config, folder.phantom)
