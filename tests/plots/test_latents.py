"""Latents as pictures: their ways, their spread, the codes in use."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection

from lddm_lite import plots


def test_trajectories_are_those_of_the_trace(saws):
    t = saws["continuous"]
    ax = plots.latent_trajectories(t, rows=4, cloud=saws["cloud"].requires_grad_(False), hue=saws["hue"])
    assert len(ax.lines) == 4
    for k, line in enumerate(ax.lines):
        assert np.allclose(line.get_xydata(), t.latents[:, k, 0])
    cloud, noise, end = (c for c in ax.collections if isinstance(c, PathCollection))
    assert np.allclose(cloud.get_offsets(), saws["cloud"][:, 0])
    assert len({tuple(c) for c in cloud.get_facecolors()}) > 20
    assert np.allclose(noise.get_offsets(), t.latents[0, :4, 0])
    assert np.allclose(end.get_offsets(), t.latents[-1, :4, 0])
    assert ax.get_aspect() == 1


def test_trajectories_refuse_what_does_not_fit(saws):
    for kind in ("none", "discrete"):
        with pytest.raises(ValueError, match=f"continuous latents, this trace has {kind}"):
            plots.latent_trajectories(saws[kind])
    with pytest.raises(ValueError, match=r"cloud must have shape \[N, 1, 2\]"):
        plots.latent_trajectories(saws["continuous"], cloud=np.zeros((4, 2, 2)))
    with pytest.raises(ValueError, match="give cloud"):
        plots.latent_trajectories(saws["continuous"], hue=[0.1])
    with pytest.raises(ValueError, match="rows"):
        plots.latent_trajectories(saws["continuous"], rows=0)


def test_spread_shows_a_collapse():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 3, 2)) * np.array([[1, 1], [0.001, 0.5], [1, 1]])
    ax = plots.latent_spread(torch.as_tensor(z).requires_grad_())
    bars = sorted(ax.patches, key=lambda p: p.get_x())
    assert np.allclose([b.get_height() for b in bars], z.std(0).ravel())
    assert bars[2].get_height() < 0.002 and "std 0.001 to" in ax.get_title()
    assert ax.lines[0].get_ydata()[0] == 1 and ax.get_ylim()[1] > 1
    for bad in (np.zeros((4, 2)), np.zeros((1, 2, 2))):
        with pytest.raises(ValueError, match=r"\[N >= 2, m, d\]"):
            plots.latent_spread(bad)
    with pytest.raises(ValueError, match="codebook_use"):
        plots.latent_spread(np.zeros((4, 2), dtype=int))


def test_codebook_use_is_sorted_and_agrees_with_the_encoder(settled, saw):
    encoder = settled(saw, "discrete", slots=2, codes=16)
    x = saw.sample(200, seed=3)
    with torch.no_grad():
        codes = encoder(x)
    ax = plots.codebook_use(codes, 16)
    assert f"perplexity {encoder.perplexity(x):.1f} of 16" in ax.get_title()
    for k, drawn in enumerate(p for p in ax.patches if hasattr(p, "get_data")):
        share = np.sort(np.bincount(codes[:, k], minlength=16) / 200)[::-1]
        assert np.allclose(drawn.get_data().values, share[share > 0])
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert f"never used: {16 - len(codes.unique())}" in labels


def test_codebook_use_of_a_full_and_of_a_dead_book():
    labels = [t.get_text() for t in plots.codebook_use(np.arange(8)[:, None], 8).get_legend().get_texts()]
    assert labels == ["even use, 1/8"]
    ax = plots.codebook_use(np.zeros((5, 1), dtype=int), 64)
    assert ax.get_title() == "perplexity 1.0 of 64 (entropy 0.00 nats)"
    for bad, message in (([[0, 8]], r"0..7, got 0 to 8"), ([[0.5]], "integers"), ([0, 1], "integers")):
        with pytest.raises(ValueError, match=message):
            plots.codebook_use(np.array(bad), 8)
