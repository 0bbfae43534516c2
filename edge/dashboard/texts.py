"""The words of the pages in one language, with those of reasons and kinds, as the pages fetch them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from edge.compat import tomllib
from edge.words.catalogue import catalogue

LANGUAGES = ("en", "de")


@cache
def words(language: str) -> dict[str, Any]:
    """The pages' words in one of LANGUAGES."""
    text = (resources.files("edge.dashboard.words") / f"{language}.toml").read_text(encoding="utf-8")
    shared = catalogue(language)
    reasons = {code.value: said for code, said in shared.reasons.items()}
    return tomllib.loads(text) | {
        "language": language,
        "reason": reasons,
        "kind": dict(shared.kinds),
        "and": shared.joint,
    }
