"""From a published int8 ``.tflite`` back to a network that trains on: nobody needs the run that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch._dynamo  # before TensorFlow, see export.py
from numpy.typing import NDArray
from tensorflow.lite.tools import flatbuffer_utils
from torch import Tensor, nn

from models.training.nets import ConvBlock

Net = TypeVar("Net", bound=nn.Module)
Thing = TypeVar("Thing")
HEAD_LAYERS = 5  # of a graph that also tells cues: nets.CueHead's, whose last is two there
FULL_SCALE = 255.0  # a published graph takes raw luma, a network 0 to 1


@dataclass(frozen=True)
class _Layer:
    """Kernel, (outputs, inputs, k, k) or (outputs, inputs), and bias (outputs,), float32."""

    kernel: Tensor
    bias: Tensor


def restore(candidates: Iterable[Net], path: Path, pictures: Tensor) -> Net:
    """The first of ``candidates`` that has a published model's shape, with its weights, up to what int8 rounded away.

    The published graph has its normalisations folded into the kernels. ``pictures`` (N, 1, H, W), 0 to 1, like
    those that training shows, tell how large each layer's sums are; from that, normalisations are made that training
    can go on with.

    Raises:
        SystemExit: the file is no int8 model, or one of a shape that no candidate has.
    """
    layers = _by_size(_read_layers(path), lambda layer: layer.kernel)
    for net in candidates:
        modules = _by_size((m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)), lambda m: m.weight)
        shapes = [m.weight.shape for m in modules]
        own = [layer for layer in layers if layer.kernel.shape in shapes]
        if shapes == [layer.kernel.shape for layer in own] and len(layers) - len(own) in (0, HEAD_LAYERS):
            return _fill(net, dict(zip(modules, own, strict=True)), pictures)
    raise SystemExit(f"{path}: its layers are of another shape than the network's that is to take its weights")


def input_side(path: Path) -> int:
    """Side of the square picture that a published model takes, in pixels.

    Raises:
        SystemExit: the file is no model.
    """
    graph = _read_graph(path).subgraphs[0]
    return int(graph.tensors[graph.inputs[0]].shape[1])


def _by_size(things: Iterable[Thing], kernel: Callable[[Thing], Tensor]) -> list[Thing]:
    """Sorted by the kernels' height and width.

    Among kernels of one size a graph and its network have the same order: each takes what the one before it made.
    """
    return sorted(things, key=lambda thing: tuple(kernel(thing).shape[2:]))


def _fill(net: Net, layers: dict[nn.Module, _Layer], pictures: Tensor) -> Net:
    blocks = {block.conv: block for block in net.modules() if isinstance(block, ConvBlock)}
    hooks = []
    for module, layer in layers.items():
        if module in blocks:
            hooks.append(module.register_forward_hook(_normaliser(blocks[module], layer)))
        else:
            module.weight.data.copy_(layer.kernel)
            module.bias.data.copy_(layer.bias)
    with torch.no_grad():
        net.eval()(pictures)
    for hook in hooks:
        hook.remove()
    return net


def _normaliser(block: ConvBlock, layer: _Layer) -> Callable[..., Tensor]:
    """A hook that sets ``block`` to compute what ``layer`` does, once it sees what comes in.

    Kernels get the size that a fresh network's have (He et al. 2015), so that a learning rate means the same to both.
    """
    kernel = layer.kernel * FULL_SCALE if layer.kernel.shape[1] == 1 else layer.kernel
    usual = (2 / kernel[0].numel()) ** 0.5
    gain = usual / kernel.flatten(1).std(1).clamp(min=1e-6)

    def normalise(conv: nn.Conv2d, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor:
        conv.weight.data.copy_(kernel * gain[:, None, None, None])
        sums = conv.forward(*inputs)
        norm = block.norm
        norm.running_mean, norm.running_var = sums.mean((0, 2, 3)), sums.var((0, 2, 3))
        norm.weight.data.copy_(torch.sqrt(norm.running_var + norm.eps) / gain)
        norm.bias.data.copy_(layer.bias + norm.running_mean / gain)
        return sums

    return normalise


def _read_layers(path: Path) -> list[_Layer]:
    """The kernels of a published graph in the order in which it runs them."""
    model = _read_graph(path)
    graph = model.subgraphs[0]
    constants = [[graph.tensors[index] for index in operator.inputs if index >= 0] for operator in graph.operators]
    layers = []
    for tensors in constants:
        kernel, bias = (tensors[1], tensors[2]) if len(tensors) == 3 else (None, None)
        if kernel is None or kernel.quantization is None or len(kernel.shape) not in {2, 4}:
            continue
        values = torch.from_numpy(_dequantised(model, kernel))
        layers.append(
            _Layer(
                values.permute(0, 3, 1, 2).contiguous() if values.ndim == 4 else values,
                torch.from_numpy(_dequantised(model, bias)),
            )
        )
    return layers


def _read_graph(path: Path) -> Any:
    try:
        return flatbuffer_utils.read_model(str(path))
    except Exception as error:  # whatever flatbuffers raises on bytes of another kind
        raise SystemExit(f"{path}: cannot be read as a .tflite model ({error})") from error


def _dequantised(model: Any, tensor: Any) -> NDArray[np.float32]:
    """Values of a constant tensor, each times the scale of its output channel, which comes first; no zero points."""
    kind = {9: np.int8, 2: np.int32}[tensor.type]
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
    scale = np.asarray(tensor.quantization.scale, np.float32)
    return (values * scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float32)
