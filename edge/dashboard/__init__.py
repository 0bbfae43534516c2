"""Pages to look at a running device in a browser: fed by the broker, never by the camera."""
