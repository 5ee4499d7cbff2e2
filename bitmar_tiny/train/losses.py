"""The paper's objective: L = L_lm + 1.5 L_cm + 0.1 L_mem (equations 3 and 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.bitmar import Output
from .config import TrainConfig

IGNORE = -100


def language_loss(out: Output, labels: Tensor) -> Tensor:
    """Mean next-token cross-entropy. labels int64 [B, T]; ``out`` was computed at the labels that are not IGNORE."""
    return F.cross_entropy(out.logits, labels[labels != IGNORE])


def contrastive_loss(out: Output, lengths: Tensor, has_image: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE between mean pre-fusion text states and mean image tokens of the same sample.

    Only samples with an image take part; 0 where fewer than two have one. lengths int64 [B], has_image bool [B].
    """
    if out.image is None or int(has_image.sum()) < 2:
        return torch.zeros(())
    valid = (torch.arange(out.text.shape[1]) < lengths[:, None])[..., None]
    text = (out.text * valid).sum(1) / lengths[:, None]
    text, image = (F.normalize(x[has_image], dim=-1) for x in (text, out.image.mean(1)))
    similarity = text @ image.T / temperature
    target = torch.arange(len(similarity))
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2


def total_loss(cfg: TrainConfig, out: Output, labels: Tensor, lengths: Tensor,
               has_image: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum and its parts, for the log."""
    lm = language_loss(out, labels)
    cm = contrastive_loss(out, lengths, has_image, cfg.contrastive_temperature) if cfg.contrastive_weight else torch.zeros(())
    loss = lm + cfg.contrastive_weight * cm + cfg.memory_weight * out.memory_change
    return loss, {"lm": lm.item(), "contrastive": cm.item(), "memory": out.memory_change.item()}
