"""What the network says of every voxel, channel by channel, and how large a cell is meant to be on its grid."""

from __future__ import annotations

DIAMETER = 14.0
"""Voxels across a typical cell on the network's grid, which is isotropic."""

FOREGROUND = 0
"""Logit that the voxel belongs to a cell."""
DISTANCE = 1
"""Distance to the cell's border over the largest one in that cell: 0 outside, 1 at the innermost voxel."""
OFFSET = slice(2, 5)
"""From the voxel to its cell's centre (z, y, x), in :data:`DIAMETER`."""
SIZE = 5
"""ln of the diameter of a ball of the cell's volume over :data:`DIAMETER`; it says how wrong the grid's scale is."""
HEADS = 6
WEIGHT = 6
"""In targets alone: 0 where nothing is known, else 1."""
