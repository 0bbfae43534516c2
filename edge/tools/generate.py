"""Writes what is made from the code (``make generate``): example configuration, key tables, reference, schemas.

``--check`` writes nothing and ends with 1 where a file is not as it would be written.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge.config import Config
from edge.config.reference import example, presets_table, reference, replaced, short_table
from edge.mqtt import asyncapi
from edge.mqtt.schemas import FOLDER, MODELS, schema_text

ROOT = Path(__file__).parents[2]
HEAD = """\
Evenkeel's configuration: the keys that most people need, each with its default; an empty file is valid.
To change one, take the '#' in front of it away. `evenkeel check --show --all` prints all other keys.
`evenkeel check FILE` names what is wrong with a file. EVENKEEL_<SECTION>__<KEY> in the environment overrides it
(EVENKEEL_MQTT__HOST=broker)."""


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Each file's text as it should be.

    Raises:
        ValueError: a page has lost the marks of a generated part.
    """
    presets = presets_table(json.loads((root / "calibration/presets.json").read_text()))
    pages = {
        "README.md": {"basic keys": short_table(Config)},
        "calibration/README.md": {"sensitivities": presets},
        "docs/figures.md": {"sensitivities": presets},
        "docs/configuration.md": {"sensitivities": presets, "keys": reference(Config)},
    }
    texts = {root / name: replaced((root / name).read_text(), parts) for name, parts in pages.items()}
    texts[root / "systemd/evenkeel.toml"] = example(Config, HEAD)
    texts[asyncapi.FILE] = asyncapi.asyncapi_text()
    return texts | {FOLDER / f"{name}.json": schema_text(name) for name in MODELS}


def main() -> None:
    """Write all, or say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    check = parser.parse_args().check
    differ = {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}
    for path, text in differ.items():
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)}: differs from what `make generate` writes\n")
        else:
            path.write_text(text)
    if check and differ:
        sys.exit(1)


if __name__ == "__main__":
    main()
