"""The demo: a bundled synthetic clip, a broker in this process, and what a subscriber sees."""
