"""From drives as numbers to thresholds: simulated drives, scoring, sweeps, reports. Nothing here runs on the board."""
