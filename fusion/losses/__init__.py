"""What a fused picture should be like its sources in, as numbers with a gradient; torch throughout.

Tensors are (batch, channels, z, y, x); a slice has z = 1.
"""
