"""A teacher's answers to all training faces in one small file, so that a student is taught without the teacher.

A file holds, for each source, (N, 9) uint8: minus the natural logarithm of each probability in steps of ``STEP``, in
the order of the source's faces; and ``about``, a line that says what answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STEP = 0.04  # in natural logarithms; the least that can be told is exp(-10.2)
ABOUT = "about"


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, 9) by the name of the source, and what answered."""

    by_source: dict[str, NDArray[np.float32]]
    about: str


def encode(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities as uint8 steps of their logarithm."""
    least = np.exp(-255 * STEP)
    return np.round(-np.log(np.maximum(probabilities, least)) / STEP).astype(np.uint8)


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (N, 9) of codes; each row adds up to 1."""
    powers = np.exp(-codes.astype(np.float32) * STEP)
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def write(path: Path, by_source: Mapping[str, NDArray[np.float32]], about: str) -> None:
    """Write the answers of a teacher that ``about`` describes."""
    write_codes(path, {name: encode(values) for name, values in by_source.items()}, about)


def read(path: Path, counts: Mapping[str, int]) -> Answers:
    """The answers for sources of ``counts`` faces; sources that the teacher did not see are missing.

    Raises:
        SystemExit: the file cannot be read, or is of other faces.
    """
    codes, about = read_codes(path, counts, "a teacher's answers", "answers")
    return Answers({name: decode(values) for name, values in codes.items()}, about)


def write_codes(path: Path, codes: Mapping[str, NDArray[np.uint8]], about: str) -> None:
    """Write (N, M) codes by the name of the source, and a line about them."""
    np.savez_compressed(path, **{ABOUT: np.array(about), **codes})  # type: ignore[arg-type]


def read_codes(path: Path, counts: Mapping[str, int], what: str, does: str) -> tuple[dict[str, NDArray[np.uint8]], str]:
    """The codes of sources of ``counts`` faces, of those that the file has, and the line about them.

    Raises:
        SystemExit: the file cannot be read as ``what`` it should hold, or ``does`` so of other faces.
    """
    try:
        with np.load(path, allow_pickle=False) as table:
            about = str(table[ABOUT])
            codes = {name: table[name] for name in counts if name in table}
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{path}: cannot be read as {what} ({error})") from error
    for name, values in codes.items():
        if len(values) != counts[name]:
            raise SystemExit(f"{path}: {does} {len(values)} faces of {name}, the data hold {counts[name]}")
    return codes, about
