"""What is said to the driver in the cab: which alert speaks when, and the sound card."""
