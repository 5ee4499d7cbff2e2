# SPDX-License-Identifier: Apache-2.0
"""What a step costs: which events of PyTorch's profiler are kernels, and how long one of them computes."""

from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType

from bitmar_tiny.train import measure
from bitmar_tiny.train.distributed import World


def event(name, start, end, kind=DeviceType.CPU, noted=False):
    span = SimpleNamespace(start=start, end=end)
    return SimpleNamespace(name=name, time_range=span, device_type=kind, is_user_annotation=noted)


CPU = [
    event("aten::mm", 0, 40),
    event("aten::empty", 10, 20),
    event("Optimizer.step", 0, 100),
    event("aten::add", 60, 70),
]
GPU = [
    event("aten::mm", 0, 90),
    event("gemm", 100, 130, DeviceType.CUDA),
    event("copy", 120, 150, DeviceType.CUDA),
    event("Optimizer.step", 0, 500, DeviceType.CUDA, True),
]


@pytest.mark.parametrize("events, cuda, microseconds", [(CPU, False, 50), (GPU, True, 50), ([], False, 0)])
def test_kernels_that_overlap_count_once(events, cuda, microseconds, monkeypatch):
    class Profile:
        def __init__(self, activities):
            assert len(activities) == 1 + cuda

        def __enter__(self):
            return SimpleNamespace(events=lambda: events)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(measure, "profile", Profile)
    monkeypatch.setattr(measure.torch.cuda, "synchronize", lambda: None)
    world = World(device=SimpleNamespace(type="cuda" if cuda else "cpu"))
    trainer = SimpleNamespace(advance=lambda feeds: None)
    assert measure._kernels(trainer, [], world) == pytest.approx(microseconds * 1e-6)
