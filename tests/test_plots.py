"""The static figures show what they are given, can be read, and leave the user's settings alone."""

import io
import itertools
import json
import math
import re
import time
from importlib import resources

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import animation
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from lddm_lite import History, LatentDiffusion, Path, Trace, plots, tasks
from lddm_lite.boundcurve import along_path
from lddm_lite.plots import panels, style, words

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def saws():
    """One run of each kind of latents, and encoded data: 6 sequences of 32 bits."""
    task = tasks.Binsaw(length=32)
    shift = LatentDiffusion.exact(task, "shift")
    x = task.sample(50, seed=1)
    return dict(
        task=task,
        continuous=shift.sample(6, token_steps=2, latent_steps=4, seed=0),
        discrete=LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8).sample(6, token_steps=2, seed=0),
        none=LatentDiffusion.exact(task).sample(6, token_steps=4, seed=0),
        cloud=shift.encode(x, torch.Generator().manual_seed(0)),
        hue=task.find_shift(x) / task.period,
    )


@pytest.fixture(scope="module")
def news():
    """Four sentences of the newswire, 5 steps."""
    return LatentDiffusion.exact(tasks.ToyNewswire()).sample(4, token_steps=5, seed=3)


def hand_made(labels=("a", "b"), pad=None):
    """Two sequences: positions given, revealed at steps 1 and 3 of 3, and (with `pad`) padding."""
    tokens, when = [[0, 1, 1, 0], [1, 0, 1, 1]], [[0, 1, 3, 3], [1, 3, 0, 1]]
    if pad is not None:
        tokens[1][3], when[1][3] = pad, 0
    knots = [(1, 0), (0.6, 0), (0.3, 0), (0, 0)]
    return Trace(tokens, when, np.ones((2, 4)), knots, list(labels), len(labels), pad_id=pad, model="hand")


def luminance(colour):
    """Relative luminance, WCAG 2.1."""
    c = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def lightness(colour):
    """CIE L*, 0 to 100."""
    y = luminance(colour)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


# --- the look ---------------------------------------------------------------------------------------------

def test_ink_has_the_contrast_of_wcag_on_any_colour():
    rng = np.random.default_rng(0)
    colours = [*plots.REVEAL, *plots.CYCLE, *plots.GROUPS, *plots.BIT_COLOURS, plots.GIVEN, "#777777", "#767676"]
    colours += [to_hex(c) for c in rng.random((500, 3))]
    for colour in colours:
        assert contrast(colour, plots.ink_on(colour)) >= 4.5, colour
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_palettes_differ_in_lightness():
    reveal = [lightness(c) for c in plots.REVEAL]
    assert 9 <= len(reveal) <= 11 and min(np.diff(reveal)) > 4 and reveal[-1] - reveal[0] > 75
    systems = sorted(map(lightness, plots.COLOURS.values()))
    assert min(np.diff(systems)) > 5, "systems can be told apart in grey print"
    bits = sorted(map(lightness, plots.BIT_COLOURS))
    assert min(np.diff(bits)) > 15
    assert plots.COLOURS.keys() == plots.MARKERS.keys() and len(set(plots.MARKERS.values())) == len(plots.MARKERS)


def test_the_browser_has_the_same_palettes():
    static = resources.files("lddm_lite").joinpath("widgets", "static", "kit.js")
    if not static.is_file():
        pytest.skip("no browser code here")
    code = static.read_text("utf-8")
    for name in ("REVEAL", "CYCLE", "GROUPS"):
        assert json.loads(re.search(rf"const {name} = (\[.*?\]);", code)[1]) == getattr(plots, name)


def test_reveal_colours_run_over_the_steps_that_reveal(saws):
    assert plots.reveal_range(saws["continuous"]) == (5, 6)
    assert plots.reveal_range(saws["none"]) == (1, 4)
    assert [plots.reveal_colour(k, 1, 11) for k in range(1, 12)] == plots.REVEAL
    assert plots.reveal_colour(7, 7, 7) == plots.REVEAL[0]


def test_hues():
    assert style.hues(None, 2) == [style.DOTS] * 2
    assert style.hues(np.array([0, 9]), 2) == [plots.GROUPS[0], plots.GROUPS[1]]
    around = style.hues([0.0, 0.5, 1.0], 3)
    assert np.allclose(around[0], around[2]) and not np.allclose(around[0], around[1])
    with pytest.raises(ValueError, match=r"hue must have shape \(3,\)"):
        style.hues([0.1], 3)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 0 to 1.5"):
        style.hues([0.0, 1.5], 2)


def test_what_the_backend_sets_inside_the_look_stays():
    """The first figure of a notebook loads its backend while a figure is drawn, and that switches to interactive."""
    was = matplotlib.is_interactive()
    try:
        with plots.look():
            matplotlib.interactive(not was)
        assert matplotlib.is_interactive() is not was
    finally:
        matplotlib.interactive(was)


# --- every figure -----------------------------------------------------------------------------------------

ROWS = [
    {"system": s, "nfe": k + o, "token_steps": k, "excess": e / k, "excess_se": 0.2}
    for s, o, e in (("exact", 0, 40.0), ("mdlm", 0, 47.0), ("co-seq", 16, 0.4), ("di-seq", 1, -0.3), ("own", 0, 9.0))
    for k in (1, 2, 4, 8, 16)
]
TRAINED = History([{"step": 20 * k, "stage": 1 + (k > 30), "tokens": 90 / (1 + 0.1 * k)} for k in range(1, 90)])
for row in TRAINED.rows[30:]:
    row["latents"] = 2.0
CURVE = [
    {"t": t, "tokens": 60 + 20 * t, "latents": 6 * (1 - t), "tokens_se": 1.0, "latents_se": 0.1} for t in (0, 0.5, 1)
]

FIGURES = {
    "training": lambda s, ax: plots.training(TRAINED, ax=ax),
    "frontier": lambda s, ax: plots.frontier(ROWS, ax=ax),
    "frontier_steps": lambda s, ax: plots.frontier(ROWS, ax=ax, x="token_steps"),
    "bound_rates": lambda s, ax: plots.bound_rates(CURVE, ax=ax),
    "bits": lambda s, ax: plots.bits(s["none"].tokens, order=s["none"].tokens.sum(1), ax=ax, title="a $b$_{ title"),
    "unmasking": lambda s, ax: plots.unmasking(s["none"], ax=ax),
    "unmasking_given": lambda s, ax: plots.unmasking(hand_made(), ax=ax),
    "trajectories": lambda s, ax: plots.latent_trajectories(s["continuous"], cloud=s["cloud"], hue=s["hue"], ax=ax),
    "spread": lambda s, ax: plots.latent_spread(np.random.default_rng(0).normal(size=(90, 30, 4)), ax=ax),
    "codebook": lambda s, ax: plots.codebook_use(np.arange(120).reshape(40, 3) % 17, 32, ax=ax),
}
FRAMES = {
    "continuous": lambda s, n: plots.frame(s["continuous"], 5, 2, cloud=s["cloud"], hue=s["hue"]),
    "discrete": lambda s, n: plots.frame(s["discrete"], 2),
    "none": lambda s, n: plots.frame(s["none"], 1),
    "two": lambda s, n: plots.frame([s["continuous"], s["none"]], 5, cloud=s["cloud"]),
    "three": lambda s, n: plots.frame([s["continuous"], s["discrete"], s["none"]], 3),
    "four": lambda s, n: plots.frame([s["continuous"], s["none"], s["discrete"], s["none"]], 6),
    "words": lambda s, n: plots.frame(n, 3),
    "words_four": lambda s, n: plots.frame([n, n, n, n], 5, names=["a $ name", "b" * 60, "_{", "中文"]),
    "given": lambda s, n: plots.frame(hand_made(("word", "another")), 3),
}


def readable(figure):
    """Draw, and assert: every text has at least 9 points, lies within the figure, and touches no other."""
    drawn, plain_draw = [], Text.draw

    def draw(self, renderer):
        drawn.append(self)
        return plain_draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        with plt.rc_context({"savefig.bbox": None}):
            figure.savefig(io.BytesIO(), dpi=100)
    shown = [t for t in dict.fromkeys(drawn) if t.get_visible() and t.get_text().strip()]
    assert shown
    box = figure.bbox
    boxes = [(t, t.get_window_extent()) for t in shown]
    for t, b in boxes:
        assert t.get_fontsize() >= 9, t
        assert b.x0 >= -1 and b.y0 >= -1 and b.x1 <= box.width + 1 and b.y1 <= box.height + 1, f"{t} is cut off"
    for (t, a), (u, b) in itertools.combinations(boxes, 2):
        over = min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        assert not over, f"{t} and {u} overlap"
    return [t.get_text() for t in shown]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("given", [False, True])
def test_figures_can_be_read_and_leave_the_settings_alone(name, given, saws):
    with plt.rc_context({"font.size": 5, "axes.labelsize": 4, "axes.titlesize": 4, "savefig.bbox": "tight"}):
        before = dict(matplotlib.rcParams)
        own = plt.subplots(figsize=(5, 3.4), layout="constrained")[1] if given else None
        ax = FIGURES[name](saws, own)
        assert isinstance(ax, plt.Axes) and (own is None or ax is own)
        assert dict(matplotlib.rcParams) == before
        readable(ax.figure)
    assert to_hex(ax.get_facecolor()) == "#ffffff"


@pytest.mark.parametrize("name", FRAMES)
def test_frames_can_be_read_and_are_small(name, saws, news):
    before = dict(matplotlib.rcParams)
    figure = FRAMES[name](saws, news)
    readable(figure)
    data = plots.png(figure)
    assert dict(matplotlib.rcParams) == before
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG" and picture.size[0] == 900 and 150 < picture.size[1] < 700
    assert len(data) < 60_000
    assert not plt.get_fignums(), "nothing that a notebook would show a second time"


# --- curves -----------------------------------------------------------------------------------------------

def test_training_draws_each_term_and_the_freeze():
    ax = plots.training(TRAINED)
    lines = {line.get_label(): line for line in ax.lines}
    assert np.allclose(lines["tokens"].get_ydata(), TRAINED.column("tokens"))
    assert np.isnan(lines["latents"].get_ydata()[:30]).all() and np.allclose(lines["latents"].get_ydata()[30:], 2)
    assert list(lines["encoder frozen"].get_xdata()) == [20 * 31] * 2
    assert "nats" in ax.get_ylabel() and ax.get_ylim()[0] <= 0
    assert len(plots.training(History([{"step": 3, "stage": 2, "tokens": 1.0}])).lines) == 1
    with pytest.raises(ValueError, match="no rows"):
        plots.training(History())


def test_frontier_draws_the_rows_with_two_standard_errors():
    ax = plots.frontier(ROWS)
    drawn = {c.get_label(): c for c in ax.containers}
    assert list(drawn) == ["exact factorised limit", "mdlm", "co-seq", "di-seq", "own"]
    line, caps, (bars,) = drawn["mdlm"].lines
    assert list(line.get_xdata()) == [1, 2, 4, 8, 16]
    assert list(line.get_ydata()) == pytest.approx([47, 47 / 2, 47 / 4, 47 / 8, 47 / 16])
    assert [float(s[1][1] - s[0][1]) for s in bars.get_segments()] == pytest.approx([0.8] * 5)
    assert drawn["exact factorised limit"].lines[0].get_linestyle() == "--" and line.get_linestyle() == "-"
    assert ax.get_ylim()[1] > 47 and ax.get_ylim()[0] < -0.7
    assert {0, 1, 50} <= {round(v, 6) for v in ax.get_yticks()}
    by_steps = plots.frontier(ROWS, x="token_steps", key="excess")
    assert list(by_steps.containers[2].lines[0].get_xdata()) == [1, 2, 4, 8, 16]


def test_frontiers_side_by_side_keep_all_in_view():
    _, (left, right) = plt.subplots(1, 2, sharey=True)
    plots.frontier(ROWS, ax=left)
    plots.frontier([r for r in ROWS if r["system"] == "co-seq"], ax=right)
    assert left.get_ylim()[1] > 47


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "rows is empty"),
        ([{"system": "mdlm", "nfe": 1}], {}, "'excess'"),
        ([{"system": "mdlm", "nfe": 1, "excess": 1.0}], {"x": "token_steps"}, "'token_steps'"),
    ],
)
def test_frontier_names_what_is_missing(rows, options, message):
    with pytest.raises(ValueError, match=message):
        plots.frontier(rows, **options)


def test_bound_rates_draws_curves_areas_and_bands():
    ax = plots.bound_rates(CURVE[::-1])  # in any order
    tokens, latents = ax.lines
    assert np.allclose(tokens.get_xdata(), [0, 0.5, 1]) and np.allclose(tokens.get_ydata(), [60, 70, 80])
    assert np.allclose(latents.get_ydata(), [6, 3, 0])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["tokens: 70.00 nats", "latents: 3.00 nats"]
    tops = [c.get_paths()[0].vertices[:, 1].max() for c in ax.collections]
    assert tops == pytest.approx([80, 82, 6, 6.2])  # area, band, area, band
    only = plots.bound_rates({"t": [0.0, 1.0], "tokens": torch.tensor([1.0, 3.0])})
    assert len(only.lines) == 1 and only.get_legend().get_texts()[0].get_text() == "tokens: 2.00 nats"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tokens": [1, 2]}, "'t'"),
        ({"t": [0, 1]}, "at least one of"),
        ({"t": [0, 1], "tokens": [1, 2, 3]}, r"table\['tokens'\]"),
        ({"t": [0], "tokens": [1]}, "at least 2"),
        ({"t": [0, 1], "tokens": [1, math.nan]}, "not finite"),
        ([{"t": 0, "tokens": 1}, {"t": 1}], "not finite"),
        ([], "'t'"),
    ],
)
def test_bound_rates_refuses_other_tables(table, message):
    with pytest.raises(ValueError, match=message):
        plots.bound_rates(table)


# --- the integrand along a path ---------------------------------------------------------------------------

def area(rows, name):
    return np.trapezoid([r[name] for r in rows], [r["t"] for r in rows])


@pytest.mark.parametrize("kind", ["none", "continuous", "discrete", "shift"])
@pytest.mark.parametrize("lead", [0.0, 0.3, 0.5])
def test_the_area_of_each_channel_is_its_term_of_the_bound(kind, lead, tiny, saw, settled):
    if kind == "shift":
        task, model = saw, LatentDiffusion.exact(saw, "shift")
    else:
        changes = {"none": None, "continuous": dict(dim=4), "discrete": dict(codes=6, slots=2)}[kind]
        task, model = tiny, LatentDiffusion.exact(tiny, None if changes is None else settled(tiny, kind, **changes))
    x, path = task.sample(512, seed=21), Path(lead)
    rows, bound = along_path(model, x, path, points=17, draws=2), model.nelbo(x, path, draws=16, seed=1)
    # 0.2: over seeds the differences have a standard deviation of at most 0.06
    for name in ("tokens", "latents") if kind != "none" else ("tokens",):
        assert area(rows, name) == pytest.approx(getattr(bound, name).value, abs=0.2), name
    total = bound.prior.value + sum(area(rows, name) for name in ("tokens", "latents") if name in rows[0])
    assert total == pytest.approx(bound.total.value, abs=0.2)
    if kind != "shift":  # whose encoder is stochastic, which costs more than the entropy
        assert total == pytest.approx(-float(task.log_prob(x).mean()), abs=0.2)
    assert ("latents" in rows[0]) == (kind != "none") and [r["t"] for r in rows[::8]] == [0, 0.5, 1]


def test_the_ends_of_the_curve_are_known(tiny):
    """At t=1 all is masked: the marginals, without noise. At t=0 each position is alone masked (METHOD 1)."""
    model, x = LatentDiffusion.exact(tiny), tiny.all_sequences()
    rows = along_path(model, x, points=2, draws=400)
    everything = tiny.predict(torch.full((1, 4), tiny.mask_id))[0].log()
    marginals = -everything.gather(-1, x.T).sum(0)
    assert rows[1]["tokens"] == pytest.approx(float(marginals.mean()), abs=1e-9)
    alone = 0
    for i in range(4):
        x_t = x.clone()
        x_t[:, i] = tiny.mask_id
        alone = alone - tiny.predict(x_t)[:, i].log().gather(-1, x[:, i : i + 1])[:, 0]
    assert rows[0]["tokens"] == pytest.approx(float(alone.mean()), rel=0.05)


def test_padding_costs_nothing_on_the_curve():
    """A fresh network says 1/V for every token, so that each sequence costs log V for each that is not padding."""

    class Text:
        length, vocab, pad_id, labels = 6, 5, 4, list("abcd") + ["[PAD]"]

        @staticmethod
        def spec():
            return {"lengths": [0, 0, 1, 1, 1, 1, 1]}

    x = torch.randint(4, (16, 6), generator=torch.Generator().manual_seed(0))
    x[torch.arange(6) >= torch.tensor([1, 2, 4, 6]).repeat(4).unsqueeze(1)] = 4
    for system in ("mdlm", "co-seq", "di-joint"):
        model = LatentDiffusion.preset(system, Text, width=16)
        rows = along_path(model, x, points=5, batch=7)
        truth = float((x != 4).sum() / 16 * math.log(4))
        assert [r["tokens"] for r in rows] == pytest.approx([truth] * 5, rel=1e-4), "masks and padding are never drawn"
        assert model.training


def test_along_path_repeats_from_a_seed(tiny):
    model, x = LatentDiffusion.exact(tiny), tiny.sample(32, seed=2)
    once, again, other = (along_path(model, x, points=3, seed=s) for s in (1, 1, 2))
    assert once == again != other
    more = along_path(model, x, points=3, draws=32)
    assert more[0]["tokens_se"] < once[0]["tokens_se"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"points": 1}, "points"), ({"draws": 0}, "draws"), ({"batch": 0}, "batch"), ({"path": 0.5}, "path must be")],
)
def test_along_path_names_a_wrong_argument(options, message, tiny):
    with pytest.raises(ValueError, match=message):
        along_path(LatentDiffusion.exact(tiny), tiny.sample(2), **options)


# --- sequences --------------------------------------------------------------------------------------------

def test_bits_are_sorted_by_the_order_given(saws):
    tokens = saws["none"].tokens
    shown = np.asarray(plots.bits(tokens, order=tokens.sum(1)).images[0].get_array())
    assert (np.diff(shown.sum(1)) >= 0).all() and sorted(map(tuple, shown)) == sorted(map(tuple, tokens))
    assert np.array_equal(plots.bits(torch.as_tensor(tokens)).images[0].get_array(), tokens)


@pytest.mark.parametrize(
    ("tokens", "order", "message"),
    [([0, 1], None, "tokens must have shape"), ([[0, 3]], None, "ids 0 to 3"), ([[0, 1]], [1, 2], r"order .*\(1,\)")],
)
def test_bits_refuse_what_is_none(tokens, order, message):
    with pytest.raises(ValueError, match=message):
        plots.bits(tokens, order)


def test_unmasking_tells_given_revealed_and_padding_apart():
    ax = plots.unmasking(hand_made(pad=1))
    revealed, given = (np.ma.asarray(i.get_array()) for i in ax.images)
    # id 1 is padding wherever it stands
    assert revealed.mask.tolist() == [[True, True, True, False], [True, False, True, True]]
    assert revealed.compressed().tolist() == [3, 3]
    assert (~given.mask).tolist() == [[True, False, False, False], [False] * 4]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["given"]
    assert to_hex(ax.images[1].cmap(0)) == plots.GIVEN


def test_unmasking_names_whole_steps_only(saws):
    for trace in (saws["continuous"], saws["none"], hand_made()):
        ax = plots.unmasking(trace, rows=3)
        first, last = plots.reveal_range(trace)
        ticks = ax.figure.axes[1].get_yticks()
        assert ticks[0] == first and (ticks == ticks.round()).all() and ticks[-1] <= last
        shown = np.ma.asarray(ax.images[0].get_array())
        assert shown.shape == (min(3, len(trace)), trace.tokens.shape[1])
        assert np.array_equal(shown.compressed(), trace.reveal_step[:3][trace.reveal_step[:3] > 0])
        for step in (first, last):
            assert to_hex(ax.images[0].cmap(ax.images[0].norm(step))) == plots.reveal_colour(step, first, last)
    with pytest.raises(ValueError, match="rows"):
        plots.unmasking(saws["none"], rows=0)


# --- latents ----------------------------------------------------------------------------------------------

def test_plane_is_the_principal_one():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 2, 3)) * [[3, 1, 0.1], [0.2, 2, 0.3]]
    flat = z.reshape(300, 6)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    found = plots.plane(z)(z)
    for k in (0, 1):
        truth = (flat - flat.mean(0)) @ vectors[:, -1 - k]
        assert np.allclose(np.abs(found[:, k]), np.abs(truth), atol=1e-6)
    assert np.var(found, axis=0, ddof=1) == pytest.approx(values[[-1, -2]])
    pair = rng.normal(size=(4, 5, 1, 2))
    assert np.array_equal(plots.plane(pair[0])(pair), pair[:, :, 0]), "two coordinates are their own plane"
    assert plots.plane(rng.normal(size=(5, 1, 1)))(np.ones((2, 1, 1))).shape == (2, 2)
    assert np.isfinite(plots.plane(np.ones((1, 2, 2)))(np.ones((3, 2, 2)))).all()
    with pytest.raises(ValueError, match="floats"):
        plots.plane(np.ones((3, 2), dtype=int))


def test_trajectories_are_those_of_the_trace(saws):
    t = saws["continuous"]
    ax = plots.latent_trajectories(t, rows=4, cloud=saws["cloud"].requires_grad_(False), hue=saws["hue"])
    assert len(ax.lines) == 4
    for k, line in enumerate(ax.lines):
        assert np.allclose(line.get_xydata(), t.latents[:, k, 0])
    cloud, noise, end = (c for c in ax.collections if isinstance(c, PathCollection))
    assert np.allclose(cloud.get_offsets(), saws["cloud"][:, 0])
    assert len({tuple(c) for c in cloud.get_facecolors()}) > 20
    assert np.allclose(noise.get_offsets(), t.latents[0, :4, 0])
    assert np.allclose(end.get_offsets(), t.latents[-1, :4, 0])
    assert ax.get_aspect() == 1


def test_trajectories_refuse_what_does_not_fit(saws):
    for kind in ("none", "discrete"):
        with pytest.raises(ValueError, match=f"continuous latents, this trace has {kind}"):
            plots.latent_trajectories(saws[kind])
    with pytest.raises(ValueError, match=r"cloud must have shape \[N, 1, 2\]"):
        plots.latent_trajectories(saws["continuous"], cloud=np.zeros((4, 2, 2)))
    with pytest.raises(ValueError, match="give cloud"):
        plots.latent_trajectories(saws["continuous"], hue=[0.1])
    with pytest.raises(ValueError, match="rows"):
        plots.latent_trajectories(saws["continuous"], rows=0)


def test_spread_shows_a_collapse():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 3, 2)) * np.array([[1, 1], [0.001, 0.5], [1, 1]])
    ax = plots.latent_spread(torch.as_tensor(z).requires_grad_())
    bars = sorted(ax.patches, key=lambda p: p.get_x())
    assert np.allclose([b.get_height() for b in bars], z.std(0).ravel())
    assert bars[2].get_height() < 0.002 and "std 0.001 to" in ax.get_title()
    assert ax.lines[0].get_ydata()[0] == 1 and ax.get_ylim()[1] > 1
    for bad in (np.zeros((4, 2)), np.zeros((1, 2, 2))):
        with pytest.raises(ValueError, match=r"\[N >= 2, m, d\]"):
            plots.latent_spread(bad)
    with pytest.raises(ValueError, match="codebook_use"):
        plots.latent_spread(np.zeros((4, 2), dtype=int))


def test_codebook_use_is_sorted_and_agrees_with_the_encoder(settled, saw):
    encoder = settled(saw, "discrete", slots=2, codes=16)
    x = saw.sample(200, seed=3)
    with torch.no_grad():
        codes = encoder(x)
    ax = plots.codebook_use(codes, 16)
    assert f"perplexity {encoder.perplexity(x):.1f} of 16" in ax.get_title()
    for k, drawn in enumerate(p for p in ax.patches if hasattr(p, "get_data")):
        share = np.sort(np.bincount(codes[:, k], minlength=16) / 200)[::-1]
        assert np.allclose(drawn.get_data().values, share[share > 0])
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert f"never used: {16 - len(codes.unique())}" in labels


def test_codebook_use_of_a_full_and_of_a_dead_book():
    labels = [t.get_text() for t in plots.codebook_use(np.arange(8)[:, None], 8).get_legend().get_texts()]
    assert labels == ["even use, 1/8"]
    ax = plots.codebook_use(np.zeros((5, 1), dtype=int), 64)
    assert ax.get_title() == "perplexity 1.0 of 64 (entropy 0.00 nats)"
    for bad, message in (([[0, 8]], r"0..7, got 0 to 8"), ([[0.5]], "integers"), ([0, 1], "integers")):
        with pytest.raises(ValueError, match=message):
            plots.codebook_use(np.array(bad), 8)


# --- running text -----------------------------------------------------------------------------------------

def test_what_the_font_lacks_is_shown_as_a_box():
    assert words.printable("plain é $x_1$ \\frac שלום") == "plain é $x_1$ \\frac שלום"
    assert words.printable("中\n\u202eab\U0001f984\x00") == "□□□ab□□"


def test_widths_are_those_of_the_drawn_text():
    figure = plt.figure(dpi=100)
    for word in ("will", "pneumonoultramicroscopic", "$a_b$", "."):
        t = figure.text(0, 0, word, fontsize=9, family="DejaVu Sans", parse_math=False)
        drawn = t.get_window_extent(figure.canvas.get_renderer()).width * 72 / 100
        assert words.width(word) == pytest.approx(drawn, abs=0.8)


def test_words_are_set_in_lines_and_the_rest_is_counted():
    labels = [(k, w) for k, w in enumerate(["alpha", "##bet", "", "gamma", "x" * 200, "delta", "omega"])]
    placed, left = words.set_words(labels, room=120, lines=3)
    assert left == 0 and [w.position for w in placed] == [0, 1, 3, 4, 5, 6]
    assert placed[1].x == pytest.approx(placed[0].x + placed[0].width), "word pieces join"
    assert placed[2].x > placed[1].x + placed[1].width
    assert placed[3].text.endswith("…") and placed[3].width <= 120 and [w.line for w in placed] == [0, 0, 0, 1, 2, 2]
    assert all(w.x + w.width <= 120 for w in placed)
    placed, left = words.set_words(labels, room=120, lines=2)
    assert left == 2 and len(placed) == 4


# --- a still of a run -------------------------------------------------------------------------------------

def by_kind(figure):
    """The panels of a frame, those of each kind as a list of Axes; 'cells' are bits or words."""
    out = {"cells": [], "raster": [], "plane": [], "path": []}
    for ax in figure.axes:
        label = ax.get_xlabel()
        kind = "raster" if "samples" in label else "plane" if "latents" in label else "path" if "t_x" in label else None
        if kind is None and any(isinstance(c, PolyCollection) for c in ax.collections) and not ax.axison:
            kind = "cells"
        if kind:
            out[kind].append(ax)
    return out


def test_frames_show_the_bits_of_the_step(saws):
    t = saws["none"]
    order = t.tokens.sum(1)
    for step in range(5):
        found = by_kind(plots.frame(t, step, sample=4, order=order))
        now = t.tokens_at(step)
        cells = found["cells"][0].collections
        palette = [to_hex(c) for c in plots.BIT_COLOURS]
        assert [palette.index(to_hex(c)) for c in cells[0].get_facecolors()] == now[4].tolist()
        fresh = int((t.reveal_step[4] == step).sum()) if step else 0
        assert (len(cells[1].get_paths()) if fresh else len(cells)) == (fresh or 1)
        (raster,) = found["raster"]
        truth = np.array([to_rgb(c) for c in plots.BIT_COLOURS])[now[np.argsort(order, kind="stable")]]
        assert np.allclose(raster.images[0].get_array(), truth)
        mark = raster.lines[0].get_ydata()[0]
        row = list(np.argsort(order, kind="stable")).index(4)
        assert mark == pytest.approx(1 - (row + 0.5) / 6)
        assert [ax.lines[2].get_xdata().tolist() for ax in found["path"]] == [[t.knots[step][0]]]


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


def test_frames_show_the_latents_of_the_step(saws):
    t = saws["continuous"]
    windows = set()
    for step in (0, 2, 6):
        (ax,) = by_kind(plots.frame(t, step, sample=1, cloud=saws["cloud"], hue=saws["hue"]))["plane"]
        dots, now = (c.get_offsets() for c in ax.collections)
        assert np.allclose(dots, saws["cloud"][:, 0]) and np.allclose(now, t.latents[step, :, 0])
        assert np.allclose(ax.lines[0].get_xydata(), t.latents[: step + 1, 1, 0])
        windows.add((*ax.get_xlim(), *ax.get_ylim()))
    assert len(windows) == 1, "the window does not move with the step"


def test_frames_take_coordinates_from_elsewhere(saws):
    t = saws["continuous"]
    rng = np.random.default_rng(0)
    paths, dots = rng.normal(size=(7, 6, 2)), rng.normal(size=(9, 2))
    figure = plots.frame([t, saws["none"]], 3, sample=2, planes=[(paths, dots), None], hue=np.arange(9))
    (ax,) = by_kind(figure)["plane"]
    assert np.allclose(ax.collections[0].get_offsets(), dots) and np.allclose(ax.lines[0].get_xydata(), paths[:4, 2])
    many = plots.frame([t, t], 3, cloud=[saws["cloud"], None])
    assert [len(a.collections[0].get_offsets()) for a in by_kind(many)["plane"]] == [50, 6]


def test_frames_fill_in_the_code_slots(saws):
    t = saws["discrete"]
    for step in (0, t.steps):
        ax = next(a for a in plots.frame(t, step, 5).axes if a.get_xlabel() == "latent codes")
        shown = [s.get_text() for s in ax.texts]
        assert shown == (["···"] * 3 if step == 0 else [str(v) for v in t.latents[-1, 5]])


def test_frames_set_words_and_hide_masked_ones(news):
    for step in (0, 3, 5):
        (ax,) = by_kind(plots.frame(news, step, sample=2))["cells"]
        now, when = news.tokens_at(step)[2], news.reveal_step[2]
        seen = [news.labels[v] for v in now if v != news.mask_id]
        assert [t.get_text() for t in ax.texts] == seen
        faces = [to_hex(c) for c in ax.collections[0].get_facecolors()]
        first, last = plots.reveal_range(news)
        want = [
            style.MASKED if v == news.mask_id else plots.reveal_colour(int(k), first, last)
            for v, k in zip(now, when, strict=True)
        ]
        assert faces == want
        for text, face in zip(ax.texts, [f for f, v in zip(faces, now, strict=True) if v != news.mask_id], strict=True):
            assert contrast(text.get_color(), face) >= 4.5
        rings = sum(to_hex(e) == style.FRESH for e in ax.collections[0].get_edgecolors())
        assert rings == (int((when == step).sum()) if step else 0)


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
    assert math.prod(panels.bit_shape(1024, 4.0)) == 1024


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


# --- a film -----------------------------------------------------------------------------------------------

def test_a_gif_has_a_frame_per_step_and_holds_the_last(saws, tmp_path):
    path = plots.animate(saws["none"], tmp_path / "new" / "run.gif", fps=5, sample=2)
    assert path == tmp_path / "new" / "run.gif" and [p.name for p in path.parent.iterdir()] == ["run.gif"]
    film = Image.open(path)
    shown = []
    for k in range(film.n_frames):
        film.seek(k)
        shown.append((film.info["duration"], film.convert("RGB").tobytes()))
    assert [d for d, _ in shown] == [200, 200, 200, 200, 1000]
    assert len({p for _, p in shown}) == 5 and film.size[0] == 900


def test_an_interrupted_film_leaves_nothing_and_the_old_one_stays(saws, tmp_path, monkeypatch):
    path = tmp_path / "run.gif"
    path.write_bytes(b"old")
    calls = itertools.count()
    draw = plots.still.Scene.draw

    def stop(self, figure, step, sample):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return draw(self, figure, step, sample)

    monkeypatch.setattr(plots.still.Scene, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        plots.animate(saws["none"], path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_film_needs_its_program(saws, tmp_path, monkeypatch):
    monkeypatch.setattr(animation.writers, "is_available", lambda name: name != "ffmpeg")
    with pytest.raises(RuntimeError, match="apt install ffmpeg"):
        plots.animate(saws["none"], tmp_path / "run.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not animation.writers.is_available("ffmpeg"), reason="ffmpeg is not installed")
def test_an_mp4_is_written(saws, tmp_path):
    path = plots.animate(saws["none"], tmp_path / "run.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("run.avi", {}, r"\.gif or \.mp4, got 'run.avi'"),
        ("run", {}, r"\.gif or \.mp4"),
        ("run.gif", {"fps": 0}, "fps"),
        ("run.gif", {"fps": "fast"}, "fps"),
        ("run.gif", {"sample": 9}, "sample"),
        ("run.gif", {"order": [1]}, "order"),
    ],
)
def test_animate_names_a_wrong_argument(name, options, message, saws, tmp_path):
    with pytest.raises(ValueError, match=message):
        plots.animate(saws["none"], tmp_path / name, **options)
    assert not list(tmp_path.iterdir())
