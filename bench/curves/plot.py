"""Curves as SVG, a panel an algorithm: each seed a thin line, their mean a thick one, the band between the lowest and the
highest. The peer's curve is drawn over the band of the algorithm whose settings it has. Python 3.9, no package."""
import statistics

WIDE, HIGH, GAP = 260, 180, 56
OURS, THEIRS = "#1b6ca8", "#c8553d"


class Panel:
    """Places (step, value) inside a frame whose axes run over all curves of the picture."""

    def __init__(self, number, title, steps, top_value):
        self.left, self.top = GAP + number % 3 * (WIDE + GAP), GAP + number // 3 * (HIGH + GAP)
        self.steps, self.top_value = steps, top_value
        self.parts = [f'<rect x="{self.left}" y="{self.top}" width="{WIDE}" height="{HIGH}" fill="none" stroke="#999"/>',
                      f'<text x="{self.left}" y="{self.top - 8}" font-weight="bold">{title}</text>',
                      f'<text x="{self.left + WIDE}" y="{self.top + HIGH + 16}" text-anchor="end">step {steps}</text>',
                      f'<text x="{self.left}" y="{self.top + HIGH + 16}">1</text>']  # fmt: skip
        for i in range(int(top_value / 0.5) + 1):
            x, y = self.place(0, 0.5 * i).split(",")
            self.parts.append(f'<line x1="{x}" x2="{self.left + WIDE}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                              f'<text x="{self.left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{0.5 * i:g}</text>')  # fmt: skip

    def place(self, index, value):
        x = self.left + WIDE * index / max(1, self.steps - 1)
        return f"{x:.1f},{self.top + HIGH * (1 - value / self.top_value):.1f}"

    def line(self, values, colour, width):
        points = " ".join(self.place(i, value) for i, value in enumerate(values))
        self.parts.append(f'<polyline points="{points}" stroke="{colour}" stroke-width="{width}" fill="none"/>')

    def band(self, runs, colour):
        at = list(zip(*runs))
        points = [self.place(i, min(v)) for i, v in enumerate(at)] + [self.place(i, max(v)) for i, v in reversed(list(enumerate(at)))]
        self.parts.append(f'<polygon points="{" ".join(points)}" fill="{colour}" opacity="0.15"/>')
        for run in runs:
            self.line(run, colour, 0.5)
        self.line([statistics.mean(v) for v in at], colour, 2)

    def name(self, row, text, colour):
        self.parts.append(f'<text x="{self.left + 8}" y="{self.top + 18 + 15 * row}" fill="{colour}">{text}</text>')


def panels(curves, column, peer, peer_runs):
    """The picture of {algorithm: {seed: {column: [a value a step]}}}."""
    everything = [run[column] for seeds in curves.values() for run in seeds.values()]
    steps, top_value = max(map(len, everything)), max(1.5, max(map(max, everything)))
    drawn = []
    for name, seeds in curves.items():
        if name == peer and peer_runs not in curves:
            continue
        panel = Panel(len(drawn), f"{peer_runs}, and TRL 1.16" if name == peer else name, steps, top_value)
        panel.band([run[column] for run in curves[peer_runs if name == peer else name].values()], OURS)
        if name == peer:
            for run in seeds.values():
                panel.line(run[column], THEIRS, 2)
            panel.name(0, "grpo-host", OURS)
            panel.name(1, "TRL", THEIRS)
        drawn.append(panel)
    width, height = GAP + 3 * (WIDE + GAP), GAP + (len(drawn) + 2) // 3 * (HIGH + GAP)
    body = "".join(part for panel in drawn for part in panel.parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n')  # fmt: skip
