"""Values as TOML writes them."""

from __future__ import annotations

import json
from pathlib import Path


def toml_value(value: object) -> str:
    """A text, number, flag, path, list or table as one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
