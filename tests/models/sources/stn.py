"""A spatial transformer (https://arxiv.org/abs/1506.02025): the network turns its input before it looks at it."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3)
        self.conv2 = nn.Conv2d(4, 8, kernel_size=3)
        self.conv2_drop = nn.Dropout2d(p=0.0)
        self.fc1, self.fc2 = nn.Linear(32, 16), nn.Linear(16, 5)
        self.localization = nn.Sequential(nn.Conv2d(1, 4, kernel_size=5), nn.MaxPool2d(2, stride=2), nn.ReLU(True))
        self.fc_loc = nn.Sequential(nn.Linear(4 * 4 * 4, 8), nn.ReLU(True), nn.Linear(8, 3 * 2))
        self.fc_loc[2].weight.data.zero_()
        # Nearly the identity: exactly there each pixel is read at its centre, where the slope is another to each side.
        self.fc_loc[2].bias.data.copy_(torch.tensor([0.95, 0.03, 0.01, -0.03, 0.95, 0.02], dtype=torch.float))

    def stn(self, x):
        xs = self.localization(x)
        theta = self.fc_loc(xs.view(-1, 4 * 4 * 4)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2, ceil_mode=True))
        x = x.view(-1, 32)
        x = F.dropout(F.relu(self.fc1(x)), p=0.0, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def build():
    return Net()


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, 4)
    images = np.random.default_rng(9).standard_normal((5, 1, 12, 12))[labels] + 0.3 * random.standard_normal((4, 1, 12, 12))
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


def loss(model, batch):
    data, target = batch
    return F.nll_loss(model(data), target)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.5, dampening=0.1)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
