"""Sequences and latents as pictures."""


import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from lddm_lite import plots

from .drawing import hand_made


def test_bits_are_sorted_by_the_order_given(saws):
    tokens = saws["none"].tokens
    shown = np.asarray(plots.bits(tokens, order=tokens.sum(1)).images[0].get_array())
    assert (np.diff(shown.sum(1)) >= 0).all() and sorted(map(tuple, shown)) == sorted(map(tuple, tokens))
    assert np.array_equal(plots.bits(torch.as_tensor(tokens)).images[0].get_array(), tokens)


@pytest.mark.parametrize(
    ("tokens", "order", "message"),
    [([0, 1], None, "tokens must have shape"), ([[0, 3]], None, "ids 0 to 3"), ([[0, 1]], [1, 2], r"order .*\(1,\)")],
)
def test_bits_refuse_what_is_none(tokens, order, message):
    with pytest.raises(ValueError, match=message):
        plots.bits(tokens, order)


def test_unmasking_tells_given_revealed_and_padding_apart():
    ax = plots.unmasking(hand_made(pad=1))
    revealed, given = (np.ma.asarray(i.get_array()) for i in ax.images)
    # id 1 is padding wherever it stands
    assert revealed.mask.tolist() == [[True, True, True, False], [True, False, True, True]]
    assert revealed.compressed().tolist() == [3, 3]
    assert (~given.mask).tolist() == [[True, False, False, False], [False] * 4]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["given"]
    assert to_hex(ax.images[1].cmap(0)) == plots.GIVEN


def test_unmasking_names_whole_steps_only(saws):
    for trace in (saws["continuous"], saws["none"], hand_made()):
        ax = plots.unmasking(trace, rows=3)
        first, last = plots.reveal_range(trace)
        ticks = ax.figure.axes[1].get_yticks()
        assert ticks[0] == first and (ticks == ticks.round()).all() and ticks[-1] <= last
        shown = np.ma.asarray(ax.images[0].get_array())
        assert shown.shape == (min(3, len(trace)), trace.tokens.shape[1])
        assert np.array_equal(shown.compressed(), trace.reveal_step[:3][trace.reveal_step[:3] > 0])
        for step in (first, last):
            assert to_hex(ax.images[0].cmap(ax.images[0].norm(step))) == plots.reveal_colour(step, first, last)
    with pytest.raises(ValueError, match="rows"):
        plots.unmasking(saws["none"], rows=0)


def test_plane_is_the_principal_one():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 2, 3)) * [[3, 1, 0.1], [0.2, 2, 0.3]]
    flat = z.reshape(300, 6)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    found = plots.plane(z)(z)
    for k in (0, 1):
        truth = (flat - flat.mean(0)) @ vectors[:, -1 - k]
        assert np.allclose(np.abs(found[:, k]), np.abs(truth), atol=1e-6)
    assert np.var(found, axis=0, ddof=1) == pytest.approx(values[[-1, -2]])
    pair = rng.normal(size=(4, 5, 1, 2))
    assert np.array_equal(plots.plane(pair[0])(pair), pair[:, :, 0]), "two coordinates are their own plane"
    assert plots.plane(rng.normal(size=(5, 1, 1)))(np.ones((2, 1, 1))).shape == (2, 2)
    assert np.isfinite(plots.plane(np.ones((1, 2, 2)))(np.ones((3, 2, 2)))).all()
    with pytest.raises(ValueError, match="floats"):
        plots.plane(np.ones((3, 2), dtype=int))


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
