"""The networks for spectrograms; batches are [shape=(n, channels, height, width)].

Each standardises its input (uint8 or float32) by the mean and the scale of each channel over the
training rows. Height is frequency, width is time; any width from `SMALLEST_SIDE` on works, because
of the global average pooling.
"""

from __future__ import annotations

import torch
from torch import nn

SMALLEST_SIDE = 32  # halved five times


class Standardise(nn.Module):
    """Subtract the mean of each channel and divide by its scale."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The standardised batch, float32."""
        return (x.to(torch.float32) - self.mean[:, None, None]) / self.scale[:, None, None]


class SimpleCnn(nn.Module):
    """The report's CNN: two 3×3 convolutions (4→16→32) with ReLU and 2×2 max-pooling, linear."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.standardise = Standardise(4)
        self.convolutions = nn.Sequential(
            nn.Conv2d(4, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.output = nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(n, classes)]."""
        logits: torch.Tensor = self.output(self.convolutions(self.standardise(x)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with a skip connection (He, Zhang, Ren and Sun 2015)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.around: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.around = nn.Sequential(
                nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(after),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """ReLU of the sum of both branches."""
        return torch.relu(self.body(x) + self.around(x))


class ResidualNetwork(nn.Module):
    """Four stages of residual blocks; each halves the size and doubles the channels."""

    def __init__(self, classes: int, *, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.standardise = Standardise(1)
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        stages: list[nn.Module] = []
        before = width
        for stage in range(4):
            after = width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                stages.append(ResidualBlock(before, after, stride))
                before = after
        self.stages = nn.Sequential(*stages)
        self.output = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(before, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(n, classes)]."""
        logits: torch.Tensor = self.output(self.stages(self.stem(self.standardise(x))))
        return logits
