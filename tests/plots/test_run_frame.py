"""The picture of a run at one step: where each run is, its size, and whatever text is in it."""

import math
import time

import numpy as np
import pytest

from lddm_lite import Trace, plots

from .drawing import by_kind, hand_made, readable


def test_frames_say_where_each_run_is_and_shorter_ones_wait(saws):
    traces = [saws["continuous"], saws["none"]]  # 6 and 4 steps
    for step in range(7):
        figure = plots.frame(traces, step, sample=3)
        texts = [t.get_text() for t in figure.texts]
        assert sum("sample 3" == t for t in texts) == 2
        for t in traces:
            now = min(step, t.steps)
            masked = int((t.tokens_at(now)[3] == 2).sum())
            line = next(x for x in texts if f"NFE {now} of {t.nfe}" in x and f"{masked} masked" in x)
            assert f"$t_x$ {t.knots[now][0]:.2f}" in line
            assert ("$t_z$" in line) == (t.latents is not None)
        spots = [ax.lines[2].get_xydata().tolist() for ax in by_kind(figure)["path"]]
        assert spots == [[list(t.knots[min(step, t.steps)])] for t in traces]


def test_frames_keep_their_size_and_leave_padding_out():
    t = hand_made(("word", "another", "[PAD]"), pad=2)
    sizes = {plots.frame(t, k, sample=1).get_size_inches().tobytes() for k in range(4)}
    assert len(sizes) == 1
    texts = [s.get_text() for s in by_kind(plots.frame(t, 3, sample=1))["cells"][0].texts]
    assert texts == ["another", "word", "another"]
    assert any("Pink: given" in s.get_text() for s in plots.frame(t, 3, sample=1).texts)


def hostile(length=128):
    vocab = ["$a_{", "<b>", "\\frac", "中文", "\U0001f984", "שלום", "a\nb", "\u202eevil", "^", "x" * 300, "##ing", ""]
    rng = np.random.default_rng(0)
    tokens, when = rng.integers(0, len(vocab), (3, length)), rng.integers(1, 5, (3, length))
    knots = [(1 - k / 4, 0) for k in range(5)]
    return Trace(tokens, when, np.ones((3, length)), knots, vocab, len(vocab), model="$\\bad_{ <i>中")


@pytest.mark.filterwarnings("error")
def test_hostile_text_is_drawn_as_it_is(recwarn):
    t = hostile()
    for traces in (t, [t, t, t, t]):
        figure = plots.frame(traces, 3)
        texts = readable(figure)
        assert "□□" in texts and "$a_{" in texts and "a□b" in texts and "\\frac" in texts
        assert not [v for v in texts if "\n" in v]
    assert any("more" in v for v in texts), "a long text is cut, and says so"


def test_long_bit_sequences_have_a_bounded_height():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2, (2, 1024))
    t = Trace(tokens, np.ones_like(tokens), np.ones(tokens.shape), [(1, 0), (0, 0)], ["0", "1"], 2)
    assert plots.frame(t, 1).get_figheight() < 5


def test_a_frame_is_quick(saws):
    traces = [saws["continuous"], saws["discrete"], saws["none"], saws["continuous"]]
    best = math.inf
    for _ in range(4):
        start = time.process_time()  # what else runs on the machine does not count
        plots.frame(traces, 3, cloud=saws["cloud"])
        best = min(best, time.process_time() - start)
    assert best < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(traces=[]), "1 to 4, got 0"),
        (dict(traces=["none"] * 5), "1 to 4, got 5"),
        (dict(traces=["cloud"]), "traces must hold Trace objects"),
        (dict(step=5), r"step must be an integer in \[0, 4\], got 5"),
        (dict(step=1.5), "step"),
        (dict(sample=6), r"sample must be an integer in \[0, 5\]"),
        (dict(order=[1, 2]), r"order must have shape \(6,\)"),
        (dict(names=["a", "b"]), "names must have one entry per trace, 1, got 2"),
        (dict(planes=[None, None]), "planes must have one entry per trace"),
        (dict(traces=["continuous"], planes=[(np.zeros((2, 6, 2)), np.zeros((3, 2)))]), r"planes\[0\]"),
        (dict(traces=["continuous"], cloud=np.zeros((3, 4, 5))), "cloud must have shape"),
        (dict(traces=["continuous"], hue=[0.5]), "give cloud"),
        (dict(traces=["continuous"], cloud=np.zeros((3, 1, 2)), hue=[0.5]), r"hue must have shape \(3,\)"),
    ],
)
def test_frames_name_a_wrong_argument(options, message, saws):
    options = {"traces": ["none"], "step": 0, **options}
    options["traces"] = [saws[k] for k in options["traces"]]
    with pytest.raises(ValueError, match=message):
        plots.frame(**options)


def test_runs_of_different_sizes_are_refused(saws, news):
    with pytest.raises(ValueError, match=r"as many sequences; got \[6, 4\]"):
        plots.frame([saws["none"], news], 0)
