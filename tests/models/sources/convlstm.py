"""A convolutional LSTM that continues films (https://arxiv.org/abs/1506.04214); states live in lists, frames in a stack."""

import numpy as np
import torch
import torch.nn as nn


class ConvLSTMCell(nn.Module):
    def __init__(self, input_dim, hidden_dim, kernel_size):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.conv = nn.Conv2d(input_dim + hidden_dim, 4 * hidden_dim, kernel_size, padding="same")

    def forward(self, input_tensor, cur_state):
        h_cur, c_cur = cur_state
        combined = torch.cat([input_tensor, h_cur], dim=1)
        cc_i, cc_f, cc_o, cc_g = torch.split(self.conv(combined), self.hidden_dim, dim=1)
        c_next = torch.sigmoid(cc_f) * c_cur + torch.sigmoid(cc_i) * torch.tanh(cc_g)
        return torch.sigmoid(cc_o) * torch.tanh(c_next), c_next

    def init_hidden(self, batch_size, image_size):
        height, width = image_size
        return (torch.zeros(batch_size, self.hidden_dim, height, width, device=self.conv.weight.device),
                torch.zeros(batch_size, self.hidden_dim, height, width, device=self.conv.weight.device))


class ConvLSTM(nn.Module):
    def __init__(self, hidden=(4, 3)):
        super().__init__()
        dims = [1, *hidden]
        self.cell_list = nn.ModuleList(ConvLSTMCell(a, b, (3, 3)) for a, b in zip(dims, dims[1:]))
        self.read = nn.Conv3d(hidden[-1], 1, kernel_size=(1, 3, 3), padding=(0, 1, 1))

    def forward(self, frames):
        b, _, _, h, w = frames.size()
        states = [cell.init_hidden(b, (h, w)) for cell in self.cell_list]
        outputs = []
        for t in range(frames.size(1)):
            x = frames[:, t]
            for i, cell in enumerate(self.cell_list):
                states[i] = cell(x, states[i])
                x = states[i][0]
            outputs.append(x)
        return self.read(torch.stack(outputs, dim=2)).transpose(1, 2)


def build():
    return ConvLSTM()


def batch(seed):
    random = np.random.default_rng(seed)
    start = random.random((2, 1, 1, 6, 6))
    films = np.concatenate([np.roll(start, t, axis=-1) for t in range(4)], axis=1)
    return (torch.from_numpy(films.astype(np.float32)),)


def loss(model, batch):
    (films,) = batch
    return nn.functional.mse_loss(model(films[:, :-1]), films[:, 1:])


def optimizer(model):
    return torch.optim.ASGD(model.parameters(), lr=0.05)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
