"""What runs here: the models, the TFLite runtime and their versions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge.config import VisionConfig
from edge.vision.manifest import Manifest, ModelName, bundled, load_manifest, read_model
from edge.vision.tflite import open_runtime

_PACKAGES = {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}


@dataclass(frozen=True, slots=True)
class About:
    """Names with versions, as alerts and health tell them."""

    runtime: str
    face_model: str
    expression_model: str
    eye_model: str

    @classmethod
    def of(cls, config: VisionConfig) -> About:
        """What ``config`` runs.

        Raises:
            ModelError: a manifest is missing or wrong.
            UnavailableError: no TFLite runtime.
        """
        runtime, _ = open_runtime(config.runtime)
        face, expression, eyes = _manifests(config)
        return cls(
            runtime=f"{runtime} {_package_version(_PACKAGES[runtime])}",
            face_model=f"{face.name} {face.version}",
            expression_model=f"{expression.name} {expression.version}",
            eye_model=f"{eyes.name} {eyes.version}",
        )


def verified_models(config: VisionConfig) -> list[Manifest]:
    """The manifests of the configured models, after their files' checksums were compared.

    Raises:
        ModelError: a model or manifest is missing, or is not what it should be.
    """
    manifests = _manifests(config)
    for path, manifest in zip(_paths(config).values(), manifests, strict=True):
        read_model(path, manifest)
    return manifests


def _paths(config: VisionConfig) -> dict[ModelName, Path]:
    return {
        "face": config.face_model or bundled("face"),
        "expression": config.expression_model or bundled("expression"),
        "eyes": config.eye_model or bundled("eyes"),
    }


def _manifests(config: VisionConfig) -> list[Manifest]:
    return [load_manifest(path, name) for name, path in _paths(config).items()]


def _package_version(package: str) -> str:
    """Empty for a runtime that came without package metadata, as some board images have it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
