"""Speech by convolution, recurrence and CTC (https://arxiv.org/abs/1512.02595), from spectrograms made inside the model."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class SpeechModel(nn.Module):
    def __init__(self, classes=6, n_fft=16, hidden=8):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft))
        self.conv = nn.Sequential(nn.Conv1d(n_fft // 2 + 1, 2 * hidden, 3, padding=1), nn.GLU(dim=1), nn.BatchNorm1d(hidden),
                                  nn.Hardtanh(0, 20, inplace=True))
        self.rnn = nn.GRU(hidden, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Sequential(nn.LayerNorm(2 * hidden), nn.Linear(2 * hidden, classes, bias=False))

    def forward(self, audio):
        spectrum = torch.stft(audio, self.n_fft, hop_length=8, window=self.window, return_complex=True)
        features = torch.log1p(spectrum.abs().pow(2))
        features = (features - features.mean(dim=(1, 2), keepdim=True)) / (features.std(dim=(1, 2), keepdim=True) + 1e-5)
        x = self.conv(features).transpose(1, 2)
        self.rnn.flatten_parameters()
        x, _ = self.rnn(x)
        return F.log_softmax(self.fc(x), dim=-1).transpose(0, 1)  # (T, B, C)


def build():
    return SpeechModel()


def batch(seed):
    random = np.random.default_rng(seed)
    words = random.integers(1, 6, (3, 4))
    tones = np.sin(np.repeat(words, 24, axis=1) * np.arange(96) / 4) + 0.1 * random.standard_normal((3, 96))
    return torch.from_numpy(tones.astype(np.float32)), torch.from_numpy(words), torch.from_numpy(random.integers(2, 5, 3))


def loss(model, batch):
    audio, words, target_lengths = batch
    log_probs = model(audio)
    input_lengths = torch.full((log_probs.shape[1],), log_probs.shape[0], dtype=torch.long)
    return nn.CTCLoss(blank=0, zero_infinity=True)(log_probs, words, input_lengths, target_lengths)


def optimizer(model):
    return torch.optim.Rprop(model.parameters(), lr=1e-3)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
