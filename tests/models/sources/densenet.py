"""A densely connected network, with bottlenecks and transitions (https://arxiv.org/abs/1608.06993)."""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from torch import nn


class DenseLayer(nn.Module):
    def __init__(self, in_features, growth, bottleneck, drop_rate, memory_efficient):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_features)
        self.conv1 = nn.Conv2d(in_features, bottleneck * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * growth)
        self.conv2 = nn.Conv2d(bottleneck * growth, growth, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bottleneck(self, *features):
        return self.conv1(F.relu(self.norm1(torch.cat(features, 1))))

    def forward(self, features):
        if self.memory_efficient and any(f.requires_grad for f in features):
            out = cp.checkpoint(self.bottleneck, *features, use_reentrant=False)
        else:
            out = self.bottleneck(*features)
        out = self.conv2(F.relu(self.norm2(out)))
        if self.drop_rate > 0:
            out = F.dropout(out, p=self.drop_rate, training=self.training)
        return out


class DenseBlock(nn.ModuleDict):
    def __init__(self, layers, in_features, growth, bottleneck=2, drop_rate=0.0, memory_efficient=False):
        super().__init__()
        for i in range(layers):
            layer = DenseLayer(in_features + i * growth, growth, bottleneck, drop_rate, memory_efficient)
            self.add_module("denselayer%d" % (i + 1), layer)

    def forward(self, x):
        features = [x]
        for _, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, dim=1)


class Transition(nn.Sequential):
    def __init__(self, in_features, out_features):
        super().__init__(OrderedDict([
            ("norm", nn.BatchNorm2d(in_features)),
            ("relu", nn.ReLU(inplace=True)),
            ("conv", nn.Conv2d(in_features, out_features, kernel_size=1, bias=False)),
            ("pool", nn.AvgPool2d(2, 2)),
        ]))


class DenseNet(nn.Module):
    def __init__(self, growth=4, blocks=(2, 1), stem=8, num_classes=6, memory_efficient=False):
        super().__init__()
        self.features = nn.Sequential(OrderedDict([
            ("conv0", nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False)),
            ("norm0", nn.BatchNorm2d(stem)),
            ("relu0", nn.ReLU(inplace=True)),
        ]))
        width = stem
        for i, layers in enumerate(blocks):
            self.features.add_module(f"denseblock{i + 1}", DenseBlock(layers, width, growth, memory_efficient=memory_efficient))
            width += layers * growth
            if i != len(blocks) - 1:
                self.features.add_module(f"transition{i + 1}", Transition(width, width // 2))
                width //= 2
        self.features.add_module("norm_last", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x):
        features = F.relu(self.features(x), inplace=True)
        out = F.adaptive_avg_pool2d(features, (1, 1)).flatten(1)
        return self.classifier(out)


def build():
    return DenseNet()


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, 4)
    images = random.standard_normal((4, 3, 16, 16)) + labels[:, None, None, None] / 3
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


def loss(model, batch):
    images, labels = batch
    return nn.CrossEntropyLoss()(model(images), labels)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)


def step(model, optimizer, batch):
    value = loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
