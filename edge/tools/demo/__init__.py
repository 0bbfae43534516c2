"""The demo: the service on a bundled synthetic clip, a broker in this process, and what a subscriber sees of it."""

from edge.tools.demo.demo import run_demo, run_web_demo

__all__ = ["run_demo", "run_web_demo"]
