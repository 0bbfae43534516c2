"""The machine underneath: service manager, temperature, throttling, clock."""
