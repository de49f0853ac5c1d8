"""The entropy of single tokens."""

import math

import pytest
import torch

from lddm_lite.evaluation.metrics import unigram_entropy


def test_unigram_entropy_leaves_padding_out():
    x = torch.tensor([[0, 1, 3], [1, 3, 3]])
    assert unigram_entropy(x, 4, pad_id=3) == pytest.approx(-(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3)
