"""Samples of data that are pictures, in a grid."""

import numpy as np
import pytest

import lddm_lite as ld
from lddm_lite import plots


def test_a_trace_knows_its_shape_and_where_the_picture_begins():
    rows = np.random.default_rng(0).integers(0, 2, (20, 3, 4))
    data = ld.from_arrays(rows, classes=np.arange(20) % 2)
    trace = ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1).sample(5, token_steps=2, label=1)
    ax = plots.pictures(trace, columns=3)
    shown = [np.asarray(image.get_array()) for image in ax.images]
    assert len(shown) == 5 and all(picture.shape == (3, 4) for picture in shown)
    assert np.array_equal(shown[0].ravel(), trace.tokens[0, 1:].clip(0, shown[0].max()))


def test_masks_are_veiled_and_given_halves_have_an_edge():
    tokens = np.array([[0, 1, 2, 2]])
    ax = plots.pictures(tokens, shape=(2, 2), levels=2, given=[True, True, False, False])
    assert len(ax.images) == 2 and ax.images[1].get_array().mask.tolist() == [[True, True], [False, False]]
    assert len(ax.lines) == 1 + 2  # a frame, and the edge below two cells


@pytest.mark.parametrize(
    ("tokens", "shape", "message"),
    [
        ([0, 1], (1, 2), "tokens must have shape"),
        ([[0, 1]], (2, 2), "at most 2 tokens"),
        ([[0, 1]], None, "shape must be"),
    ],
)
def test_what_is_no_picture_is_refused(tokens, shape, message):
    with pytest.raises(ValueError, match=message):
        plots.pictures(tokens, shape)
