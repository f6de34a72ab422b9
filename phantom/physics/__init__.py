"""What instruments do to light, X-rays and spins, as functions of arrays: usable on real volumes too."""
