"""Proximal policy optimisation (https://arxiv.org/abs/1707.06347): advantages by a backward loop, clipped ratios, two epochs."""

import numpy as np
import torch
import torch.nn as nn
from torch.distributions.categorical import Categorical


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self, observations=4, actions=3):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(observations, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0))
        self.actor = nn.Sequential(layer_init(nn.Linear(observations, 16)), nn.Tanh(),
                                   layer_init(nn.Linear(16, actions), std=0.01))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        probs = Categorical(logits=self.actor(x))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)

    def forward(self, x, action):
        return self.get_action_and_value(x, action)[1:]


def advantages_of(rewards, values, dones, gamma=0.99, gae_lambda=0.95):
    advantages = torch.zeros_like(rewards)
    lastgaelam = 0
    for t in reversed(range(len(rewards) - 1)):
        nextnonterminal = 1.0 - dones[t + 1]
        delta = rewards[t] + gamma * values[t + 1] * nextnonterminal - values[t]
        advantages[t] = lastgaelam = delta + gamma * gae_lambda * nextnonterminal * lastgaelam
    return advantages, advantages + values


def build():
    return Agent()


def batch(seed):
    random = np.random.default_rng(seed)
    obs, rewards = random.standard_normal((8, 3, 4)), random.standard_normal((8, 3))
    dones, logprobs = random.random((8, 3)) < 0.1, np.log(random.random((8, 3)) * 0.5 + 0.2)
    return (*(torch.from_numpy(a.astype(np.float32)) for a in (obs, rewards, dones, logprobs)),
            torch.from_numpy(random.integers(0, 3, (8, 3))))


def loss(model, batch, clip_coef=0.2, ent_coef=0.01, vf_coef=0.5):
    obs, rewards, dones, old_logprobs, actions = batch
    with torch.no_grad():
        values = model.get_value(obs).squeeze(-1)
        advantages, returns = advantages_of(rewards, values, dones)
    newlogprob, entropy, newvalue = model(obs.reshape(-1, obs.shape[-1]), actions.reshape((-1,)))
    logratio = newlogprob - old_logprobs.reshape(-1)
    ratio = logratio.exp()
    advantages = advantages.reshape(-1)
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    pg_loss = torch.max(-advantages * ratio, -advantages * torch.clamp(ratio, 1 - clip_coef, 1 + clip_coef)).mean()
    newvalue, values, returns = newvalue.view(-1), values.reshape(-1), returns.reshape(-1)
    v_clipped = values + torch.clamp(newvalue - values, -clip_coef, clip_coef)
    v_loss = 0.5 * torch.max((newvalue - returns) ** 2, (v_clipped - returns) ** 2).mean()
    return pg_loss - ent_coef * entropy.mean() + v_loss * vf_coef


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=2.5e-3, eps=1e-5)


def step(model, optimizer, batch):
    for _ in range(2):
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
