"""A radiance field (https://arxiv.org/abs/2003.08934): encoded positions, volume rendering, and samples where density is."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Embedder:
    def __init__(self, input_dims, num_freqs):
        freq_bands = 2.0 ** torch.linspace(0.0, num_freqs - 1, steps=num_freqs)
        self.embed_fns = [lambda x: x]
        for freq in freq_bands:
            for p_fn in [torch.sin, torch.cos]:
                self.embed_fns.append(lambda x, p_fn=p_fn, freq=freq: p_fn(x * freq))
        self.out_dim = input_dims * len(self.embed_fns)

    def __call__(self, inputs):
        return torch.cat([fn(inputs) for fn in self.embed_fns], -1)


class NeRF(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.embed_pos, self.embed_dir = Embedder(3, 3), Embedder(3, 1)
        self.pts_linears = nn.ModuleList([nn.Linear(self.embed_pos.out_dim, width),
                                          nn.Linear(width + self.embed_pos.out_dim, width)])
        self.views_linear = nn.Linear(width + self.embed_dir.out_dim, width // 2)
        self.alpha_linear, self.rgb_linear = nn.Linear(width, 1), nn.Linear(width // 2, 3)

    def field(self, pts, viewdirs):
        encoded = h = self.embed_pos(pts)
        for i, layer in enumerate(self.pts_linears):
            h = F.relu(layer(h))
            if i == 0:
                h = torch.cat([encoded, h], -1)
        alpha = self.alpha_linear(h)
        directions = self.embed_dir(viewdirs[:, None].expand(pts.shape))
        h = F.relu(self.views_linear(torch.cat([h, directions], -1)))
        return torch.cat([self.rgb_linear(h), alpha], -1)

    def forward(self, rays_o, rays_d, n_coarse=6, n_fine=4):
        viewdirs = rays_d / torch.norm(rays_d, dim=-1, keepdim=True)
        z_vals = torch.linspace(0.5, 2.0, steps=n_coarse).expand([rays_o.shape[0], n_coarse])
        coarse, weights = self.render(rays_o, rays_d, viewdirs, z_vals)
        z_mid = 0.5 * (z_vals[..., 1:] + z_vals[..., :-1])
        z_samples = sample_pdf(z_mid, weights[..., 1:-1], n_fine).detach()
        z_vals, _ = torch.sort(torch.cat([z_vals, z_samples], -1), -1)
        fine, _ = self.render(rays_o, rays_d, viewdirs, z_vals)
        return coarse, fine

    def render(self, rays_o, rays_d, viewdirs, z_vals):
        pts = rays_o[..., None, :] + rays_d[..., None, :] * z_vals[..., :, None]
        raw = self.field(pts, viewdirs)
        dists = z_vals[..., 1:] - z_vals[..., :-1]
        dists = torch.cat([dists, torch.Tensor([1e10]).expand(dists[..., :1].shape).to(dists)], -1)
        dists = dists * torch.norm(rays_d[..., None, :], dim=-1)
        rgb = torch.sigmoid(raw[..., :3])
        alpha = 1.0 - torch.exp(-F.relu(raw[..., 3]) * dists)
        transmitted = torch.cumprod(torch.cat([torch.ones((alpha.shape[0], 1)), 1.0 - alpha + 1e-10], -1), -1)
        weights = alpha * transmitted[:, :-1]
        return torch.sum(weights[..., None] * rgb, -2), weights


def sample_pdf(bins, weights, count):
    weights = weights + 1e-5
    pdf = weights / torch.sum(weights, -1, keepdim=True)
    cdf = torch.cumsum(pdf, -1)
    cdf = torch.cat([torch.zeros_like(cdf[..., :1]), cdf], -1)
    u = torch.linspace(0.02, 0.97, steps=count).expand(list(cdf.shape[:-1]) + [count]).contiguous()
    inds = torch.searchsorted(cdf.detach(), u, right=True)
    below, above = torch.max(torch.zeros_like(inds - 1), inds - 1), torch.min((cdf.shape[-1] - 1) * torch.ones_like(inds), inds)
    inds_g = torch.stack([below, above], -1)
    matched_shape = [inds_g.shape[0], inds_g.shape[1], cdf.shape[-1]]
    cdf_g = torch.gather(cdf.unsqueeze(1).expand(matched_shape), 2, inds_g)
    bins_g = torch.gather(bins.unsqueeze(1).expand(matched_shape), 2, inds_g)
    denom = cdf_g[..., 1] - cdf_g[..., 0]
    denom = torch.where(denom < 1e-5, torch.ones_like(denom), denom)
    t = (u - cdf_g[..., 0]) / denom
    return bins_g[..., 0] + t * (bins_g[..., 1] - bins_g[..., 0])


def build():
    return NeRF()


def batch(seed):
    random = np.random.default_rng(seed)
    origins, directions = random.standard_normal((6, 3)) * 0.1, random.standard_normal((6, 3)) + [0, 0, 2]
    return tuple(torch.from_numpy(a.astype(np.float32)) for a in (origins, directions, random.random((6, 3))))


def loss(model, batch):
    rays_o, rays_d, target = batch
    coarse, fine = model(rays_o, rays_d)
    return torch.mean((fine - target) ** 2) + torch.mean((coarse - target) ** 2)


def optimizer(model):
    return torch.optim.Adam(params=list(model.parameters()), lr=5e-3, betas=(0.9, 0.999))


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
