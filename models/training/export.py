"""From a trained PyTorch network to an int8 ``.tflite`` with uint8 input, and its manifest.

PyTorch trains 1.5 to 1.9 times as fast as Keras on a CPU with bfloat16; TensorFlow alone converts. So the network is
rebuilt in Keras block by block with the normalisation folded in, and both must agree before anything is written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # Keras reads it once, when it is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Triton, which PyTorch's optimisers load, crashes the process where TensorFlow was loaded before it.
import torch._dynamo

import keras  # isort: skip
import numpy as np
import tensorflow as tf
import torch
from numpy.typing import NDArray
from torch import nn

from edge.vision.manifest import Manifest
from models.training.nets import ConvBlock, CueHead, ExpressionNet, EyeNet, FaceNet, FollowNet, Residual

Tensor = Any  # a symbolic Keras tensor
TOLERANCE = 2e-3  # float32 rounding through some twenty layers


def expression_graph(net: ExpressionNet, side: int, temperature: float, head: CueHead | None = None) -> keras.Model:
    """Raw luma (1, side, side, 1), 0 to 255, to probabilities (1, 9) and the largest of their logits (1, 1).

    The calibration temperature is folded in. With a ``head`` also to valence and arousal (1, 2) and to the cues'
    probabilities (1, 5), in between.
    """
    luma = keras.Input((side, side, 1), batch_size=1)
    x = _conv(net.stem, luma, gain=1 / 255)
    detail = x
    for number, block in enumerate(net.blocks, 1):
        x = _residual(block, x)
        detail = x if number == net.detailed else detail
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    weight, bias = net.classify.weight / temperature, net.classify.bias / temperature
    logits = _dense(weight, bias, pooled)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    largest = keras.ops.max(logits, axis=1, keepdims=True)
    more = () if head is None else _cues(head, detail, x)
    return keras.Model(luma, [probabilities, *more, largest])


def _cues(head: CueHead, detail: Tensor, deep: Tensor) -> tuple[Tensor, Tensor]:
    """Valence and arousal, and the cues: 2 p - 1 of a logistic p is the hyperbolic tangent of half the logit."""
    places = keras.layers.Concatenate()([_conv(head.near, detail), _conv(head.far, deep)])
    weight = _channels_last(head.hidden.weight, places)
    x = keras.layers.ReLU()(_dense(weight, head.hidden.bias, keras.layers.Flatten()(places)))
    weight, bias = head.answer.weight, head.answer.bias
    affect = keras.layers.Activation("tanh", name="affect")(_dense(weight[:2] / 2, bias[:2] / 2, x))
    return affect, keras.layers.Activation("sigmoid", name="cues")(_dense(weight[2:], bias[2:], x))


def eye_graph(net: EyeNet, side: int, eyes: int) -> keras.Model:
    """Levelled luma (eyes, side, side, 1), 0 to 255, to openness and readability of each eye (eyes, 2)."""
    luma = keras.Input((side, side, 1), batch_size=eyes)
    x = _residual(net.eighth, _residual(net.quarter, _conv(net.stem, luma, gain=1 / 255)))
    x = keras.layers.ReLU()(_dense(_channels_last(net.hidden.weight, x), net.hidden.bias, keras.layers.Flatten()(x)))
    answer = _dense(net.answer.weight, net.answer.bias, x)
    return keras.Model(luma, keras.layers.Activation("sigmoid", name="eyes")(answer))


def _channels_last(weight: torch.Tensor, places: Tensor) -> torch.Tensor:
    """Weights over flattened ``places``: PyTorch counts channels first, Keras last."""
    _, height, width, channels = places.shape
    return weight.reshape(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1)


def _dense(weight: torch.Tensor, bias: torch.Tensor, x: Tensor) -> Tensor:
    layer = keras.layers.Dense(len(bias))
    x = layer(x)
    layer.set_weights([_numpy(weight).T, _numpy(bias)])
    return x


def face_graph(net: FaceNet, height: int, width: int) -> keras.Model:
    """Raw luma (1, height, width, 1), 0 to 255, to score (after the sigmoid), box and points maps."""
    luma = keras.Input((height, width, 1), batch_size=1)
    x = _residual(net.quarter, _conv(net.stem, luma, gain=1 / 255))
    for block in net.eighth:
        x = _residual(block, x)
    deep = x
    for block in net.sixteenth:
        deep = _residual(block, deep)
    coarse = deep
    for block in net.coarse:
        coarse = _residual(block, coarse)
    deep = keras.layers.Add()([deep, keras.layers.UpSampling2D()(_conv(net.from_coarse, coarse))])
    x = keras.layers.Add()([x, keras.layers.UpSampling2D()(_conv(net.from_sixteenth, deep))])
    x = _conv(net.head, x)
    score = keras.layers.Activation("sigmoid", name="score")(_plain(net.score, x))
    return keras.Model(luma, [score, _plain(net.box, x), _plain(net.points, x)])


def follow_graph(net: FollowNet, side: int) -> keras.Model:
    """Raw luma (1, side, side, 1), 0 to 255, to two probabilities (1, 2) and answers (1, votes, numbers)."""
    luma = keras.Input((side, side, 1), batch_size=1)
    x = _residual(net.eighth, _residual(net.quarter, _conv(net.stem, luma, gain=1 / 255)))
    x = _conv(net.sixteenth, x)
    x = keras.layers.ReLU()(_dense(_channels_last(net.hidden.weight, x), net.hidden.bias, keras.layers.Flatten()(x)))
    sure = keras.layers.Activation("sigmoid", name="sure")(_dense(net.sure.weight, net.sure.bias, x))
    answers = _dense(net.answers.weight, net.answers.bias, x)
    return keras.Model(luma, [sure, keras.layers.Reshape((net.votes, net.numbers), name="answers")(answers)])


def _conv(block: ConvBlock, x: Tensor, gain: float = 1.0) -> Tensor:
    kernel, bias = block.folded()
    outputs, _, size, _ = kernel.shape
    layer = keras.layers.Conv2D(outputs, size, block.stride, padding="same")
    x = layer(x)
    layer.set_weights([_numpy(kernel).transpose(2, 3, 1, 0) * gain, _numpy(bias)])
    return keras.layers.ReLU()(x) if block.relu else x


def _residual(block: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(block, Residual)
    shortcut = x if block.shortcut is None else _conv(block.shortcut, x)
    return keras.layers.ReLU()(keras.layers.Add()([_conv(block.second, _conv(block.first, x)), shortcut]))


def _plain(conv: nn.Conv2d, x: Tensor) -> Tensor:
    layer = keras.layers.Conv2D(conv.out_channels, 1)
    x = layer(x)
    assert conv.bias is not None
    layer.set_weights([_numpy(conv.weight).transpose(2, 3, 1, 0), _numpy(conv.bias)])
    return x


def _numpy(values: torch.Tensor) -> NDArray[np.float32]:
    return values.detach().float().cpu().numpy()


def require_agreement(net: Callable[[torch.Tensor], Any], graph: keras.Model, pictures: NDArray[np.uint8]) -> None:
    """Raise where the Keras graph says something else than the PyTorch network on ``pictures`` (N, H, W).

    A graph that takes several at once gets each picture so many times.
    """
    for picture in pictures:
        luma = np.repeat(picture.astype(np.float32)[None], graph.input_shape[0], 0)
        with torch.no_grad():
            wanted = net(torch.from_numpy(luma / 255)[:, None])
        found = graph(luma[..., None], training=False)
        pairs = zip(
            wanted if isinstance(wanted, tuple) else (wanted,),
            found if isinstance(found, list | tuple) else (found,),
            strict=True,
        )
        for one, other in pairs:
            theirs = np.asarray(other)
            mine = _numpy(one.permute(0, 2, 3, 1) if one.ndim == 4 else one)
            gap = float(np.abs(mine - theirs).max())
            if gap > TOLERANCE:
                raise RuntimeError(f"converted graph differs from the trained network by {gap:.4f}")


def to_int8(graph: keras.Model, pictures: NDArray[np.uint8]) -> bytes:
    """Post-training full-integer quantisation; ranges come from representative ``pictures`` (N, H, W), uint8."""
    at_once = graph.input_shape[0]
    typical = _full_range(pictures)[: len(pictures) // at_once * at_once].astype(np.float32)
    batches = typical.reshape(-1, at_once, *typical.shape[1:], 1)
    converter = tf.lite.TFLiteConverter.from_keras_model(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([batch] for batch in batches)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def _full_range(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures with a black and a white pixel in the first, so that the input's scale is exactly 1."""
    stretched = pictures.copy()
    stretched[0, 0, :2] = (0, 255)
    return stretched


def to_float(graph: keras.Model) -> bytes:
    """The same graph in float32, to measure what quantisation costs."""
    return bytes(tf.lite.TFLiteConverter.from_keras_model(graph).convert())


def write_model(folder: Path, content: bytes, manifest: dict[str, Any], stem: str | None = None) -> Path:
    """Write ``<stem>.tflite`` and ``<stem>.toml``; the manifest gets file name and checksum and is validated.

    ``stem`` is the model's name where none is given.
    """
    name = manifest["name"]
    stem = stem or name
    entries = {**manifest, "file": f"{stem}.tflite", "sha256": hashlib.sha256(content).hexdigest()}
    Manifest.model_validate(entries)
    (folder / entries["file"]).write_bytes(content)
    path = folder / f"{stem}.toml"
    path.write_text(f"# Written by models/training/train_{name}.py; do not edit.\n{_toml(entries)}", encoding="utf-8")
    return path


def _toml(entries: dict[str, Any], prefix: str = "") -> str:
    """Plain TOML for the manifest's nesting: scalars and arrays first, then tables and arrays of tables."""
    lines = []
    tables: list[str] = []
    for key, value in entries.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            tables.append(f"\n[{name}]\n{_toml(value, f'{name}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables.extend(f"\n[[{name}]]\n{_toml(item, f'{name}.')}" for item in value)
        else:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join([*lines, *tables])
