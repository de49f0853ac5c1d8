"""Notebook 07: its tools do what it says, and what its prose concludes holds for other seeds, too.
(That two processes train like one, and that stopped runs go on exactly: training/test_processes.py.
Parts of one's own: networks/test_custom_parts.py.)"""


import pytest
import torch

import lddm_lite as ld
from tests.support.notebooks import defined

SEEDS = range(5)


@pytest.fixture(scope="module")
def book():
    """The names that the notebook's setup cells define."""
    threads = torch.get_num_threads()
    yield defined("07_scale_and_extend")
    torch.set_num_threads(threads)


def test_the_task_passes_its_checks_and_a_wrong_one_does_not(book):
    book["check_task"](book["bars"], seed=1)
    broken = book["Bars"](side=3)
    broken.probs = torch.full_like(broken.probs, 0.5)  # samples and likelihood no longer agree
    with pytest.raises(AssertionError, match="true samples"):
        book["check_task"](broken)


def test_the_bound_of_few_steps_and_of_many_along_the_bows(book):
    grid, bow = ld.widgets.path_explorer.stored_grids()[0], book["bow"]
    totals = [grid.bound(bow(p)).total for p in (1, 1.5, 2, 3, 4, 6)]
    assert max(totals) - min(totals) < 4 * grid.bound_se + 0.02
    few = [grid.bound(bow(p), 8, 8).total for p in (1, 2, 3, 4, 6)]
    assert few == sorted(few)


def test_the_bent_schedule_costs_less_in_few_steps(book):
    bent = ld.LatentDiffusion.exact(book["task"], "shift", channel=book["Bent"]())
    x = book["task"].sample(1024, seed=4)
    for k in (2, 3, 4, 6):
        a, b = (m.nelbo(x, token_steps=1, latent_steps=k).latents.value for m in (book["exact"], bent))
        assert b < 0.85 * a


@pytest.mark.slow
def test_samples_prefer_bows_and_a_slow_start(book):
    task, bow, exact = book["task"], book["bow"], book["exact"]
    plain = ld.LatentDiffusion.exact(task)

    def excess(model, path, *steps, seed):
        return task.score(model.sample(4096, *steps, path=path, seed=seed).tokens)["excess"]

    for seed in SEEDS:
        joint, bent = (excess(exact, bow(p), 8, 8, seed=seed) for p in (1, 4))
        assert bent < joint - 0.4 and bent < 0.3
        assert excess(exact, ld.Path(0.5), 4, 4, seed=seed) < 0.25
        even, slow, slower = (
            excess(plain, ld.Curve(lambda u, p=p: (1 - (1 - u) ** p, u)), 4, seed=seed) for p in (1, 1.5, 4)
        )
        assert slow < even - 0.1 and slow < slower - 0.3
        for model in (exact, ld.LatentDiffusion.exact(task, "shift", channel=book["Bent"]())):
            assert abs(excess(model, None, 1, 2, seed=seed)) < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_formula_nearly_replaces_stage_1_and_convolutions_the_transformer(book, seed):
    task, body = book["task"], dict(dim=2, width=32, blocks=2, heads=4, encoder_blocks=1)
    held_out, found = task.sample(2048, seed=7), []
    for own in ({}, dict(encoder=book["Phase"]), dict(encoder=book["Phase"], denoiser=book["Convolutions"])):
        model = ld.LatentDiffusion.preset("co-seq", task, seed=seed, **body, **own)
        ld.fit(model, task, steps=700, few_step1=0.9, seed=seed, progress=False)
        drawn = task.score(model.sample(4096, token_steps=1, latent_steps=16, seed=0).tokens)
        found.append((drawn["excess"], model.nelbo(held_out).total.value))
    (learned, bound), (phase, phase_bound), (conv, conv_bound) = found
    assert learned < 5.5 and phase < 4.5 and phase_bound < bound + 0.7  # 8 without a latent
    assert abs(conv) < 0.8 and conv_bound < phase_bound + 0.5  # the same sequences and latents: no worse


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_codes_on_bars_beat_the_best_two_steps_without_them(book, seed):
    bars = book["bars"]
    limit = ld.evaluation.exact_limit(bars, (2,), n=4096, schedule="best")[0]["excess"]
    sizes = dict(codes=64, width=32, blocks=2, encoder_blocks=1, network="text")
    model = ld.LatentDiffusion.preset("di-seq", bars, seed=seed, **sizes)
    ld.fit(model, bars, steps=600, lr=3e-3, few_step1=1.0, late_codes=True, seed=seed, progress=False)
    assert bars.score(model.sample(2048, 1, 1, seed=0).tokens)["excess"] < limit
