"""Double Q-learning with a target network that follows slowly and duelling heads (https://arxiv.org/abs/1511.06581)."""

from collections import namedtuple
from copy import deepcopy

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward", "done"))


class DuelingDQN(nn.Module):
    def __init__(self, n_observations=4, n_actions=3, hidden=16):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_observations, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.value, self.advantage = nn.Linear(hidden, 1), nn.Linear(hidden, n_actions)

    def forward(self, x):
        h = self.body(x)
        advantage = self.advantage(h)
        return self.value(h) + advantage - advantage.mean(dim=1, keepdim=True)


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.policy_net = DuelingDQN()
        self.target_net = deepcopy(self.policy_net)
        for p in self.target_net.parameters():
            p.requires_grad_(False)

    def forward(self, state):
        return self.policy_net(state)

    def soft_update(self, tau=0.05):
        target, policy = self.target_net.state_dict(), self.policy_net.state_dict()
        for key in policy:
            target[key] = policy[key] * tau + target[key] * (1 - tau)
        self.target_net.load_state_dict(target)


def build():
    return Agent()


def batch(seed):
    random = np.random.default_rng(seed)
    states = random.standard_normal((2, 16, 4)).astype(np.float32)
    return (torch.from_numpy(states[0]), torch.from_numpy(random.integers(0, 3, (16, 1))), torch.from_numpy(states[1]),
            torch.from_numpy(random.standard_normal(16).astype(np.float32)), torch.from_numpy(random.random(16) < 0.2))


def loss(model, batch, gamma=0.97):
    transition = Transition(*batch)
    state_action_values = model(transition.state).gather(1, transition.action).squeeze(1)
    with torch.no_grad():
        best = model.policy_net(transition.next_state).max(1).indices.unsqueeze(1)
        next_values = model.target_net(transition.next_state).gather(1, best).squeeze(1)
        next_values[transition.done] = 0.0
        expected = next_values * gamma + transition.reward
    return nn.SmoothL1Loss(beta=0.5)(state_action_values, expected)


def optimizer(model):
    return optim.AdamW(model.policy_net.parameters(), lr=1e-3, amsgrad=True)


def step(model, optimizer, batch):
    value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_value_(model.policy_net.parameters(), 100)
    optimizer.step()
    model.soft_update()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
