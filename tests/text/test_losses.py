"""What a text loses on its way to tokens is counted, and stops training where it is too much."""

import pytest

import lddm_lite as ld
from lddm_lite.text import dataset
from lddm_lite.text.losses import Losses, differences, returned
from lddm_lite.training import preflight


def test_the_usual_text_loses_nothing_that_stops():
    data = dataset.from_lines(["the bank rose .", "the yen fell ."] * 5)
    assert data.losses.too_much() == [] and data.losses.told() == [] and data.losses.lines == 10


def test_text_that_would_be_destroyed_is_refused():
    with pytest.raises(ValueError, match="100 % of the tokens are unknown"):
        dataset.from_lines(["ACGT" * 60] * 20, tokenizer="words")
    with pytest.raises(ValueError, match="4 of 5 lines are dropped"):
        dataset.from_lines(["one two three four"] * 4 + ["one two"], length=2)
    with pytest.raises(ValueError, match="characters do not come back"):  # joiners are control characters to words
        dataset.from_lines(["می‌خواهم کتاب‌های خوبی بخوانم ."] * 3, tokenizer="words")
    allowed = dataset.from_lines(["ACGT" * 60] * 20, tokenizer="words", allow_losses=True)
    assert allowed.unknown() == 1 and "100 % of the tokens unknown" in str(allowed.losses)


def test_training_looks_at_them_whatever_tokenizer_was_given():
    """Held-out text in other tokens may be read; it is not trained on."""
    codec = dataset.from_lines(["the bank rose ."]).codec
    other = dataset.TextData.of(codec, ["zebras graze there"] * 4)
    model = ld.LatentDiffusion.preset("mdlm", other, width=16, blocks=1)
    with pytest.raises(ValueError, match="data: 100 % of the tokens are unknown"):
        ld.fit(model, other, steps=1, progress=False)
    other.losses.allowed = True
    preflight.check_together(model, other, ld.TrainConfig())
    assert other.split(0.5)[0].losses is other.losses


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        (Losses(lines=100, dropped=20, tokens=100, unknown=1, changed=0.001), 0),
        (Losses(lines=100, dropped=21, tokens=1000, unknown=11, changed=0.0011), 3),
        (Losses(), 0),
    ],
)
def test_thresholds(losses, stops):
    assert len(losses.too_much()) == stops


def test_characters_that_come_back():
    assert differences("abc", "abc") == (0, 0) and differences("abc", "xabyc") == (0, 2)
    assert differences("abc", "") == (3, 0) and returned([], []) == 1
