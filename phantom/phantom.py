"""One specimen before all its instruments."""

from __future__ import annotations

from dataclasses import dataclass

from phantom.acquisition import Acquisition
from phantom.anatomy.anatomy import Anatomy
from phantom.cells.history import History
from volumes.errors import ConfigError
from volumes.transform import Composite, Transform


@dataclass(frozen=True, eq=False)
class Phantom:
    """A specimen, and every instrument that looks at it.

    Parameters
    ----------
    anatomy : its tissue.
    history : its cells over time.
    acquisitions : what each instrument records, by name.
    """

    anatomy: Anatomy
    history: History
    acquisitions: dict[str, Acquisition]

    def __getitem__(self, name: str) -> Acquisition:
        if name not in self.acquisitions:
            known = ", ".join(self.acquisitions)
            raise ConfigError("no such instrument", field="instruments", value=name, remedy=f"It has {known}")
        return self.acquisitions[name]

    def transform(self, fixed: str, moving: str) -> Transform:
        """The true transform: points of one instrument's world at its first frame → points of another's, in µm.

        ``T = P_moving ∘ P_fixed⁻¹``, exact to rounding, whatever bends between them.
        """
        return Composite((self[moving].pose.to_world, self[fixed].pose.to_world.inverse()))
