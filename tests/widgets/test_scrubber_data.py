"""What the scrubber sends: the runs as the traces say, and encoded data behind them."""

import numpy as np

from lddm_lite import Trace, tasks
from lddm_lite.widgets import Scrubber, payload
from lddm_lite.widgets.scrubber_data import PROB, hidden


def sent(scrubber) -> dict:
    return payload.unpack(scrubber.data)


def test_runs_travel_as_the_traces_say(traces):
    out = sent(Scrubber(traces))
    for k, t in enumerate(traces):
        run = out["head"]["runs"][k]
        assert run["nfe"] == t.nfe and np.allclose(run["knots"], t.knots) and run["bits"] is True
        assert np.array_equal(out[f"tokens{k}"], t.tokens) and np.array_equal(out[f"when{k}"], t.reveal_step)
        assert np.abs(out[f"prob{k}"] / PROB - t.confidence).max() < 1e-5
        assert np.array_equal(out[f"alts{k}"], t.alternatives)
    # two coordinates are the plane itself only for d=2; here the last step lies in its principal
    # plane
    assert out["plane0"].shape == (traces[0].steps + 1, 6, 2) and "plane1" not in out


def test_only_the_words_that_occur_travel():
    labels = [f"w{k}" for k in range(30_000)]
    t = Trace([[7, 29_999]], [[1, 0]], [[0.5, 1.0]], [(1, 0), (0, 0)], labels, 30_000)
    out = sent(Scrubber(t))
    assert out["head"]["runs"][0]["labels"] == ["w7", "w29999"] and out["tokens0"].tolist() == [[0, 1]]


def test_encoded_data_stand_behind_with_their_hidden_mode(models, traces):
    task = tasks.Binsaw(length=16)
    out = sent(Scrubber(traces, model=[models["co-seq"], None], task=task))
    n = len(out["cloud0"])
    assert n == len(out["hue0"]) == 800 and out["goal0"].shape == (6, 2)
    x = task.sample(800, seed=17)
    assert np.allclose(out["hue0"], (task.find_shift(x) / task.period).numpy(), atol=1e-6)
    # rows of the picture of all samples are sorted by the shift of each
    shift = task.find_shift(traces[0].tokens).numpy()
    assert (np.diff(shift[out["order0"]]) >= 0).all()


def test_groups_are_numbered_by_how_many_they_have(models, traces):
    hue = ["rare"] + ["often"] * 3
    out = sent(Scrubber(traces[0], cloud=np.random.default_rng(0).normal(size=(4, 1, 8)), hue=hue))
    assert out["head"]["groups"] == ["often", "rare"] and out["hue0"].tolist() == [1, 0, 0, 0]


def test_topics_of_the_newswire_are_its_hidden_groups():
    task = tasks.ToyNewswire(topics=["economy", "aviation"])
    x = task.sample(20, seed=0)
    assert set(hidden(task, x)) <= {"economy", "aviation"}


def test_codes_travel_with_where_the_encoder_would_put_them(models):
    t = models["di-seq"].sample(2, token_steps=1, seed=0)
    out = sent(Scrubber(t, model=models["di-seq"]))
    assert np.array_equal(out["codes0"], t.latents) and out["goal0"].shape == (2, 3)
    assert (out["codes0"][0] == out["head"]["runs"][0]["codeMask"]).all(), "at the start every slot is masked"
