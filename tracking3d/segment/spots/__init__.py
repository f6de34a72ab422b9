"""Cells as bright blobs of about one size."""
