"""What the scrubber sends: the runs as the traces say, and encoded data behind them."""

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, Trace, tasks
from lddm_lite.widgets import Scrubber, payload
from lddm_lite.widgets.scrubber_data import PROB, go_on, goes_on, hidden, view_of


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


def plan(trace, step, rows, edits=()):
    """What the page asks for, for one sequence (scrubber_branches.js)."""
    x = torch.as_tensor(trace.tokens_at(step)).long()[rows]
    for position, token in edits:
        x[0, position] = token
    z = None if trace.latents is None else trace.latents[step][rows].reshape(1, -1).tolist()
    return {"start": x.tolist(), "seed": trace.seed, "rows": rows, "latents": z, "first": step, "free": [x.shape[1]]}


@pytest.mark.parametrize("order", ["ancestral", "even", "confidence"])
@pytest.mark.parametrize("name", ["co-seq", "mdlm", "di-seq", "exact"])
def test_without_a_change_a_run_goes_on_as_it_went(models, name, order):
    task = tasks.Binsaw(length=16)
    model = LatentDiffusion.exact(task) if name == "exact" else models[name]
    t = model.sample(4, token_steps=3, seed=5, order=order)
    assert goes_on(t, model)
    for step in range(t.steps):
        on = go_on(t, model, plan(t, step, [2]))
        assert on["tokens"] == t.tokens[[2]].tolist()
        if name == "di-seq":
            assert on["latents"][-1] == t.latents[-1][[2]].reshape(1, -1).tolist()
        if name == "co-seq":
            assert np.allclose(on["latents"][-1], t.latents[-1][[2]].reshape(1, -1), atol=1e-5)


def test_what_is_given_stays_and_the_rest_is_drawn(models):
    t = models["mdlm"].sample(4, token_steps=4, seed=5)
    on = go_on(t, models["mdlm"], plan(t, 1, [0], [(3, 1), (4, 0)]))
    assert on["tokens"][0][3:5] == [1, 0] and on["when"][0][3:5] == [0, 0]
    assert max(on["tokens"][0]) < 2 and max(on["when"][0]) == 4


def test_runs_go_on_only_with_a_model_that_can(models, traces):
    assert goes_on(traces[0], models["co-seq"]) and not goes_on(traces[0], models["mdlm"])
    remasked = models["mdlm"].sample(4, token_steps=4, seed=5, remask=1.0)
    assert not goes_on(remasked, models["mdlm"])
    run = sent(Scrubber(traces[0], model=models["co-seq"]))["head"]["runs"][0]
    assert run["model"]["draws"] == {"order": "ancestral"} and run["model"]["mask"] == 2
    assert run["labels"] == ["0", "1", "[MASK]"]


def test_the_whole_latents_travel_where_the_plane_is_not_all():
    task = tasks.Binsaw(length=16)
    model = LatentDiffusion.preset("co-seq", task, width=16, dim=5)
    t = model.sample(4, token_steps=2, latent_steps=2, seed=0)
    out = sent(Scrubber(t, model=model))
    flat = t.latents.reshape(t.steps + 1, 4, 5)
    plane = out["head"]["runs"][0]["model"]["plane"]
    assert np.allclose(out["z0"], flat)
    assert np.allclose((flat - plane["mean"]) @ np.array(plane["axes"]).T, out["plane0"], atol=1e-5)


def test_pictures_and_molecules_are_told_from_words():
    about = {"kind": "picture", "shape": [2, 2], "first": 1, "shades": [0.0, 0.5, 1.0, 1.0]}
    assert view_of({"shape": [2, 2], "first": 1, "levels": 3}, 5, 4) == about
    assert view_of({"shape": [2, 2], "classes": {"first": 3, "names": ["a"]}}, 5, 4) == about
    assert view_of({"shape": (2, 2), "first": 1, "levels": 3}, 5, 4, used=[0, 2, 4])["shades"] == [0.0, 1.0, 0.0]
    assert view_of({"text": {"molecules": ""}}, 5, 4) == view_of({"molecules": "qm9"}, 5, 4) == {"kind": "molecule"}
    assert view_of({"text": {"spaced": True}}, 5, 4) is None


@pytest.mark.parametrize("shape", [[2, 3], [0, 4], [2], "22", [2, -2], [2.0, 2.0], [True, 4], None, {"2": 2}])
def test_a_shape_of_a_file_that_fits_no_sequence_is_none(shape):
    assert view_of({"shape": shape, "first": 1}, 5, 4) is None
