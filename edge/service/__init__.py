"""The running service: its loop, what it is told, what it says, and what it keeps."""
