"""2-D to 3-D: the pose of a volume in a camera's flat picture of its whole depth."""

from registration.projection.projection import Projection, ProjectionConfig

__all__ = ["Projection", "ProjectionConfig"]
