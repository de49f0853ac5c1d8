"""What is typed becomes tokens: gaps in several spellings, and mistakes that are explained."""

import pytest

from lddm_lite import tasks
from lddm_lite.text import prompts
from tests.support.typed_texts import DATA, NEWS, SAW, UNREADABLE, small


@pytest.mark.parametrize(
    ("data", "typed", "ids"),
    [
        (SAW, "01_?\n0", [0, 1, 2, 2, 0, 2, 2, 2]),
        (SAW, "0 1[MASK]1", [0, 1, 2, 1, 2, 2, 2, 2]),
        (NEWS, "the _ rose  [MASK]", ["the", None, "rose", None] + ["·"] * 12),
        (NEWS, "the [mask]\nrose __", ["the", None, "rose", None] + ["·"] * 12),
        (DATA, "The _ is [MASK] .", ["the", None, "is", None, "."] + ["[PAD]"] * 3),
    ],
)
def test_gaps_can_be_written_in_several_ways(data, typed, ids):
    model = small("mdlm", data)
    mask = model.token_channel.mask_id
    want = [v if isinstance(v, int) else mask if v is None else model.labels.index(v) for v in ids]
    assert prompts.read(model, typed).tolist() == want


@pytest.mark.parametrize(("data", "typed", "message"), UNREADABLE)
def test_what_cannot_be_filled_in_is_explained(data, typed, message):
    with pytest.raises(ValueError, match=message):
        prompts.read(small("mdlm", data), typed)


@pytest.mark.parametrize("data", [SAW, NEWS, DATA, tasks.ToyNewswire(), tasks.MixtureOfProducts(length=5, vocab=12)])
def test_the_example_can_be_filled_in(data):
    model = small("mdlm", data)
    x = prompts.read(model, prompts.example(model))
    assert (x == model.token_channel.mask_id).any()
