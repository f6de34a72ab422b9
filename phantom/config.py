"""What a phantom is made of: anatomy, cells, instruments, one difficulty and one seed; frozen and closed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from phantom.anatomy.config import AnatomyConfig
from phantom.cells.config import CellsConfig
from phantom.instruments.config import InstrumentKind
from phantom.instruments.instrument import InstrumentConfig

if TYPE_CHECKING:
    from phantom.phantom import Phantom

Name = Annotated[str, Field(pattern=r"^[a-zA-Z][\w-]{0,63}$")]
"""A name that can be a file's: letters, digits, dash and underscore."""


class PhantomConfig(BaseModel):
    """One specimen and all that looks at it. Lengths in µm, times in seconds, angles in degrees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    title: str = ""
    seed: int = Field(0, ge=0, description="of everything; the same seed gives the same bytes")
    difficulty: float = Field(
        0.5,
        ge=0,
        le=1,
        description="0 easy to 1 barely solvable: decides all blur, noise, haze and spread that is not stated",
    )
    anatomy: AnatomyConfig
    cells: CellsConfig
    instruments: dict[Name, InstrumentKind] = Field(min_length=1)

    @field_validator("instruments")
    @classmethod
    def _files_of_their_own(cls, value: dict[str, InstrumentKind]) -> dict[str, InstrumentKind]:
        """No two names may stand for one file, also where a disk takes capitals and small letters for the same."""
        pairs = [f"{a}_to_{b}" for a in value for b in value if a != b]
        for names, what in ((list(value), "instruments"), (pairs, "transforms")):
            twice = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
            if twice:
                raise ValueError(f"two {what} would be written to one file, {twice[0]}: rename an instrument")
        return value

    def build(self) -> Phantom:
        """The phantom; its pictures are drawn when they are asked for.

        Raises
        ------
        ConfigError : numbers that contradict each other, or cells that find no room.
        """
        from phantom.build import built

        return built(self)

    def times_s(self, name: str) -> tuple[float, ...]:
        """When an instrument takes its frames, on the specimen's clock."""
        instrument: InstrumentConfig = self.instruments[name]
        step = instrument.dt_s or self.cells.dt_s
        return tuple(instrument.start_s + step * frame for frame in range(instrument.frames))
