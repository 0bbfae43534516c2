"""Runs the device with a real Home Assistant, as its users have it, and says what that makes of it."""
