"""Measurements against a real broker: kills at random, and fleets. Not part of the installed package."""
