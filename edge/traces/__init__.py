"""Traces of numbers: written, rotated, read, and replayed."""
