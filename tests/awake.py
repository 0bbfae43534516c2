"""Eyes that are open, for tests of what goes by something else: without them fatigue cannot be judged."""

from edge.domain import Eyes

AWAKE = Eyes(openness_left=0.9, openness_right=0.9, readable_left=1.0, readable_right=1.0).reading()
