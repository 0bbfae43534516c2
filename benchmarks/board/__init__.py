"""Installs and tries everything on emulated arm64 boards, and compares what comes out with this machine."""
