"""Reasons in words: one catalogue a language, so that what decides makes no sentences."""

from edge.words.catalogue import DEFAULT, Catalogue, catalogue, languages, say

__all__ = ["DEFAULT", "Catalogue", "catalogue", "languages", "say"]
