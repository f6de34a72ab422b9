"""Cells from a trained network: targets and losses to train it, scale, blocks and decoding to use it."""
