"""Infilling by hand: a run happens beside the kernel, and nothing goes wrong in silence."""

import re
import threading

import numpy as np
import pytest
import torch

from lddm_lite import Path
from lddm_lite.widgets import Infill, Scrubber
from tests.support.typed_texts import NEWS, UNREADABLE, small


@pytest.fixture
def slow():
    """A model whose network calls wait for permission; `calls` counts them."""
    model = small("mdlm")
    model.gate, model.calls, predict = threading.Semaphore(0), 0, model.predict

    def waiting(*args, **options):
        assert model.gate.acquire(timeout=20)
        model.calls += 1
        return predict(*args, **options)

    model.predict = waiting
    return model


# --- running --------------------------------------------------------------------------------------

def test_a_run_is_the_models_own_infilling():
    model = small()
    widget = Infill({"mine": model}, "01__1", token_steps=3, latent_steps=5, lead=0.25, seed=7, n=6)
    trace = widget.run()
    x = torch.tensor([[0, 1, 2, 2, 1, 2, 2, 2]])
    same = model.infill(x, 6, token_steps=3, latent_steps=5, path=Path(0.25), seed=7)
    assert np.array_equal(trace.tokens, same.tokens) and trace.knots == same.knots
    assert (trace.tokens[:, [0, 1, 4]] == [0, 1, 1]).all()
    assert widget.trace is trace and trace.model == "mine"
    assert widget.status.text == f"6 sequences from mine, {trace.nfe} network calls." and not widget.status.error
    (shown,) = widget.result.children
    assert isinstance(shown, Scrubber) and shown.step == trace.steps
    assert widget.status.share == -1, "the bar is gone"


def test_a_mistake_keeps_the_last_result():
    widget = Infill(small(), "01__")
    good = widget.run()
    shown = widget.result.children
    widget.text.value = "0a_"
    with pytest.raises(ValueError, match="Unknown symbol: “a”"):
        widget.run()
    assert widget.trace is good and widget.result.children == shown
    assert widget.status.error and widget.status.text.endswith("The last result is still below.")


@pytest.mark.parametrize(("data", "typed", "message"), UNREADABLE)
def test_what_cannot_be_filled_in_is_explained(data, typed, message):
    widget = Infill(small("mdlm", data), "_ ")
    widget.text.value = typed
    widget.run_button.click()
    assert widget.status.error and re.search(message, widget.status.text)
    assert len(widget.status.text) < 700 and widget.result.children == ()


def test_the_thread_gives_the_same_and_the_caller_goes_on(slow):
    widget = Infill(slow, "01__", token_steps=4, n=2)
    widget.run_button.click()  # returns at once, though no network call was allowed yet
    assert widget.trace is None and widget.status.text == "Sampling …" and widget.status.share == 0
    widget.run_button.click()
    assert "Still running" in widget.status.text
    slow.gate.release(4)
    assert widget.wait(20) and len(widget.trace) == 2 and slow.calls == 4
    slow.gate.release(4)
    assert np.array_equal(widget.run().tokens, widget.trace.tokens)


def test_stop_ends_a_run_between_steps(slow):
    widget = Infill(slow, "01__", token_steps=100)
    widget.start()
    slow.gate.release(2)
    widget.stop_button.click()
    slow.gate.release(2)
    assert widget.wait(20) and slow.calls < 5
    assert widget.status.text.startswith("Stopped after") and "of 100 network calls" in widget.status.text
    assert widget.trace is None and not widget.status.error
    widget.stop_button.click()
    assert widget.status.text == "Nothing is running."
    slow.gate.release(100)
    widget.token_steps.value = 3
    assert widget.run().nfe == 3, "an old stop does not end a new run"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_crash_in_the_thread_is_shown():
    model = small()
    widget = Infill(model, "01__")
    widget.run()
    model.predict = lambda *a, **k: 1 / 0
    widget.start()
    assert widget.wait(20)
    assert widget.status.error and widget.status.text.startswith("ZeroDivisionError: division by zero")
    assert widget.trace is not None and len(widget.result.children) == 1


# --- models ---------------------------------------------------------------------------------------

def test_models_are_loaded_when_chosen_and_set_the_controls(tmp_path):
    small("di-seq", NEWS, slots=3, codes=8).save(tmp_path / "news")
    widget = Infill({"none": small("mdlm"), "news": str(tmp_path / "news"), "bad": "no-such-checkpoint"})
    assert widget.latent_steps.disabled and widget.lead.disabled and set("01_") >= set(widget.text.value)
    widget.system.value = "bad"
    assert widget.status.error and "no checkpoint 'no-such-checkpoint'" in widget.status.text
    widget.system.value = "news"
    assert not widget.latent_steps.disabled and widget.latent_steps.value == 3 and widget.lead.value == 0.5
    assert "[MASK]" in widget.text.value, "an untouched example follows the model"
    assert widget.run().model == "news"
    widget.text.value = "the _ rose"
    widget.system.value = "none"
    assert widget.text.value == "the _ rose", "what was typed stays"


def test_bad_arguments():
    for models in ({}, [], None, 5):
        with pytest.raises(ValueError, match="models must be a dictionary"):
            Infill(models)
    with pytest.raises(ValueError, match="no checkpoint 'nowhere'"):
        Infill("nowhere")


def test_labels_are_text_in_the_hint():
    model = small("mdlm")
    model.labels = ["<", "&"]
    assert "&lt; &amp;, with _" in Infill(model, "_").hint.value


def test_without_widgets_the_page_says_what_to_do():
    bundle = Infill(small(), "_")._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data and "running kernel" in data["text/html"]
