"""Training, conversion and evaluation of the bundled models. Not part of the installed package."""
