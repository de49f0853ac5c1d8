"""Sequences as pictures: their bits, and the step at which each position was revealed."""

import numpy as np
import pytest
import torch
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
