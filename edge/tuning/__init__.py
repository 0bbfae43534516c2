"""Thresholds from recorded drives: what ``evenkeel tune`` does, with the table engines and plots of an extra."""
