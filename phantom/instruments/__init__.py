"""Instruments: each turns a scene into the picture that it would take."""
