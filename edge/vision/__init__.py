"""From pixels to an observation: models, crops, quality."""
