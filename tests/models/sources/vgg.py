"""VGG from a list of widths and pools (https://arxiv.org/abs/1409.1556), with the learning rate lowered step by step."""

import numpy as np
import torch
import torch.nn as nn

CONFIGS = {"A": [8, "M", 12, "M"], "B": [8, 8, "M", 12, 12, "M"]}


class VGG(nn.Module):
    def __init__(self, features, num_classes=10, init_weights=True):
        super(VGG, self).__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(
            nn.Linear(12 * 3 * 3, 32), nn.ReLU(True), nn.Dropout(p=0.0),
            nn.Linear(32, 32), nn.ReLU(True), nn.Dropout(p=0.0),
            nn.Linear(32, num_classes),
        )
        if init_weights:
            self._initialize_weights()

    def forward(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)

    def _initialize_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                n = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                m.weight.data.normal_(0, (2.0 / n) ** 0.5)
                if m.bias is not None:
                    m.bias.data.zero_()
            elif isinstance(m, nn.BatchNorm2d):
                m.weight.data.fill_(1)
                m.bias.data.zero_()
            elif isinstance(m, nn.Linear):
                m.weight.data.normal_(0, 0.05)
                m.bias.data.zero_()


def make_layers(config, batch_norm=False):
    layers = []
    in_channels = 3
    for v in config:
        if v == "M":
            layers += [nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True)]
        else:
            conv2d = nn.Conv2d(in_channels, v, kernel_size=3, padding=1)
            if batch_norm:
                layers += [conv2d, nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
            else:
                layers += [conv2d, nn.ReLU(inplace=True)]
            in_channels = v
    return nn.Sequential(*layers)


def build():
    return VGG(make_layers(CONFIGS["B"], batch_norm=True))


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, 4)
    images = random.standard_normal((4, 3, 14, 14)) + labels[:, None, None, None] / 5
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


criterion = nn.CrossEntropyLoss()


def loss(model, batch):
    images, labels = batch
    return criterion(model(images), labels)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)


def step(model, optimizer, batch):
    value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
