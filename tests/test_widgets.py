"""The scrubber's data, and what stands around them: sizes, escaping, arguments. What a person sees is tested in
tests/browser."""

import base64
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lddm_lite import LatentDiffusion, Trace, tasks
from lddm_lite.widgets import Scrubber, payload
from lddm_lite.widgets.scrubber_data import PROB, hidden

HOSTILE = ["</script><img src=x onerror=alert(1)>", "<b>", '"quoted"', "שלום", "🙂", "x" * 10_000, "a&amp;b"]


@pytest.fixture(scope="module")
def models():
    task = tasks.Binsaw(length=16)
    make = {s: LatentDiffusion.preset(s, task, width=16) for s in ("co-seq", "mdlm")}
    return make | {"di-seq": LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8)}


@pytest.fixture(scope="module")
def traces(models):
    return [
        models["co-seq"].sample(6, token_steps=2, latent_steps=3, seed=0),
        models["mdlm"].sample(6, token_steps=4, seed=0),
    ]


def sent(scrubber) -> dict:
    return payload.unpack(scrubber.data)


# -- the format -----------------------------------------------------------------------------------------------
ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "i4", "i8", "f4"]),
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
    elements={"min_value": 0, "max_value": 200},
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text("abcxyz", min_size=1), ARRAYS, max_size=4), st.text())
def test_pack_and_unpack_are_inverse(arrays, title):
    out = payload.unpack(payload.pack({"title": title}, arrays))
    assert out.pop("head") == {"title": title}
    assert set(out) == set(arrays)
    for name, a in arrays.items():
        assert out[name].shape == a.shape and np.array_equal(out[name], a)


@pytest.mark.parametrize(
    "values, kind", [([0, 255], "|u1"), ([0, 256], "<u2"), ([0, 65536], "<u4"), ([-1, 5], "<i4"), ([], "|u1")]
)
def test_integers_take_the_smallest_type_that_holds_them(values, kind):
    assert payload.small_ints(np.array(values, dtype=int)).dtype.str == kind


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit 32 bits"):
        payload.pack({}, {"a": np.array([-1, 2**33])})
    with pytest.raises(ValueError, match="'a' must hold numbers"):
        payload.pack({}, {"a": np.array(["x"])})
    with pytest.raises(ValueError):  # JSON has no NaN: the browser could not read it
        payload.pack({"x": float("nan")}, {})


# -- what the scrubber sends ----------------------------------------------------------------------------------
def test_runs_travel_as_the_traces_say(traces):
    out = sent(Scrubber(traces))
    for k, t in enumerate(traces):
        run = out["head"]["runs"][k]
        assert run["nfe"] == t.nfe and np.allclose(run["knots"], t.knots) and run["bits"] is True
        assert np.array_equal(out[f"tokens{k}"], t.tokens) and np.array_equal(out[f"when{k}"], t.reveal_step)
        assert np.abs(out[f"prob{k}"] / PROB - t.confidence).max() < 1e-5
        assert np.array_equal(out[f"alts{k}"], t.alternatives)
    # two coordinates are the plane itself only for d=2; here the last step lies in its principal plane
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


def test_step_and_sample_stay_in_range(traces):
    s = Scrubber(traces)
    assert s.last == 5
    s.step, s.sample = 99, -3
    assert (s.step, s.sample) == (5, 0)


def test_bad_arguments(traces):
    with pytest.raises(ValueError, match="one to four"):
        Scrubber([])
    with pytest.raises(ValueError, match="one to four"):
        Scrubber(traces * 3)
    with pytest.raises(ValueError, match="Trace objects, got str"):
        Scrubber(["run.json"])
    more = LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(2, token_steps=1)
    with pytest.raises(ValueError, match="as many sequences"):
        Scrubber([traces[0], more])
    with pytest.raises(ValueError, match=r"cloud must be \[N, 1, 8\]"):
        Scrubber(traces[0], cloud=np.zeros((5, 1, 3)))
    with pytest.raises(ValueError, match="hue must hold one value for each of the 5"):
        Scrubber(traces[0], cloud=np.zeros((5, 1, 8)), hue=[0.1])
    with pytest.raises(ValueError, match="order must hold 6 numbers"):
        Scrubber(traces[0], order=[1, 2])
    with pytest.raises(ValueError, match="names must have one entry"):
        Scrubber(traces, names=["one"])


# -- what stands in the page ------------------------------------------------------------------------------------
def test_an_output_needs_no_manager_and_holds_no_raw_text(tmp_path):
    t = Trace([[*range(7)]], [[1] * 7], [[1] * 7], [(1, 0), (0, 0)], HOSTILE, 7, model="<script>alert(1)</script>")
    s = Scrubber(t, title="<img src=x onerror=alert(2)>")
    data = s._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    page = s.to_html(tmp_path / "a" / "x.html").read_text()
    for text in (data["text/html"], page):
        assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 1
        assert "onerror=alert" not in text.replace("&lt;img src=x onerror=alert(2)&gt;", "")
        assert re.search(r'<img class="lddm-still"[^>]* src="data:image/png;base64,[\w+/=]+">', text)
        assert not re.search(r'(src|href)="(?!data:)|https?://(?!www\.w3\.org/2000/svg)', text), "nothing is fetched"
    assert not list(tmp_path.rglob("*.part"))


def test_the_bytes_in_the_page_are_those_of_the_model(traces):
    s = Scrubber(traces[0])
    arguments = s._repr_mimebundle_()["text/html"].rsplit("startHtml(", 1)[1].rsplit(")", 1)[0]
    uid, kind, block, state, bus = json.loads(f"[{arguments}]")
    assert kind == "scrubber" and state == {"step": 0, "sample": 0} and bus == s.bus and uid != bus
    assert base64.b64decode(block) == s.data


def test_size_of_a_large_run(tmp_path):
    rng = np.random.default_rng(0)
    n, length, steps, vocab = 64, 128, 32, 5_000  # random data: nothing to compress
    t = Trace(
        rng.integers(0, vocab, (n, length)),
        rng.integers(1, steps + 1, (n, length)),
        rng.random((n, length)),
        [(1 - k / steps, 1 - k / steps) for k in range(steps + 1)],
        [f"word{k}" for k in range(vocab)],
        vocab,
        latents=rng.normal(size=(steps + 1, n, 4, 8)),
        alternatives=rng.integers(0, vocab, (n, length, 5)),
        alternative_probs=rng.random((n, length, 5)),
    )
    s = Scrubber(t)
    assert len(s.data) + len(s._esm) < 1_000_000, "what the comm carries"
    assert s.to_html(tmp_path / "x.html").stat().st_size < 1_500_000
