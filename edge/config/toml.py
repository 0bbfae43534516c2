"""Values as TOML writes them, and text read as TOML."""

from __future__ import annotations

import json
import math
from datetime import date, time
from pathlib import Path
from typing import Any

from edge.compat import tomllib


def toml_value(value: object) -> str:
    """A text, number, flag, path, list or table as one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def read_toml(text: str) -> dict[str, Any]:
    """``text`` as TOML.

    Raises:
        ValueError: it is none; the message says why, with the place where that is known.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python converts no text of more than some thousand digits
        raise ValueError("a number has too many digits") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
