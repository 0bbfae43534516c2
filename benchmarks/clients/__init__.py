"""Clients that nobody here wrote, on a real broker: whether they get every alert once, and figures that hold."""
