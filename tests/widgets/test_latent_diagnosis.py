"""What does the latent know?: sequences and numbers that travel are those of the diagnosis."""

import numpy as np
import pytest

from lddm_lite import LatentDiffusion, tasks, text
from lddm_lite.evaluation import diagnose
from lddm_lite.evaluation.latents import examples
from lddm_lite.widgets import LatentDiagnosis, payload

TASK = tasks.Binsaw(length=16)


@pytest.fixture(scope="module")
def widget(models):
    return LatentDiagnosis(models["co-seq"], TASK, n=32, examples=3, seed=4)


def test_numbers_are_those_of_the_diagnosis(widget, models):
    head = payload.unpack(widget.data)["head"]
    found = diagnose(models["co-seq"], TASK, 32, seed=4)
    assert head["kinds"] == ["true", "wrong", "none", "sampled"] and head["rates"] == [1.0, 0.75, 0.5, 0.25]
    assert head["found"]["costs"]["0.5"]["true"] == [found.costs[0.5]["true"].value, found.costs[0.5]["true"].stderr]
    assert head["found"]["left"][0] == found.left.value and head["found"]["shared"] == found.shared
    assert widget.still().startswith(b"\x89PNG")
    assert repr(widget) == "LatentDiagnosis(What does the latent know? co-seq)"


def test_sequences_are_those_examples_draw(widget, models):
    sent = payload.unpack(widget.data)
    shown = examples(models["co-seq"], TASK, 3, seed=4)
    words = np.array([2 if w == "[MASK]" else int(w) for w in sent["head"]["labels"]])[sent["tokens"]]
    assert np.array_equal(words[0], shown["real"]) and np.array_equal(words[3], shown["visible"][0.5])
    assert np.array_equal(words[1 + 4 + 2 * 4 + 1], shown["drawn"][0.5]["wrong"])
    given = words[3] != 2
    for kind in range(4):
        assert (words[5 + 8 + kind] == words[0])[given].all(), "what is visible stays"


def test_a_diagnosis_at_hand_is_taken_and_a_model_without_latents_has_one_column(models):
    found = diagnose(models["mdlm"], TASK, 16, (0.5,))
    widget = LatentDiagnosis(models["mdlm"], TASK, found, examples=2)
    head = payload.unpack(widget.data)["head"]
    assert widget.found is found and head["kinds"] == ["none"] and head["rates"] == [0.5]
    with pytest.raises(ValueError, match="found must be a Diagnosis or None, got str"):
        LatentDiagnosis(models["mdlm"], TASK, "yes")


def test_words_of_a_text_that_occur_travel():
    data = text.from_lines(["the bank opened .", "rain fell .", "the river <b> rose ."], length=32)
    model = LatentDiffusion.preset("di-seq", data, width=16, blocks=1)
    widget = LatentDiagnosis(model, data, n=4, examples=2)
    sent = payload.unpack(widget.data)
    assert "<b>" not in widget._fragment(live=False).split("<script")[0]
    assert sent["head"]["pad"] in range(-1, len(sent["head"]["labels"])) and sent["tokens"].shape[1:] == (2, 32)
