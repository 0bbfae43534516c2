"""Real brokers and their tightest limits: whether every alert gets through them all the same."""
