"""A one-stage detector: anchors, encoded boxes, focal loss and generalised overlaps (https://arxiv.org/abs/1708.02002)."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2.0):
    p = torch.sigmoid(inputs)
    ce_loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return alpha_t * ce_loss * ((1 - p_t) ** gamma)


def box_area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def generalized_iou(a, b):
    area = box_area(a) + box_area(b)
    lt, rb = torch.max(a[..., :2], b[..., :2]), torch.min(a[..., 2:], b[..., 2:])
    inter = (rb - lt).clamp(min=0).prod(-1)
    union = area - inter
    whole = (torch.max(a[..., 2:], b[..., 2:]) - torch.min(a[..., :2], b[..., :2])).clamp_min(0).prod(-1)
    return inter / union, inter / union - (whole - union) / whole


class Detector(nn.Module):
    def __init__(self, classes=3, width=8, stride=4, size=16):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.GroupNorm(2, width), nn.ReLU(),
                                      nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(2, width), nn.ReLU())
        self.lateral, self.top = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 3, 2, 1)
        self.cls_logits, self.bbox_pred = nn.Conv2d(width, classes, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
        prior = -np.log((1 - 0.1) / 0.1)
        torch.nn.init.constant_(self.cls_logits.bias, prior)
        shifts = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(shifts, shifts, indexing="ij")
        centers = torch.stack((x, y), dim=-1).reshape(-1, 2)
        self.register_buffer("anchors", torch.cat([centers - stride, centers + stride], dim=1), persistent=False)

    def forward(self, images):
        c3 = self.backbone(images)
        p4 = self.top(c3)
        p3 = self.lateral(c3) + F.interpolate(p4, scale_factor=2.0, mode="nearest")
        logits = self.cls_logits(p3).permute(0, 2, 3, 1).flatten(1, 2)
        deltas = self.bbox_pred(p3).permute(0, 2, 3, 1).reshape(len(images), -1, 4)
        return logits, self.decode(deltas)

    def decode(self, deltas):
        widths = self.anchors[:, 2:] - self.anchors[:, :2]
        centers = self.anchors[:, :2] + 0.5 * widths
        dxy, dwh = deltas[..., :2], torch.clamp(deltas[..., 2:], max=np.log(1000.0 / 16))
        middle, sizes = dxy * widths + centers, torch.exp(dwh) * widths
        return torch.cat((middle - 0.5 * sizes, middle + 0.5 * sizes), dim=-1)


def build():
    return Detector()


def batch(seed):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 8, (3, 2, 2))
    boxes = np.concatenate([corner, corner + random.uniform(3, 8, (3, 2, 2))], axis=-1)
    images = random.standard_normal((3, 3, 16, 16))
    return (torch.from_numpy(images.astype(np.float32)), torch.from_numpy(boxes.astype(np.float32)),
            torch.from_numpy(random.integers(0, 3, (3, 2))))


def loss(model, batch):
    images, boxes, labels = batch
    logits, predicted = model(images)
    overlaps, _ = generalized_iou(model.anchors[None, :, None], boxes[:, None])  # (B, A, boxes)
    best, matched = overlaps.max(dim=-1)
    foreground = best >= 0.2
    targets = F.one_hot(labels.gather(1, matched), logits.shape[-1]).to(logits.dtype)
    targets[~foreground] = 0
    wanted = boxes.gather(1, matched.unsqueeze(-1).expand(-1, -1, 4))
    count = foreground.sum().clamp(min=1)
    regression = (1 - generalized_iou(predicted, wanted)[1]) * foreground
    return (sigmoid_focal_loss(logits, targets).sum() + regression.sum()) / count


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
