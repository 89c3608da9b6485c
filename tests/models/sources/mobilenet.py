"""MobileNetV2: inverted residuals and linear bottlenecks (https://arxiv.org/abs/1801.04381), trained by RMSprop."""

from typing import Callable, List, Optional

import numpy as np
import torch
from torch import Tensor, nn


def make_divisible(v: float, divisor: int = 4, min_value: Optional[int] = None) -> int:
    """Rounds a width to a multiple of `divisor`, by not more than a tenth down."""
    if min_value is None:
        min_value = divisor
    rounded = max(min_value, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


class ConvBNReLU(nn.Sequential):
    def __init__(self, in_planes: int, out_planes: int, kernel_size: int = 3, stride: int = 1, groups: int = 1,
                 norm_layer: Optional[Callable[..., nn.Module]] = None) -> None:
        norm_layer = norm_layer or nn.BatchNorm2d
        super().__init__(
            nn.Conv2d(in_planes, out_planes, kernel_size, stride, (kernel_size - 1) // 2, groups=groups, bias=False),
            norm_layer(out_planes),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        assert stride in (1, 2)
        hidden = int(round(inp * expand_ratio))
        self.use_res_connect = stride == 1 and inp == oup
        layers: List[nn.Module] = []
        if expand_ratio != 1:
            layers.append(ConvBNReLU(inp, hidden, kernel_size=1))
        layers.extend([
            ConvBNReLU(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            nn.BatchNorm2d(oup),
        ])
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes: int = 5, width_mult: float = 0.5, dropout: float = 0.0) -> None:
        super().__init__()
        channels = make_divisible(16 * width_mult)
        settings = [  # expansion, channels, blocks, stride
            [1, 8, 1, 1],
            [3, 12, 2, 2],
        ]
        features: List[nn.Module] = [ConvBNReLU(3, channels, stride=2)]
        for t, c, n, s in settings:
            out = make_divisible(c * width_mult)
            for i in range(n):
                features.append(InvertedResidual(channels, out, s if i == 0 else 1, expand_ratio=t))
                channels = out
        features.append(ConvBNReLU(channels, 24, kernel_size=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(24, num_classes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
        x = torch.flatten(x, 1)
        return self.classifier(x)


def build():
    return MobileNetV2()


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, 4)
    images = random.standard_normal((4, 3, 16, 16)) + labels[:, None, None, None] / 3
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


def loss(model, batch):
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


def optimizer(model):
    return torch.optim.RMSprop(model.parameters(), lr=0.003, alpha=0.9, momentum=0.9, eps=1e-3, weight_decay=4e-5)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
