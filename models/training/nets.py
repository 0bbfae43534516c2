"""The networks, in PyTorch, built from blocks that convert one to one into an int8 TFLite graph.

Plain 3x3 convolutions with ReLU rather than depthwise ones: per multiply-accumulate they train about twice as fast on
a CPU, and int8 kernels with dot-product instructions run them near the machine's peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and (unless ``relu`` is false) ReLU, padded as TensorFlow's 'same' does."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.relu = relu
        # 'same' with stride 2 on an even size pads one pixel after, none before; with stride 1 it is symmetric.
        self.pad_after = kernel > 1 and stride == 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=0 if self.pad_after else kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        if self.pad_after:
            x = functional.pad(x, (0, 1, 0, 1))
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x

    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel (outputs, inputs, k, k) and bias (outputs,) with the normalisation folded in."""
        scale = cast("Tensor", self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps))
        bias = cast("Tensor", self.norm.bias - self.norm.running_mean * scale)
        return self.conv.weight * scale[:, None, None, None], bias


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016), which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvBlock(inputs, outputs, stride=stride)
        self.second = ConvBlock(outputs, outputs, relu=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = ConvBlock(inputs, outputs, kernel=1, stride=stride, relu=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return functional.relu(self.second(self.first(x)) + shortcut)


@dataclass(frozen=True)
class ExpressionShape:
    """Channels and stride of the first convolution; (channels, blocks) at half, a quarter, an eighth of the side."""

    stem: int
    stem_stride: int
    stages: tuple[tuple[int, int], ...]


# "fine" looks at all pixels once before it halves them, and spends its blocks at a quarter rather than at an eighth.
# "broad" has more channels at an eighth, where they are cheap.
# "wide" and "large" are twice as wide and too slow for a board: they are there to teach.
EXPRESSION_SHAPES = {
    "coarse": ExpressionShape(24, 2, ((32, 2), (64, 2), (96, 3))),
    "fine": ExpressionShape(16, 1, ((32, 2), (64, 4), (96, 2))),
    "broad": ExpressionShape(16, 1, ((32, 2), (64, 4), (128, 2))),
    "wide": ExpressionShape(32, 1, ((64, 2), (128, 4), (192, 2))),
    "large": ExpressionShape(32, 1, ((64, 2), (128, 4), (256, 2))),
}


class ExpressionNet(nn.Module):
    """Luma crop (N, 1, side, side), 0 to 1, to nine logits (N, 9)."""

    def __init__(self, shape: ExpressionShape, side: int, classes: int = 9, dropout: float = 0.1) -> None:
        super().__init__()
        self.side = side
        self.stem = ConvBlock(1, shape.stem, stride=shape.stem_stride)
        blocks: list[nn.Module] = []
        width, halve = shape.stem, shape.stem_stride == 1
        for channels, count in shape.stages:
            for _ in range(count):
                blocks.append(Residual(width, channels, stride=2 if halve else 1))
                width, halve = channels, False
            halve = True
        self.blocks = nn.ModuleList(blocks)
        self.detailed = len(blocks) - shape.stages[-1][1]
        self.detail_channels, self.deep_channels = shape.stages[-2][0], width
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.classify(self.dropout(self.features(x)[1].mean((2, 3)))))

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What a second head looks at: (N, 64, side / 4, ..) and (N, C, side / 8, ..), after the last two stages."""
        x = self.stem(x)
        detail = x
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            detail = x if number == self.detailed else detail
        return detail, x


class CueHead(nn.Module):
    """Valence, arousal and cues from the features of an expression network, which it leaves as it is.

    A crop shows brows, lids and mouth in about one place, so that a dense layer over the places of a few channels
    tells more than the mean that expressions are read from.
    """

    def __init__(self, net: ExpressionNet, near: int = 16, far: int = 16, hidden: int = 24) -> None:
        super().__init__()
        self.near = ConvBlock(net.detail_channels, near, stride=2)
        self.far = ConvBlock(net.deep_channels, far, kernel=1)
        self.hidden = nn.Linear((near + far) * (net.side // 8) ** 2, hidden)
        self.dropout = nn.Dropout(0.2)
        self.answer = nn.Linear(hidden, 7)

    def forward(self, detail: Tensor, deep: Tensor) -> Tensor:
        """Logits (N, 7): half of 1 + valence, half of 1 + arousal, then the cues."""
        x = torch.cat([self.near(detail), self.far(deep)], 1).flatten(1)
        return cast("Tensor", self.answer(self.dropout(functional.relu(self.hidden(self.dropout(x))))))


@dataclass(frozen=True)
class EyeShape:
    """Side of the crop, pixels; channels at half, a quarter and an eighth of it; and of the layer over their places."""

    side: int
    widths: tuple[int, int, int]
    hidden: int


# "board" is the one that ships; "teacher", six times as large, is too slow and is there to teach.
EYE_SHAPES = {"board": EyeShape(32, (16, 24, 36), 24), "teacher": EyeShape(48, (24, 48, 96), 64)}


class EyeNet(nn.Module):
    """Levelled eye (N, 1, side, side), 0 to 1, to two logits (N, 2): openness, and that it can be told.

    A crop shows lids and iris in about one place, so the places of the last features are kept apart.
    """

    def __init__(self, shape: EyeShape = EYE_SHAPES["board"]) -> None:
        super().__init__()
        self.shape = shape
        stem, quarter, eighth = shape.widths
        self.stem = ConvBlock(1, stem, stride=2)
        self.quarter = Residual(stem, quarter, stride=2)
        self.eighth = Residual(quarter, eighth, stride=2)
        self.dropout = nn.Dropout(0.1)
        self.hidden = nn.Linear(eighth * (shape.side // 8) ** 2, shape.hidden)
        self.answer = nn.Linear(shape.hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.eighth(self.quarter(self.stem(x))).flatten(1)
        return cast("Tensor", self.answer(functional.relu(self.hidden(self.dropout(x)))))


@torch.no_grad()
def grow(small: ExpressionNet, net: ExpressionNet) -> None:
    """Let ``net``, of as many layers and no fewer channels, begin by saying what ``small`` says (Chen et al. 2016).

    Old channels keep their weights and hear nothing of the new ones yet, which stay as they were drawn.

    Raises:
        ValueError: ``net`` has other layers, or fewer channels.
    """
    theirs, mine = small.state_dict(), net.state_dict()
    if theirs.keys() != mine.keys():
        raise ValueError("a network of other layers cannot be grown into this one")
    for name, values in mine.items():
        old = theirs[name]
        if old.ndim != values.ndim or any(a > b for a, b in zip(old.shape, values.shape, strict=True)):
            raise ValueError(f"{name}: {tuple(old.shape)} does not go into {tuple(values.shape)}")
        if old.ndim > 1:
            values[: old.shape[0], old.shape[1] :] = 0
        if old.ndim:
            values[tuple(slice(size) for size in old.shape)] = old
        else:
            values.copy_(old)


class FollowNet(nn.Module):
    """Window (N, 1, 64, 64) around where a face was, 0 to 1, to where it is and how sure that is.

    Returns logits (N, 2), of a face being there and of its points being true, and answers (N, votes, numbers) in the
    layout of ``edge.vision.track``. The places of the last features are kept apart: they say where the points are.
    """

    def __init__(
        self, votes: int, numbers: int, widths: tuple[int, int, int, int] = (16, 24, 48, 64), hidden: int = 48
    ) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth = widths
        self.votes, self.numbers = votes, numbers
        self.stem = ConvBlock(1, stem, stride=2)
        self.quarter = Residual(stem, quarter, stride=2)
        self.eighth = Residual(quarter, eighth, stride=2)
        self.sixteenth = ConvBlock(eighth, sixteenth, stride=2)
        self.hidden = nn.Linear(sixteenth * 16, hidden)
        self.sure = nn.Linear(hidden, 2)
        self.answers = nn.Linear(hidden, votes * numbers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.sixteenth(self.eighth(self.quarter(self.stem(x)))).flatten(1)
        x = functional.relu(self.hidden(x))
        return self.sure(x), self.answers(x).reshape(-1, self.votes, self.numbers)


class FaceNet(nn.Module):
    """Luma picture (N, 1, 128, 160), 0 to 1, to a map of one candidate face for each 8x8 pixel cell.

    Returns score logits (N, 1, 16, 20), box (N, 4, 16, 20) and points (N, 10, 16, 20). ``box`` is the centre's offset
    from the cell's centre in face sizes, then log2 of size and of width over height; ``points`` are offsets from the
    cell's centre in face sizes. Sizes are the square root of the box's area. A cell looks at the whole picture through
    the coarse levels (32 and 16 pixels) that are added back on the way up, as in a feature pyramid (Lin et al. 2017).
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (16, 24, 48, 64, 80)) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth, coarse = widths
        self.stem = ConvBlock(1, stem, stride=2)
        self.quarter = Residual(stem, quarter, stride=2)
        self.eighth = nn.ModuleList([Residual(quarter, eighth, stride=2), Residual(eighth, eighth)])
        self.sixteenth = nn.ModuleList([Residual(eighth, sixteenth, stride=2)])
        self.coarse = nn.ModuleList([Residual(sixteenth, coarse, stride=2)])
        self.from_coarse = ConvBlock(coarse, sixteenth, kernel=1)
        self.from_sixteenth = ConvBlock(sixteenth, eighth, kernel=1)
        self.head = ConvBlock(eighth, eighth)
        self.score = nn.Conv2d(eighth, 1, 1)
        self.box = nn.Conv2d(eighth, 4, 1)
        self.points = nn.Conv2d(eighth, 10, 1)
        nn.init.constant_(cast("Tensor", self.score.bias), -4.0)  # faces are rare among cells

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.quarter(self.stem(x))
        for block in self.eighth:
            x = block(x)
        deep = x
        for block in self.sixteenth:
            deep = block(deep)
        coarse = deep
        for block in self.coarse:
            coarse = block(coarse)
        deep = deep + functional.interpolate(self.from_coarse(coarse), scale_factor=2.0)
        x = x + functional.interpolate(self.from_sixteenth(deep), scale_factor=2.0)
        x = self.head(x)
        return self.score(x), self.box(x), self.points(x)
