"""HTML and SVG views of one step of a Trace. Pure functions of plain data; all text from data is escaped."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image

from ..plots import BIT_COLOURS

__all__ = ["code_view", "latent_view", "path_view", "raster_view", "token_view"]

INK, FAINT, PAPER = (
    "var(--jp-ui-font-color1, #222)",
    "var(--jp-border-color1, #b5b5b5)",
    "var(--jp-layout-color1, #fff)",
)
FRESH = "#d55e00"  # what this step revealed, and where the point is now


def token_view(trace, i: int, step: int) -> str:
    """Sequence i after `step` steps: bits as cells, words as running text; just revealed ones are outlined. Each position
    tells on hover when it was revealed and with what probability.

    >>> from lddm_lite import Trace
    >>> t = Trace([[0, 1]], [[1, 1]], [[1, 1]], [(1, 0), (0, 0)], ["<b>", "word"], 2)
    >>> "<b>" in token_view(t, 0, 1)
    False
    """
    row, when = trace.tokens_at(step)[i], trace.reveal_step[i]
    is_bits = len(trace.labels) == 2 and all(len(v) == 1 for v in trace.labels)
    cells = []
    for k, token in enumerate(row):
        if token == trace.pad_id:
            continue
        masked, fresh = token == trace.mask_id, when[k] == step and step > 0
        if when[k] == 0:
            note = f"position {k}: given"
        elif masked:
            note = f"position {k}: masked"
        else:
            note = f"position {k}: revealed at step {when[k]}, probability {trace.confidence[i, k]:.3f}"
        word = trace.labels[token] if not masked else ""
        ring = f"box-shadow:0 0 0 2px {FRESH};" if fresh else ""
        if is_bits:
            colour = BIT_COLOURS[2 if masked else int(token)]
            cells.append(f'<span title="{note}" style="{_BIT}background:{colour};{ring}"></span>')
        elif masked:
            cells.append(
                f'<span title="{note}" style="{_WORD}color:#6b7680;background:#dfe4e8;">&nbsp;···&nbsp;</span>'
            )
        elif word:
            piece = html.escape(word.removeprefix("##"), quote=True)
            glue = "margin-left:-3px;" if word.startswith("##") else ""
            cells.append(f'<span title="{note}" style="{_WORD}{glue}{ring}">{piece}</span>')
    wrap = (
        "display:grid;grid-template-columns:repeat(32,12px);gap:2px;" if is_bits else "line-height:2;max-width:620px;"
    )
    return f'<div role="img" aria-label="tokens after step {step}" style="{wrap}padding:4px">{"".join(cells)}</div>'


_BIT = "width:12px;height:16px;display:inline-block;"
_WORD = "padding:1px 4px;margin-right:3px;border-radius:3px;font-size:14px;display:inline-block;line-height:1.4;"


def raster_view(trace, step: int, order=None, chosen: int | None = None, width: int = 420, height: int = 200) -> str:
    """All bit sequences at once, a row each (sorted by `order` [n]); the chosen one is marked at the edge."""
    rows = trace.tokens_at(step)
    at = np.arange(len(rows)) if order is None else np.argsort(np.asarray(order), kind="stable")
    palette = np.array([[int(c[j : j + 2], 16) for j in (1, 3, 5)] for c in BIT_COLOURS], dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(palette[np.clip(rows[at], 0, 2)]).save(data, format="png")
    picture = base64.b64encode(data.getvalue()).decode()
    mark = ""
    if chosen is not None:
        top = (int(np.flatnonzero(at == chosen)[0]) + 0.5) / len(rows) * height
        mark = f'<span style="position:absolute;left:-12px;top:{top - 9:.1f}px;color:{FRESH};font-size:14px">▸</span>'
    return (
        f'<div style="position:relative;margin:4px 4px 4px 14px;width:{width}px">{mark}<img alt="all samples after step {step}" '
        f'style="width:{width}px;height:{height}px;image-rendering:pixelated;display:block;max-width:none" '
        f'src="data:image/png;base64,{picture}"></div>'
    )


def latent_view(paths: np.ndarray, cloud: np.ndarray, i: int, step: int, size: int = 230) -> str:
    """The latent plane: `cloud` [N, 2] behind, all samples' points now, and the trail of sample i. `paths` [S+1, n, 2]."""
    both = np.concatenate([paths.reshape(-1, 2), cloud])
    low, high = both.min(0) - 0.2, both.max(0) + 0.2
    centre, half = (low + high) / 2, (high - low).max() / 2

    def at(p):
        return np.round((np.asarray(p) - centre) / half * (size / 2 - 8) * [1, -1] + size / 2, 1)

    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2"/>' for x, y in at(cloud))
    now = "".join(f'<circle cx="{x}" cy="{y}" r="2.4"/>' for x, y in at(paths[step]))
    trail = " ".join(f"{x},{y}" for x, y in at(paths[: step + 1, i]))
    x, y = at(paths[step, i])
    return (
        f'<svg role="img" aria-label="latent plane at step {step}" width="{size}" height="{size}" '
        f'style="border:1px solid {FAINT}"><g fill="#9fb3c8" opacity=".55">{dots}</g><g fill="#12355b">{now}</g>'
        f'<polyline points="{trail}" fill="none" stroke="{FRESH}" stroke-width="2"/>'
        f'<circle cx="{x}" cy="{y}" r="5" fill="{FRESH}" stroke="#fff"/></svg>'
    )


def code_view(codes: np.ndarray, mask: int) -> str:
    """Discrete latents of one sequence [m]: a slot each, filled in as they are revealed."""
    cells = "".join(
        f'<span style="{_WORD}border:1px solid {FAINT};min-width:34px;text-align:center">{"···" if c == mask else int(c)}</span>'
        for c in codes
    )
    return f'<div aria-label="latent codes" style="padding:4px">{cells}</div>'


def path_view(knots, step: int, size: int = 120) -> str:
    """The (t_x, t_z) square: the sampler's knots, and where it is now. Noise is at the top right, clean at the bottom left."""
    pad, inner = 22, size - 30

    def at(k):
        return f"{pad + k[0] * inner:.1f},{size - pad - k[1] * inner:.1f}"

    line = " ".join(at(k) for k in knots)
    done = " ".join(at(k) for k in knots[: step + 1])
    x, y = at(knots[step]).split(",")
    return (
        f'<svg role="img" aria-label="noise times {knots[step][0]:.2f}, {knots[step][1]:.2f}" width="{size}" height="{size}" '
        f'font-size="11" fill="{INK}"><rect x="{pad}" y="{size - pad - inner}" width="{inner}" height="{inner}" fill="none" '
        f'stroke="{FAINT}"/><polyline points="{line}" fill="none" stroke="{FAINT}" stroke-width="2" stroke-dasharray="3 3"/>'
        f'<polyline points="{done}" fill="none" stroke="{FRESH}" stroke-width="2.5"/><circle cx="{x}" cy="{y}" r="5" '
        f'fill="{FRESH}" stroke="#fff"/><text x="{pad + inner / 2 - 8}" y="{size - 6}">t<tspan dy="3" font-size="8">x</tspan></text>'
        f'<text x="4" y="{size - pad - inner / 2}">t<tspan dy="3" font-size="8">z</tspan></text></svg>'
    )
