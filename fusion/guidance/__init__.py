"""A fused picture, led some steps further by the gradient of what it is asked for: in closed form, compiled."""
