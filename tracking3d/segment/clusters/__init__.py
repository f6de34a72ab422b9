"""Cells as clusters of voxels that look alike."""
