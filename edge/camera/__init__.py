"""Frame sources, one file each, opened by name and imported only when asked for."""
