"""Placing the camera: whether the driver's face can be read from where it is, and what to change. ``evenkeel aim``."""
