"""What limits the models: their multiplications and bytes against what this machine does at best.

``python -m benchmarks.roofline`` in the training's environment: it needs TensorFlow to make a dense int8 model, whose
speed through the same runtime is taken for the machine's peak, and LiteRT to run it and ours, taking turns.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from rich.console import Console
from rich.table import Table

from benchmarks.page import write
from edge.vision.manifest import bundled, load_manifest, read_model

DENSE = {"dense 1x1": (24, 256, 1), "dense 3x3": (16, 128, 3), "dense 3x3 small": (12, 96, 3)}
"""Side, channels in and out, and kernel of layers that keep the multipliers busy and fit into the cache."""

LAYERS = 2
ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiplications (MACs) of one run, bytes of the weights, and bytes of all activations written."""

    macs: int
    weights: int
    activations: int


def dense_model(side: int, channels: int, kernel: int) -> bytes:
    """An int8 model of a few equal convolutions."""
    import tensorflow as tf  # noqa: PLC0415 - seconds to import, and only here

    layers = [tf.keras.layers.Conv2D(channels, kernel, padding="same", activation="relu") for _ in range(LAYERS)]
    model = tf.keras.Sequential([tf.keras.layers.Input((side, side, channels), 1), *layers])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    converter.representative_dataset = lambda: (
        [rng.normal(size=(1, side, side, channels)).astype(np.float32)] for _ in range(4)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def cost(content: bytes) -> Cost:
    """Counted over the model's layers."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate hides the layers that it took over
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    macs = weights = activations = 0
    for layer in interpreter._get_ops_details():  # noqa: SLF001 - there is no public way to the layers
        written = [tensors[index] for index in layer["outputs"]]
        activations += sum(_bytes(tensor) for tensor in written)
        out = int(np.prod(written[0]["shape"]))
        if layer["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel = tensors[layer["inputs"][1]]
            weights += _bytes(kernel)
            # of a kernel (out, h, w, in), or (1, h, w, out) where each channel has its own
            of_one = kernel["shape"][1:3] if layer["op_name"] == "DEPTHWISE_CONV_2D" else kernel["shape"][1:]
            macs += out * int(np.prod(of_one))
    return Cost(macs, weights, activations)


def times_ms(models: dict[str, bytes]) -> dict[str, float]:
    """The fastest run of each, one thread, taking turns: what the machine can do when nobody disturbs it."""
    runners = {name: Interpreter(model_content=content, num_threads=1) for name, content in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for runner in runners.values():
        runner.allocate_tensors()
        runner.invoke()
    for _ in range(ROUNDS):
        for name, runner in runners.items():
            begin = time.perf_counter()
            runner.invoke()
            taken[name].append((time.perf_counter() - begin) * 1000.0)
    return {name: min(ms) for name, ms in taken.items()}


def _bytes(tensor: dict[str, Any]) -> int:
    return int(np.prod(tensor["shape"])) * int(np.dtype(tensor["dtype"]).itemsize)


def main() -> None:
    """Make, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    ours = {name: read_model(path, load_manifest(path, name)) for name, path in _manifests().items()}
    models = {name: dense_model(*shape) for name, shape in DENSE.items()} | ours
    times = times_ms(models)
    costs = {name: cost(content) for name, content in models.items()}
    rates = {name: costs[name].macs / times[name] / 1e6 for name in models}
    peak = max(rates[name] for name in DENSE)
    rows = [_row(name, costs[name], times[name], rates[name] / peak) for name in models]
    table = Table(*HEAD, title="int8 through LiteRT, 1 thread, taking turns")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    if arguments.write:
        write("roofline", HEAD, rows)


HEAD = ("model", "M MACs", "weights kB", "activations kB", "MACs a byte", "fastest ms", "G MAC/s", "of the peak")


def _row(name: str, it: Cost, fastest_ms: float, of_peak: float) -> list[str]:
    return [
        name,
        f"{it.macs / 1e6:.1f}",
        f"{it.weights / 1000:.0f}",
        f"{it.activations / 1000:.0f}",
        f"{it.macs / (it.weights + it.activations):.0f}",
        f"{fastest_ms:.3f}",
        f"{it.macs / fastest_ms / 1e6:.0f}",
        f"{of_peak:.0%}",
    ]


def _manifests() -> dict[Any, Path]:
    return {name: bundled(name) for name in ("face", "follow", "expression", "eyes")}


if __name__ == "__main__":
    main()
