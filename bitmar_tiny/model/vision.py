# SPDX-License-Identifier: Apache-2.0
"""From a picture to image tokens in PyTorch: the paper's compressor of vectors, or convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arch.config import PATCH
from .arithmetic import Quantised

if TYPE_CHECKING:
    from .bitmar import BitMar


def image_tokens(model: BitMar, features: Tensor) -> Tensor:
    """[B, image_inputs, 768] -> image tokens [B, n, d] (paper 3.2)."""
    codes, scale = (_convolutions if model.cfg.vision_channels else _compressor)(model, features)
    positions = model.rows_of("vision.positions", torch.arange(model.cfg.image_tokens, device=codes.device))
    return model.linear("vision.w2", codes, scale) + positions


def _compressor(model: BitMar, features: Tensor) -> tuple[Tensor, Tensor]:
    """Every vector alone: (codes [B, n, vision_hidden], scale [B, n, 1])."""
    x = pool_2x2(features) if model.cfg.image_pool == 2 else features
    return model.math.quantize(torch.relu(model.linear("vision.w1", *model.math.quantize(x))))


def _convolutions(model: BitMar, features: Tensor) -> tuple[Tensor, Tensor]:
    """The whole picture: (codes [B, n, channels], their common scale [B, 1, 1]). Of the norms only the last
    one's scale counts: the others cancel in the norm that follows.
    """
    quantised, side = model.math, model.cfg.image_side
    codes, scale = quantised.quantize(ink(features).flatten(1))
    for i, channels in enumerate(model.cfg.vision_channels or ()):
        trits, _ = model.matrix(f"vision.{i}.w")
        acc = convolve(quantised, codes.unflatten(1, (side, side, -1)), trits)
        side //= 2
        most = F.max_pool2d(acc.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        gained = torch.relu(most) * model.weight(f"vision.{i}.gain")
        codes, scale = quantised.norm(gained.reshape(len(gained), side * side * channels))
    return codes.unflatten(1, (model.cfg.image_tokens, -1)), scale[:, None]


def ink(patches: Tensor) -> Tensor:
    """Patches of a square picture [B, g*g, 768], 1 for white -> how far every number is from white:
    [B, 16g, 16g, 3].
    """
    g = math.isqrt(patches.shape[1])
    x = (1 - patches).unflatten(1, (g, g)).unflatten(3, (PATCH, PATCH, 3))
    return x.transpose(2, 3).reshape(len(patches), g * PATCH, g * PATCH, 3)


def convolve(quantised: Quantised, codes: Tensor, trits: Tensor) -> Tensor:
    """3x3 convolution of maps [B, side, side, C], zero outside, trits [N, 9C] -> [B, side, side, N]. In eval
    mode as sums of integers in any order; training may round them.
    """
    if quantised.exact:
        side, around = codes.shape[1], F.pad(codes, (0, 0, 1, 1, 1, 1))
        seen = [around[:, y : y + side, x : x + side] for y in range(3) for x in range(3)]
        return quantised.linear(torch.cat(seen, -1), trits)
    weights = trits.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)
    maps = codes.permute(0, 3, 1, 2)
    if quantised.low is None:
        return F.conv2d(maps, weights, padding=1).permute(0, 2, 3, 1)
    acc = F.conv2d((maps * quantised.unit).to(quantised.low), weights.to(quantised.low), padding=1)
    return acc.permute(0, 2, 3, 1).float() / quantised.unit


def pool_2x2(x: Tensor) -> Tensor:
    """2x2 average pooling of a square grid of vectors: [B, g*g, D] -> [B, g*g/4, D]."""
    b, n, width = x.shape
    g = round(n**0.5)
    y = x.view(b, g // 2, 2, g // 2, 2, width)
    pooled = ((y[:, :, 0, :, 0] + y[:, :, 0, :, 1]) + (y[:, :, 1, :, 0] + y[:, :, 1, :, 1])) * 0.25
    return pooled.reshape(b, n // 4, width)
