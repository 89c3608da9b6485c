"""A line chart of losses as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Points = Sequence[tuple[int, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 60, 50, 20, 20
COLOURS = ("#d9480f", "#1864ab", "#5c940d")


def loss_curves(curves: Mapping[str, Points], levels: Mapping[str, float]) -> str:
    """An SVG with one line per curve (step, loss) and a dashed horizontal line per level."""
    values = [y for points in curves.values() for _, y in points] + list(levels.values())
    last = max((x for points in curves.values() for x, _ in points), default=1)
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return (LEFT + (WIDTH - LEFT - RIGHT) * x / max(last, 1),
                TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / span)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for i in range(5):
        y = low + span * i / 4
        x0, y0 = at(0, y)
        parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{WIDTH - RIGHT}" y2="{y0:.1f}" stroke="#e9ecef"/>'
                     f'<text x="{x0 - 8:.1f}" y="{y0 + 4:.1f}" text-anchor="end">{y:.2f}</text>')
    for i in range(5):
        x1, y1 = at(last * i / 4, low)
        parts.append(f'<text x="{x1:.1f}" y="{y1 + 20:.1f}" text-anchor="middle">{last * i // 4}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    legend = []
    for colour, (name, points) in zip(COLOURS, curves.items()):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (at(*p) for p in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        legend.append((name, colour, ""))
    for name, level in levels.items():
        (a, b), (c, _) = at(0, level), at(last, level)
        parts.append(f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{b:.1f}" stroke="{COLOURS[2]}" '
                     'stroke-dasharray="6 4"/>')
        legend.append((f"{name} ({level:.2f})", COLOURS[2], ' stroke-dasharray="6 4"'))
    for i, (name, colour, dash) in enumerate(legend):
        y = TOP + 14 + 18 * i
        parts.append(f'<line x1="{WIDTH - 210}" y1="{y - 4}" x2="{WIDTH - 180}" y2="{y - 4}" stroke="{colour}" '
                     f'stroke-width="2"{dash}/><text x="{WIDTH - 172}" y="{y}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
