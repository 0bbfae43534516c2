"""One adapter over the two TFLite runtimes: ``ai-edge-litert``, and its predecessor ``tflite-runtime``."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.errors import ModelError, UnavailableError
from edge.vision.manifest import Manifest, ModelName, TensorSpec, load_manifest, read_model

Runtime = Literal["auto", "litert", "tflite"]

_MODULES = {"litert": "ai_edge_litert.interpreter", "tflite": "tflite_runtime.interpreter"}
_CHATTER = (b"INFO: Created TensorFlow Lite", b"INFO: Initialized TensorFlow Lite")
"""How lines begin that say no more than that the runtime is there."""
_PACKAGES = {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}


def open_runtime(runtime: Runtime) -> tuple[str, Any]:
    """Name of the runtime and its ``Interpreter`` class.

    Raises:
        UnavailableError: the wanted runtime, or any at all, is not installed.
    """
    wanted = ["litert", "tflite"] if runtime == "auto" else [runtime]
    for name in wanted:
        try:
            return name, importlib.import_module(_MODULES[name]).Interpreter
        except ImportError:
            continue
    packages = " or ".join(_PACKAGES[name] for name in wanted)
    raise UnavailableError(f"TFLite runtime {packages} is not installed; pip install {_PACKAGES[wanted[0]]}")


class TfliteModel:
    """A loaded model: uint8 in, numbers out in the order of the manifest's outputs.

    The input is copied in: for these sizes that takes about as long as to make a view of the tensor, which would have
    to be dropped before each run. The returned arrays are new at each call. Not thread-safe: one model, one thread.
    ``interpreter`` is the runtime's; a measurement may put another in its place that times ``invoke``.
    """

    def __init__(self, manifest: Manifest, content: bytes, origin: Path, runtime: Runtime, threads: int) -> None:
        self.manifest = manifest
        self.runtime, interpreter_class = open_runtime(runtime)
        if not _has_header(content):
            raise ModelError(f"{origin}: not a TFLite model: it does not begin as one")
        try:
            with _without_chatter():
                self.interpreter: Any = interpreter_class(model_content=content, num_threads=threads)
                self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise ModelError(f"{origin}: not a TFLite model that {self.runtime} can run: {first_line}") from None
        inputs = self.interpreter.get_input_details()
        self._input: int = _match(origin, manifest.input, inputs)["index"]
        outputs = self.interpreter.get_output_details()
        found = [_match(origin, spec, outputs) for spec in manifest.outputs]
        self._outputs: list[int] = [detail["index"] for detail in found]
        self._meanings = [_meaning(detail) for detail in found]

    @classmethod
    def load(cls, path: Path, name: ModelName, runtime: Runtime = "auto", threads: int = 1) -> Self:
        """Load the model that the manifest at ``path`` describes.

        Raises:
            ModelError: manifest or model is missing, damaged, swapped or of another shape.
            UnavailableError: no TFLite runtime.
        """
        manifest = load_manifest(path, name)
        return cls(manifest, read_model(path, manifest), path.parent / manifest.file, runtime, threads)

    def run(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Invoke on ``picture`` (the manifest's input shape, uint8); one float32 array for each output."""
        return [self.real(output, raw) for output, raw in enumerate(self.run_raw(picture))]

    def run_raw(self, picture: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Like ``run``, but with the outputs as they are stored: for those who need only some of their numbers."""
        interpreter = self.interpreter
        interpreter.set_tensor(self._input, picture)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in self._outputs]

    def real(self, output: int, raw: NDArray[Any]) -> NDArray[np.float32]:
        """The real numbers that numbers out of the output of this number stand for; of any shape, in one piece."""
        meaning = self._meanings[output]
        return np.asarray(raw, np.float32) if meaning is None else meaning.take(raw.view(np.uint8))


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep the runtime's news of itself, such as the delegate that it has made, out of stderr; all else gets there.

    Both runtimes write them to file descriptor 2, whatever their environment says, and their Python interface cannot
    be told not to. What other threads write meanwhile comes a moment late.
    """
    with ExitStack() as stack:
        try:
            real = stack.enter_context(os.fdopen(os.dup(2), "wb", buffering=0))
            kept = stack.enter_context(os.fdopen(os.memfd_create("stderr"), "w+b", buffering=0))
        except OSError:  # closed, or no more files to be had: then the news is shown
            yield
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real.fileno(), 2)
            kept.seek(0)
            for line in kept:
                if not line.startswith(_CHATTER):
                    real.write(line)


def _has_header(content: bytes) -> bool:
    """Whether root offset and identifier are a TFLite flatbuffer's; tflite-runtime dies of content that has none."""
    return content[4:8] == b"TFL3" and int.from_bytes(content[:4], "little") < len(content)


def _match(origin: Path, spec: TensorSpec, details: list[dict[str, Any]]) -> dict[str, Any]:
    """The tensor with the manifest's dtype and shape; the converter does not keep names or order."""
    kinds = [(np.dtype(detail["dtype"]).name, tuple(map(int, detail["shape"]))) for detail in details]
    if (spec.dtype, spec.shape) in kinds:
        return details[kinds.index((spec.dtype, spec.shape))]
    found = ", ".join(f"{dtype} {shape}" for dtype, shape in kinds)
    raise ModelError(f"{origin}: {spec.name}: expected {spec.dtype} {spec.shape}, found {found}")


def _meaning(detail: dict[str, Any]) -> NDArray[np.float32] | None:
    """What each of an output's 256 byte patterns stands for, by its own scale and zero point; None for real numbers."""
    if np.dtype(detail["dtype"]).kind == "f":
        return None
    scale, zero = detail["quantization"]
    patterns = np.arange(256, dtype=np.uint8).view(detail["dtype"])
    return np.asarray((patterns.astype(np.int64) - zero) * scale, np.float32)
