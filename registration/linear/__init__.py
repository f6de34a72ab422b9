"""Linear registration: all rotations searched coarsely, then normalised mutual information climbed, coarse to fine."""

from registration.linear.linear import AffineConfig, Linear, LinearConfig, RigidConfig, SimilarityConfig

__all__ = ["AffineConfig", "Linear", "LinearConfig", "RigidConfig", "SimilarityConfig"]
