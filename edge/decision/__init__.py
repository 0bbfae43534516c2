"""From observations to transitions: pure, no clock, no I/O, no pixels."""
