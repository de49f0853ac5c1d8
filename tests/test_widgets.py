"""The first scrubber: what it shows at each step, and that text from data stays text."""

import matplotlib
import numpy as np
import pytest

from lddm_lite import LatentDiffusion, Trace, plots, tasks
from lddm_lite.widgets import Scrubber, views

matplotlib.use("agg")


@pytest.fixture(scope="module")
def traces():
    task = tasks.Binsaw(length=16)
    seq = LatentDiffusion.preset("co-seq", task, width=16).sample(6, token_steps=2, latent_steps=3, seed=0)
    return [seq, LatentDiffusion.preset("mdlm", task, width=16).sample(6, token_steps=4, seed=0)]


def test_frames_follow_the_slider(traces):
    s = Scrubber(traces, order=[t.tokens.sum(1) for t in traces])
    assert s.step.max == 5
    seen = set()
    for k in range(6):
        s.step.value = k
        seen.add(s.panes[0].value)
        assert f"NFE {k} of 5" in s.panes[0].value
        assert f"NFE {min(k, 4)} of 4" in s.panes[1].value, "a shorter run stays at its end"
    assert len(seen) == 6
    assert "0 masked" in s.panes[0].value and "svg" in s.panes[0].value


def test_masked_count_and_reveal_notes(traces):
    html = views.token_view(traces[0], 0, 0)
    assert html.count(": masked") == 16
    html = views.token_view(traces[0], 0, traces[0].steps)
    assert html.count("revealed at step") == 16 and ": masked" not in html


def test_sample_picker_and_still_picture(traces):
    s = Scrubber(traces[0])
    first = s.panes[0].value
    s.pick.value = 3
    assert s.panes[0].value != first
    data = s._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "application/vnd.jupyter.widget-view+json" in data and "NFE 4 of 5" in data["text/html"]


def test_hostile_text_is_escaped():
    bad = ["<img src=x onerror=alert(1)>", "</script><b>", '"quoted"']
    t = Trace([[0, 1, 2]], [[1, 1, 1]], [[1, 1, 1]], [(1, 0), (0, 0)], bad, 3, model="<script>")
    html = Scrubber(t).frame(0, 1, 0)
    for raw in ("<img src=x", "</script>", "<script>", "<b>model"):
        assert raw not in html
    assert "&lt;img" in html


def test_discrete_latents_fill_in():
    task = tasks.Binsaw(length=8)
    t = LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8).sample(2, token_steps=1, seed=0)
    s = Scrubber(t)
    s.step.value = 0
    assert s.panes[0].value.count("···") == 3
    s.step.value = t.steps
    assert "···" not in s.panes[0].value


def test_bad_arguments(traces):
    with pytest.raises(ValueError, match="traces is empty"):
        Scrubber([])
    more = LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(2, token_steps=1)
    with pytest.raises(ValueError, match="as many sequences"):
        Scrubber([traces[0], more])


def test_plots_show_what_they_are_given(traces):
    rows = [{"system": "mdlm", "nfe": k, "excess": 8.0 / k, "excess_se": 0.1} for k in (1, 2, 4)]
    ax = plots.frontier(rows)
    line = ax.containers[0].lines[0]
    assert np.allclose(line.get_ydata(), [8, 4, 2]) and np.allclose(line.get_xdata(), [1, 2, 4])
    ax = plots.bits(traces[0].tokens, order=traces[0].tokens.sum(1))
    shown = np.asarray(ax.images[0].get_array())
    assert (np.diff(shown.sum(1)) >= 0).all(), "rows are sorted by the order given"
    ax = plots.unmasking(traces[1])
    assert np.asarray(ax.images[0].get_array()).max() <= traces[1].steps
    assert plots.latent_trajectories(traces[0], rows=4).get_xlabel()
    with pytest.raises(ValueError, match="continuous"):
        plots.latent_trajectories(traces[1])
