"""The words of the pages, a file a language."""
