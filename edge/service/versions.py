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
    follow_model: str | None = None
    """None where the face model looks at every frame."""

    @classmethod
    def of(cls, config: VisionConfig) -> About:
        """What ``config`` runs.

        Raises:
            ModelError: a manifest is missing or wrong.
            UnavailableError: no TFLite runtime.
        """
        runtime, _ = open_runtime(config.runtime)
        names = {name: f"{one.name} {one.version}" for name, one in _manifests(config).items()}
        return cls(
            runtime=f"{runtime} {_package_version(_PACKAGES[runtime])}",
            face_model=names["face"],
            expression_model=names["expression"],
            eye_model=names["eyes"],
            follow_model=names.get("follow"),
        )


def verified_models(config: VisionConfig) -> list[Manifest]:
    """The manifests of the configured models, after their files' checksums were compared.

    Raises:
        ModelError: a model or manifest is missing, or is not what it should be.
    """
    manifests = _manifests(config)
    for name, path in _paths(config).items():
        read_model(path, manifests[name])
    return list(manifests.values())


def _paths(config: VisionConfig) -> dict[ModelName, Path]:
    paths: dict[ModelName, Path] = {
        "face": config.face_model or bundled("face"),
        "expression": config.expression_model or bundled("expression"),
        "eyes": config.eye_model or bundled("eyes"),
    }
    return {**paths, "follow": config.follow_model or bundled("follow")} if config.tracking else paths


def _manifests(config: VisionConfig) -> dict[ModelName, Manifest]:
    return {name: load_manifest(path, name) for name, path in _paths(config).items()}


def _package_version(package: str) -> str:
    """Empty for a runtime that came without package metadata, as some board images have it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
