"""A model's manifest: what the ``.tflite`` beside it is, what goes in and comes out, and how good it measured."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.compat import Self, tomllib
from edge.decision.ordinary import OrdinaryFace
from edge.errors import ModelError
from edge.section import Share
from edge.vision.crop import CropRule

Figure = float | int | str
ModelName = Literal["face", "follow", "expression", "eyes"]
"""What a model is for."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorSpec(_Part):
    """One input or output tensor."""

    name: str
    dtype: Literal["uint8", "int8", "float32"]
    shape: tuple[int, ...]
    description: str


class CropSpec(_Part):
    """The crop rule, as in ``edge.vision.crop.CropRule``."""

    size_px: Annotated[int, Field(ge=8, le=512)]
    centre_x: float
    centre_y: float
    unit: float

    def rule(self) -> CropRule:
        """The rule that ``cut_crop`` takes."""
        return CropRule(self.size_px, self.centre_x, self.centre_y, self.unit)


class GridSpec(_Part):
    """How a face model's maps are read: pixels a cell, and the face size (input pixels) whose logarithm is 0."""

    stride_px: Annotated[int, Field(ge=1)]
    size_unit_px: Annotated[float, Field(gt=0)]


class WindowSpec(_Part):
    """What a model that follows a face sees of a picture, and when its points count.

    ``span`` is the side of its window around where the face was, in face sizes; ``least_trust`` how likely the points
    must be true.
    """

    span: Annotated[float, Field(ge=1, le=4)]
    least_trust: Share


class RestSpec(_Part):
    """How an expression model reads faces at rest: ``signal`` and ``most`` of ``OrdinaryFace``."""

    ordinary: Annotated[float, Field(gt=0, lt=1)] = OrdinaryFace().signal
    most: Annotated[float, Field(gt=0, lt=1)] = OrdinaryFace().most

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ordinary > self.most:
            raise ValueError("ordinary must not be above most")
        return self


class FamiliarSpec(_Part):
    """How an expression model's largest logit tells whether a face is like those that it learned from.

    ``none`` and ``full`` are logits: from ``full`` up a face is as familiar as those of training, from ``none`` down it
    is unlike any (the maximum logit of Hendrycks et al., "Scaling out-of-distribution detection for real-world
    settings", ICML 2022).
    """

    none: float
    full: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.none >= self.full:
            raise ValueError("none must be below full")
        return self

    def share(self, largest_logit: float) -> float:
        """How familiar a face is, 0 to 1: straight from ``none`` to ``full``."""
        return min(max((largest_logit - self.none) / (self.full - self.none), 0.0), 1.0)


class Measurement(_Part):
    """Figures measured on one data set by one protocol."""

    data: str
    protocol: str
    samples: int
    figures: dict[str, Figure]


class Manifest(_Part):
    """Everything that the loader must know and a reader may want to."""

    name: ModelName
    version: str
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    description: str
    licence: str
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    """Names of the numbers of the output ``cues``, where the model has one."""
    temperature: float | None = None
    usual: dict[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    """By kind of alert, the share of the time in which ordinary faces at rest are read as such at 0.5 or more."""
    rest: RestSpec = RestSpec()
    familiar: FamiliarSpec | None = None
    """Of an expression model that tells its largest logit."""
    min_score: Share = 0.75
    """Least score that counts as a face, of a face model and of one that follows a face."""
    crop: CropSpec | None = None
    grid: GridSpec | None = None
    window: WindowSpec | None = None
    measurements: tuple[Measurement, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def ordinary_face(self) -> OrdinaryFace:
        """What an expression model makes of ordinary faces at rest."""
        return OrdinaryFace(self.rest.ordinary, self.rest.most, self.usual)


KEYS: dict[ModelName, str] = {
    "face": "face_model",
    "follow": "follow_model",
    "expression": "expression_model",
    "eyes": "eye_model",
}
"""The configuration's key of each model, in the section [vision]."""


def bundled(name: ModelName | Literal["eyes-clean"]) -> Path:
    """Path of a bundled model's manifest; ``eyes-clean`` is the eye model that was trained on renders alone."""
    return Path(str(resources.files("edge.vision") / "weights" / f"{name}.toml"))


def load_manifest(path: Path, name: ModelName) -> Manifest:
    """Read a manifest and hold it to the kind of model that is wanted.

    Raises:
        ModelError: the file is missing, unreadable, incomplete, or describes another kind of model.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such model manifest; reinstall evenkeel or correct [vision] {KEYS[name]}"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: model manifest cannot be read: {error}") from None
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise ModelError(f"{path}: {key}: {message}") from None
    if manifest.name != name:
        raise ModelError(f"{path}: is a model for '{manifest.name}', expected '{name}'")
    return manifest


def read_model(path: Path, manifest: Manifest) -> bytes:
    """The ``.tflite`` beside the manifest at ``path``, verified against its checksum.

    Raises:
        ModelError: missing, unreadable, or not the file that the manifest describes.
    """
    file = path.parent / manifest.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: model cannot be read: {error.strerror}; reinstall evenkeel") from None
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ModelError(f"{file}: expected sha256 {manifest.sha256}, found {found}; reinstall evenkeel")
    return content
