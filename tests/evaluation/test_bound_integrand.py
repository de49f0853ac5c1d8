"""The bound's integrand along a path: its areas are the terms of the bound."""

import math

import numpy as np
import pytest
import torch

from lddm_lite import Curve, LatentDiffusion, Path
from lddm_lite.evaluation.bound_integrand import along_path


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
    """At t=1 all is masked: the marginals, without noise. At t=0 each position is alone masked
    (METHOD 1)."""
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
    """A fresh network says 1/V for every token, so that each sequence costs log V for each that is
    not padding."""

    class Text:
        length, vocab, pad_id, labels = 6, 5, 4, list("abcd") + ["[PAD]"]

        @staticmethod
        def spec():
            return {"lengths": [0, 0, 1, 1, 1, 1, 1]}

        @staticmethod
        def sample(n, seed=0):
            return torch.zeros(n, 6, dtype=torch.long)

    x = torch.randint(4, (16, 6), generator=torch.Generator().manual_seed(0))
    x[torch.arange(6) >= torch.tensor([1, 2, 4, 6]).repeat(4).unsqueeze(1)] = 4
    for system in ("mdlm", "co-seq", "di-joint"):
        model = LatentDiffusion.preset(system, Text(), width=16)
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


def test_a_curve_has_no_integrand_over_its_lead(tiny):
    with pytest.raises(ValueError, match="path must be a Path or None"):
        along_path(LatentDiffusion.exact(tiny), tiny.sample(4), Curve(lambda u: (u, u)))
