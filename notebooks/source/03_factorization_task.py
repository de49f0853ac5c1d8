# %% [markdown]
# # Five systems, one budget
#
# **After this notebook you can** build the five systems from one `Config` at equal parameters, train each for several seeds, and draw their
# few-step frontier at equal **total** NFE beside exact predictors, with error bars that mean something; divide a budget between latents and tokens;
# say where the joint path loses to the sequential one, why, and where it does not; and read an excess below zero.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebooks 00 and 01; 02 helps | 30 minutes | about 13 minutes of CPU time on one core | the same: none is used | 1 GB |
#
# Symbols:
#
# | symbol | meaning |
# |---|---|
# | $L$, $H$ | tokens per sequence; entropy of the data, nats per sequence |
# | $t_x, t_z$ | noise times of tokens and latents: 1 pure noise, 0 clean |
# | $T_x, T_z$ | token steps and latent steps of a sampler |
# | $\delta$ | lead of the latents (M10): 0 joint, ½ sequential |
# | NFE | network calls that a sample costs, those of both channels together |
# | excess | $\mathbb E_\text{model}[-\log p^*(x)] - H$, nats per sequence |
# | mode TV | total variation between the hidden shifts of samples and true ones: 0 all there, 1 all missing |
# | SWD | sliced Wasserstein distance between samples and true data |
#
# The papers' own setting, scores and claims, and what of them was reproduced here: [PAPER.md](PAPER.md).
#
# All losses are in **nats per sequence**. (M1) to (M12) are the equation numbers that the library's docstrings use too.

# %% tags=["setup"]
import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

import lddm_lite as ld
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.nfe_budget import split
from lddm_lite.tasks import MixtureTask

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]

task = ld.tasks.Binsaw(length=24)  # 24 bits that share one hidden shift; everything about it is known exactly
SEEDS = (0, 1, 2)
TOTALS = (1, 2, 4, 8, 16)  # network calls
N = ld.course.shrunk(1024, 64)  # samples in a measurement

# %% [markdown]
# ## 1. The task, and what one step loses
#
# Binsaw again (notebook 00), short enough to train many models. Given the hidden shift the bits are independent; without it they are not. What
# one factorised step loses of the law is their **total correlation**, $\sum_i H(x^i)-H(x)$ (M12). Each bit alone is fair, so the sum is $L\ln 2$.
# $T$ steps lose less, and how much depends on where they lie: `even` steps of equal length, or the `best` ones, counts chosen such that the bound in $T$ steps is smallest. The
# exact predictor without latents in either is what learning cannot beat *in these steps*.

# %%
H = task.entropy()
print(f"entropy H {H} nats, total correlation {task.length * math.log(2) - H.value:.3f} nats\n")
limit = {how: ld.evaluation.exact_limit(task, TOTALS, n=4 * N, schedule=how) for how in ("even", "best")}
for how, found in limit.items():
    print(f"exact predictor, {how} steps\n{ld.evaluation.as_text(found)}\n")

# %% [markdown]
# *Excess* is the yardstick for samples. With $q$ the law of the samples it is $\mathrm{KL}(q\|p^*)+H(q)-H(p^*)$ (section 9), and not the total correlation, which one step
# shows as $\mathrm{KL}(p^*\|q)$. (With more steps the table has an upper bound of it.) In brackets stands what as many *true* samples show.
#
# ## 2. Five systems from one `Config`
#
# A system is two choices: what the latents are, and how far they lead.

# %% tags=["figure"]
from IPython.display import display

display(ld.plots.drawing("sampler_paths"))

# %%
for name, choice in SYSTEMS.items():
    print(f"{name:9} {choice}")

# %% [markdown]
# **Equal parameters.** At equal width and depth the systems differ in size: latents bring a stream of their own, continuous
# ones also a modulation by $t_z$. So we choose widths and depths such that the denoisers, which are what sampling runs, agree within 10 %. (The encoder is
# not needed for sampling, and comes on top.)


# %% tags=["setup"]
SIZES = {
    "none": dict(width=48, blocks=3),
    "continuous": dict(width=32, blocks=2, encoder_blocks=1, dim=2),  # a point in the plane
    "discrete": dict(width=32, blocks=3, encoder_blocks=1, dim=4, codes=32),  # one code out of 32
}


def build(system, seed=0):
    """A fresh model of one of the five systems, at equal parameters."""
    return ld.LatentDiffusion.preset(system, task, seed=seed, **SIZES[SYSTEMS[system]["latent"]])


def parameters(module):
    """How many numbers it learns."""
    return 0 if module is None else sum(p.numel() for p in module.parameters() if p.requires_grad)


# %%
print(f"{'system':9} {'latent':11} {'lead':>4} {'width x blocks':>15} {'denoiser':>9} {'encoder':>8}  NFE")
sizes = []
for name in SYSTEMS:
    model = build(name)
    c = model.config
    sizes.append(parameters(model.denoiser))
    calls = "T_x" if c.latent == "none" else "T_x + T_z" if c.lead else "T_x = T_z"
    lead = "-" if c.latent == "none" else c.lead
    shape = f"{c.width} x {c.blocks}"
    print(f"{name:9} {c.latent:11} {lead:>4} {shape:>15} {sizes[-1]:9,} {parameters(model.encoder):8,}  {calls}")
print(f"largest / smallest denoiser: {max(sizes) / min(sizes):.3f}")
assert max(sizes) < 1.1 * min(sizes)

# %% [markdown]
# Joint or sequential is not a matter of weights: `co-joint` and `co-seq` are the same network, and so are the two discrete ones. They differ in where
# training spends its time (mostly on the system's own path, $\delta=0$ or ½; the rest on random leads), and in the path that `sample` takes by default.
#
# **What a call costs.** NFE counts calls, not time. A latent call of the sequential path is cheaper than it counts: all tokens are masked and their
# stream does not run. We count it in full.
#
# ## 3. Train
#
# 1,000 steps of 64 sequences; `mdlm`, whose steps are cheaper, gets 1,400, so that training times are about equal. Three options were chosen by
# trial, and it is fair that you know how. The learning rate, 0.004, is twice the usual one, at which `mdlm` does not leave its first plateau with each seed (4
# is one with which it does not). `few_step2` is the share of training times moved to the start of sampling. Where latents lead, that is the state
# from which *all* tokens are drawn at once; the sequential systems need it often (0.5; for `mdlm` and the joint
# systems we took 0.1). And `stage1=0.5` gives the encoder half of the steps, more than the usual 0.3, lest it be frozen before it has learned.
# Since one run proves little, we train each system from three seeds, which change the initial weights, the data and the noise.



# %% tags=["setup"]
STEPS = {"mdlm": 1400}  # the others 1,000
AT_ONCE = {"co-seq": 0.5, "di-seq": 0.5}  # few_step2; the others 0.1
models, histories = {}, {}


def train_all(seeds, systems=tuple(SYSTEMS), progress=True):
    """Train every system for every seed: fills `models` and `histories`, {(system, seed): ...}."""
    for system, seed in tqdm([(s, k) for k in seeds for s in systems], desc="trainings", disable=not progress):
        model = build(system, seed)
        recipe = dict(lr=4e-3, stage1=0.5, few_step1=0.9, few_step2=AT_ONCE.get(system, 0.1), late_codes=True)
        steps = ld.course.shrunk(STEPS.get(system, 1000), 12)
        histories[system, seed] = ld.fit(model, task, steps=steps, seed=seed, progress=progress, **recipe)
        models[system, seed] = model


# %%
train_all([0])

# %%
train_all([1])

# %%
train_all([2])

# %% [markdown]
# (`few_step1` shows nine of ten sequences fully masked while the encoder learns, as in notebook 00. `late_codes` makes the codebook when the encoder
# is done, see notebook 04.)

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 5, figsize=(11, 3), layout="constrained", sharey=True)
    for ax, system in zip(axes, SYSTEMS):
        ax = ld.plots.style.axes(ax, None)
        for seed in SEEDS:
            h = histories[system, seed]
            for term, ls in (("tokens", "-"), ("latents", "--")):
                if term in h.terms():
                    line = dict(color=ld.plots.style.TERMS[term], lw=1.2, ls=ls, alpha=0.8)
                    ax.plot(h.column("step"), h.column(term), label=term if seed == 0 else None, **line)
        ax.axhline(H.value, color="#444444", lw=1, ls=":", label="H")
        ax.set(title=system, xlabel="training step")
    axes[0].set(ylabel="loss (nats per sequence)", ylim=(0, None))
    axes[1].legend(loc=(0.35, 0.18))

# %% [markdown]
# **What to see.** Three lines a panel, one per seed. With latents there are two stages: first the tokens' loss alone, mostly from all bits masked, then
# both. In the sequential systems the tokens' loss ends *below* $H$ (dotted): part of the information has moved to the latent, whose own loss pays for it. On the
# joint path it does not, since there the tokens are mostly predicted beside a noisy latent. (The loss of continuous latents is reweighted for training; nats are in the
# next table.)
#
# ## 4. The bound
#
# On held-out data, each system along its own path (M9), terms apart. `±` is the standard error of the mean over three seeds.


# %% tags=["setup"]
def mean_se(values):
    """(mean, standard error of the mean) over seeds."""
    v = np.asarray(values, dtype=float)
    return float(v.mean()), float(v.std(ddof=1) / math.sqrt(len(v)))


# %%
held_out = task.sample(4 * N, seed=123)
bounds = {key: model.nelbo(held_out, seed=1) for key, model in tqdm(models.items(), leave=False)}
print(f"{'system':9} {'bound':>14} {'above H':>8} {'tokens':>14} {'latents':>14} {'prior':>6}   each seed's bound")
for system in SYSTEMS:
    own = [bounds[system, seed] for seed in SEEDS]
    terms = {k: mean_se([getattr(b, k).value for b in own]) for k in ("total", "tokens", "latents", "prior")}
    total, tokens, latents = ("{:7.2f} ± {:.2f}".format(*terms[k]).rjust(14) for k in ("total", "tokens", "latents"))
    each = ", ".join(f"{b.total.value:.2f}" for b in own)
    print(f"{system:9} {total} {terms['total'][0] - H.value:8.2f} {tokens} {latents} {terms['prior'][0]:6.3f}   {each}")
noise = max(b.total.stderr for b in bounds.values())
print(f"\nH = {H}; a single bound is uncertain by ± {noise:.2f} or less (draws of data and noise)")

# %% [markdown]
# **What to see.** All bounds lie above $H$, as they must. By the bound alone one would choose `mdlm`, for every seed. The latents' part is what makes the
# others looser, above all for a point in the plane: to guess it at every noise level, to the last digit, is dear. With perfect predictors all five would be $H$ plus next to
# nothing (M11), so what is above it is what short training has not learned. Of few-step samples the bound says nothing.
#
# ## 5. The frontier
#
# Now the question of the method: for a *total* of $1, 2, 4, \dots$ calls, how good are samples? `split(model, nfe)` divides the total: `mdlm` gives all
# calls to tokens; on the joint path every call moves both; on the sequential path half of the calls go to a continuous latent and one to the
# code. (A single call leaves a sequential system no choice but the joint path.)
#
# Four lines need no training: exact predictors without latents, in even and in best steps; and exact predictors that are given the best latent there is, the shift itself (*exact z*), on
# either path. And since a rival should be seen at its best, `mdlm` is drawn in its own best steps, too (chosen from its own costs).
#
# > **Predict, then run.** Which systems fall below the exact predictor in even steps, and from how many calls on? And below its best steps?


# %% tags=["setup"]
def measure(model, nfe, seed=0, n=N, **how):
    """Scores of samples for `nfe` calls in all; `how` goes to `split`."""
    row, run, _ = ld.evaluation.timed_sample(model, n, *split(model, nfe, **how), seed)
    assert row["nfe"] == nfe
    return row | task.score(run.tokens, seed=seed)


def over_seeds(rows, by=("system", "nfe"), keys=("excess", "mode_tv", "swd")):
    """One row for each value of `by`: the mean of `keys` over seeds, its standard error, and the seeds' values."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in by), []).append(row)
    out = []
    for same in groups.values():
        out.append({k: v for k, v in same[0].items() if k not in keys})
        for key in keys:
            out[-1][key], out[-1][f"{key}_se"] = mean_se([row[key] for row in same])
            out[-1][f"{key}_seeds"] = [row[key] for row in same]
    return out


# %%
rows = []
for (_, seed), model in tqdm(models.items(), leave=False):
    rows += [measure(model, nfe, seed=seed) for nfe in TOTALS]
for seed in tqdm(SEEDS, leave=False):  # the exact predictors, too, from three seeds of sampling
    for how in ("even", "best"):
        found = ld.evaluation.exact_limit(task, TOTALS, n=N, seed=seed, schedule=how)
        rows += [r | {"system": f"exact predictor, {how} steps"} for r in found]
    own = ld.evaluation.frontier(models["mdlm", seed], task, TOTALS, n=N, seed=seed, schedule="best")
    rows += [r | {"system": "mdlm, best steps"} for r in own]
    for name, lead in (("exact z, joint", 0.0), ("exact z, seq", 0.5)):
        model = ld.LatentDiffusion.exact(task, "shift", lead=lead)
        rows += [measure(model, nfe, seed=seed) | {"system": name} for nfe in TOTALS]
frontier = over_seeds(rows)

exact = [f"exact predictor, {how} steps" for how in limit]
order = [*exact, "exact z, joint", "exact z, seq", "mdlm, best steps", *SYSTEMS]
for key in ("excess", "mode_tv"):
    print(f"{key:27}" + "".join(f"{f'NFE {k}':>14}" for k in TOTALS))
    for system in order:
        own = [r for r in frontier if r["system"] == system]
        print(f"{system:27}" + "".join(f"{r[key]:7.2f} ± {r[f'{key}_se']:.2f}" for r in own))
    print()
fresh = {k: np.mean([r[f"{k}_fresh"] for r in rows]) for k in ("mode_tv", "swd")}
print(f"true samples, as many: mode TV {fresh['mode_tv']:.3f}, SWD {fresh['swd']:.3f}")

# %% tags=["figure"]
fig, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained")
shown = sorted(frontier, key=lambda r: order.index(r["system"]))
for ax, key, label in zip(axes, ("excess", "mode_tv", "swd"), ("excess (nats per sequence)", "mode TV", "SWD")):
    ld.plots.frontier(shown, ax=ax, key=key)
    ax.set_ylabel(label)
    ax.get_legend().remove()
    if key in fresh:
        ax.axhline(fresh[key], color="#777777", lw=1.2, ls=":", label="true samples")
        ax.set_ylim(0, None)
handles, labels = axes[2].get_legend_handles_labels()
fig.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9, frameon=False);

# %% [markdown]
# **What to see.** Left. With one call all are alike: one factorised draw. `di-seq` is near 0 from *two* calls on, one for the code and one for all bits.
# `co-seq` at two calls is worse than the exact predictor without latents (one call cannot denoise a continuous latent: notebook 00, exercise 4). From four calls on it lies well
# below its value at two, and below the exact predictor's even steps where its encoder has succeeded: with four of the seeds 0 to 4. With seed 2 it has not, and in the means that one
# weighs heavily. Its best steps are a harder rival: `di-seq` is below these too while calls are few, `co-seq` not
# clearly; with 24 bits, well placed steps do nearly as much. (At 128 bits, end of section 7, both are.) No training can bring a model without latents below the exact predictor *in the
# same steps*; what `mdlm` gains by its own best steps stands beside its even ones.
#
# The joint systems, in even steps, are the highest. Two things add up. Their networks have learned less in these few steps than `mdlm` has. But look at *exact z, joint*, which has
# nothing left to learn and knows the best latent there is: it lies *on* the line of no latent in even steps. Training could bring the joint systems down to that line and, on this task,
# in even steps no further. (Section 7 places the steps.) *exact z, seq* shows what the same predictor does when the latent goes first.
#
# Middle and right keep the left honest: a sampler of one single shift would have an excess near 0 (section 9), and stand high in the middle. `co-seq` covers the
# shifts a little less evenly than true samples do. Bars are two standard errors of the mean over three seeds of *training*; with three, a hint of the scatter and no
# 95 % interval. They are widest for `co-seq`, whose encoders differ from seed to seed. Compare systems on one seed each, and you compare luck.
#
# ## 6. How to divide the calls
#
# A sequential system must choose $T_z$ of its NFE calls. Too few, and the latent is not resolved; too many, and the tokens get too few. Which is worse?
#
# > **Predict, then run.** Eight calls in all. Draw the curve of excess against $T_z=1,\dots,7$ for `co-seq`. Then for `di-seq`, which has *one* code.

# %%
nfe, sweep = 8, []
for seed in tqdm(SEEDS, leave=False):
    for name, model in (
        ("co-seq", models["co-seq", seed]),
        ("di-seq", models["di-seq", seed]),
        ("exact z, seq", ld.LatentDiffusion.exact(task, "shift")),
    ):
        for k in range(1, nfe):
            sweep.append(measure(model, nfe, seed=seed, latent_steps=k) | {"system": name})
divided = over_seeds(sweep, by=("system", "latent_steps"))

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for ax, key, label in zip(axes, ("excess", "mode_tv"), ("excess (nats per sequence)", "mode TV")):
        ax = ld.plots.style.axes(ax, None)
        for name in ("co-seq", "di-seq", "exact z, seq"):
            own = [r for r in divided if r["system"] == name]
            style = dict(color=ld.plots.COLOURS.get(name, "#7a5c00"), marker=ld.plots.MARKERS.get(name, "X"))
            ax.errorbar(
                [r["latent_steps"] for r in own], [r[key] for r in own], [2 * r[f"{key}_se"] for r in own],
                capsize=3, lw=1.8, label=name, **style,
            )  # fmt: skip
        ax.set(xlabel="latent steps, out of 8 calls", ylabel=label)
    axes[0].axhline(0, color="#b5b5b5", lw=0.8)
    axes[1].axhline(fresh["mode_tv"], color="#777777", lw=1.2, ls=":", label="true samples")
    axes[1].set_ylim(0, None)
    axes[1].legend()

# %% [markdown]
# **What to see.** `co-seq`: one latent step is by far the worst choice; with more the curve is flat within its bars. A token step too few costs little when $z$ is
# clear; a latent step too few spoils all tokens. `di-seq`: the split hardly matters. One code needs one call, further latent calls change only the moment at which it is
# drawn, and a single token step is enough. The exact predictor is content with *one* Gaussian step: asked about a point off the ring, it knows the nearest on it, where
# a network has never been.
#
# ## 7. Joint against sequential
#
# Section 5 compared systems, and two things differ between `co-joint` and `co-seq`: what the network practised, and the path that it walks. Separate them: every
# network has met random leads, so it can walk either path.
#
# > **Predict, then run.** Eight calls. Four networks, each along $\delta=0,\frac14,\frac12$. Which matters more, the network or the path?

# %%
latent_systems, leads, crossed = ("co-joint", "co-seq", "di-joint", "di-seq"), (0.0, 0.25, 0.5), []
for (system, seed), model in tqdm(models.items(), leave=False):
    if system in latent_systems:
        crossed += [measure(model, 8, seed=seed, path=ld.Path(lead)) for lead in leads]
by_path = over_seeds(crossed, by=("system", "lead"))
print("excess at 8 calls, mean over seeds ± standard error\n")
print(f"{'network':10}" + "".join(f"{f'lead {lead:g}':>14}" for lead in leads))
for system in latent_systems:
    own = [r for r in by_path if r["system"] == system]
    print(f"{system:10}" + "".join(f"{r['excess']:7.2f} ± {r['excess_se']:.2f}" for r in own))
print()
for how, found in limit.items():
    at_8 = next(r for r in found if r["nfe"] == 8)
    print(f"exact predictor without latents, {how} steps, 8 calls: {at_8['excess']:.2f} ± {at_8['excess_se']:.2f}")
shift = ld.LatentDiffusion.exact(task, "shift", lead=0.0)
for k in (4, 8):
    path = ld.evaluation.best_schedule(shift, task, k, moves="joint")
    s = task.score(shift.sample(4 * N, path=path, order="even", seed=1).tokens)
    print(f"exact z, joint, best steps, {k} calls: {s['excess']:.2f} ± {s['excess_se']:.2f}; (t_x, t_z):", end="")
    print(*(f" ({knot.t_x:.2f}, {knot.t_z:.2f})" for knot in path.knots()))

# %% [markdown]
# **What to see.** The path. (Even steps, but for the last two lines.) Along each row nats fall from left to right, for the joint networks too; down a column of one kind of latent the networks differ by
# much less. `co-joint` need not be trained again to gain from it: `path=ld.Path(0.5)` at sampling time is all (M10). For a code a lead of ¼ does not help: it can still
# be drawn after the first tokens, and since fewer moves of the two channels coincide, the tokens get fewer steps for the same NFE.
#
# The last two lines mend joint sampling otherwise: every call still moves both channels, but `best_schedule` places the knots: few tokens in each call while $z$ is noise, and
# all others in the last one. That is far below the same path in even steps, and below the exact predictor's best steps without a latent. So it is not moving together that costs,
# but drawing many tokens early; on Binsaw the best joint steps come close to latents first.
#
# **Why.** Measure what a token can know when it is drawn. Below, exact predictors and 128 bits (the grid of rates that notebook 02's explorer shows): the *tokens' part*
# of what the steps lose (M12), in nats of the bound, at the same NFE.

# %%
from lddm_lite.widgets.path_explorer import stored_grids

grid, wide = stored_grids()[1], ld.tasks.Binsaw()
plain, x_wide = ld.LatentDiffusion.exact(wide), wide.sample(ld.course.shrunk(512, 64), seed=5)
truth = -wide.log_prob(x_wide).mean()  # on the same sequences, so that their own scatter cancels
lost = {"no latent": [], "joint": [], "sequential": []}
calls = (2, 4, 8, 16, 32)
for k in tqdm(calls, leave=False):
    lost["no latent"].append(float(plain.nelbo(x_wide, token_steps=k, draws=2).total.value - truth))
    lost["joint"].append(grid.bound(ld.Path(0.0), k, k).excess_tokens)
    latent = min(16, k // 2)
    lost["sequential"].append(grid.bound(ld.Path(0.5), k - latent, latent).excess_tokens)
print("NFE       " + "".join(f"{k:8}" for k in calls))
for name, values in lost.items():
    print(f"{name:10}" + "".join(f"{v:8.2f}" for v in values))

# %% [markdown]
# **What to see.** On the joint path the tokens lose as much as *without a latent*, and like those they lose half or less with each doubling of the calls. On the sequential
# path they have next to nothing to lose. An even joint step draws tokens while $z$ is half noise: they guess, each for itself, and a token once drawn is never revised. When $z$
# becomes clear, it must agree with tokens that did not agree among themselves. **Tokens commit before $z$ is known.**
#
# Where joint is at **no disadvantage**: with one call (all are the same); with so many that nothing is left to lose, towards the right end of the table, since the bound
# does not care about the order (M11); when the sampler lets the latents lead after all; and where the latent tells little (section 8).
#
# **The shipped models**, at the paper's 128 bits, one training each (so the bars are those of sampling alone):

# %%
shipped = {name: ld.load(f"binsaw-{name}") for name in SYSTEMS}
large_rows = []
for name, model in tqdm(shipped.items(), leave=False):
    for nfe in tqdm(TOTALS, desc=name, leave=False):
        row, run, _ = ld.evaluation.timed_sample(model, ld.course.shrunk(256, 32), *split(model, nfe), 0)
        large_rows.append(row | wide.score(run.tokens))
for how in limit:
    found = ld.evaluation.exact_limit(wide, TOTALS, n=ld.course.shrunk(256, 32), schedule=how)
    large_rows += [r | {"system": f"exact predictor, {how} steps"} for r in found]

# %% tags=["figure"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.9), layout="constrained")
ld.plots.frontier(large_rows, ax=left).set_title("128 bits, shipped models")
ld.plots.frontier(large_rows, ax=right, key="mode_tv").set_ylabel("mode TV")
right.get_legend().remove()
many = np.mean([r["mode_tv_fresh"] for r in large_rows])
right.axhline(many, color="#777777", lw=1.2, ls=":", label="true samples, as many")
right.set_ylim(0, None)
for system in (*exact, *SYSTEMS):
    print(f"{system:27}", *(f"{r['excess']:7.2f} ± {r['excess_se']:.2f}" for r in large_rows if r["system"] == system))

# %% [markdown]
# **What to see.** The same picture with longer training, on a larger task: `di-seq` from two calls on and `co-seq` from four are far below the exact predictor's even steps; `mdlm` and
# the joint systems stay near these or above. Best steps are a harder rival. `di-seq` is below these as well, `co-seq` at four and eight calls; at 16 the difference is within the
# errors. With longer training joint and `mdlm` are alike in even steps, as the table above leads us to expect. Right: the dotted line is the mode TV of 256 *true* samples. From four
# calls on nobody has lost so many shifts that 256 samples could show it clearly.
#
# ## 8. A second task: how much must the latent know?
#
# On Binsaw one latent carries all that the bits share. What if it carries only a part? **Mixture of products**: 16 random prototypes of 12 bits, each bit flipped with
# probability 0.05. All $2^{12}$ sequences can be listed, so the predictor is exact for *any* deterministic encoder. Ours gives one of $K$ codes: the number of
# the nearest prototype, modulo $K$. With $K=16$ the code tells the prototype; with $K=2$ it tells one bit of the four.
#
# > **Predict, then run.** Four calls. Sequential: one for the code, three for the tokens. Joint: all four move both. For which $K$ is which better? And
# > against four token steps *without* a latent?


# %% tags=["setup"]
class Nearest(nn.Module):
    """Codes [B, 1] of sequences [B, L]: the number of the nearest prototype, modulo `codes`."""

    def __init__(self, task, codes):
        super().__init__()
        self.task, self.config = task, SimpleNamespace(codes=codes)

    def forward(self, x):
        apart = (x[:, None] != self.task.prototypes).sum(-1)  # [B, prototypes]
        return (apart.argmin(1) % self.config.codes)[:, None]


def exact_codes(second, codes, nfe, seed=0, n=N):
    """{name: excess and its standard error} of exact predictors at `nfe` calls: without latents, joint, sequential."""
    plain = ld.LatentDiffusion.exact(second)
    coded = ld.LatentDiffusion.exact(second, Nearest(second, codes))
    plans = {"no latent": (plain, None), "joint": (coded, ld.Path(0.0)), "sequential": (coded, ld.Path(0.5))}
    return {
        name: second.score(model.sample(n, *split(model, nfe, path=path), seed=seed).tokens)
        for name, (model, path) in plans.items()
    }


# %%
second = ld.tasks.MixtureOfProducts(length=12, modes=16, noise=0.05, seed=0)
print(f"H = {second.entropy()} nats, total correlation {12 * math.log(2) - second.entropy().value:.2f} or less")
budgets, codes = (2, 4), (2, 4, 8, 16)
cases = {
    (nfe, k): exact_codes(second, k, nfe, n=4 * N)
    for nfe, k in tqdm([(nfe, k) for nfe in budgets for k in codes], leave=False)
}

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    styles = {"no latent": ("#222222", "s", "--"), "joint": ("#5aaee6", "v", "-"), "sequential": ("#004f8c", "o", "-")}
    for ax, nfe in zip(axes, budgets):
        ax = ld.plots.style.axes(ax, None)
        for name, (colour, marker, ls) in styles.items():
            values = [cases[nfe, k][name] for k in codes]
            bars = [2 * v["excess_se"] for v in values]
            style = dict(color=colour, marker=marker, ls=ls, lw=1.8, capsize=3, label=name)
            ax.errorbar(codes, [v["excess"] for v in values], bars, **style)
        ax.set_xscale("log", base=2)
        ax.set_xticks(codes, codes)
        ax.set(xlabel="codes $K$ of the latent (16 prototypes)", title=f"{nfe} calls in all", ylim=(-0.3, None))
        ax.axhline(0, color="#b5b5b5", lw=0.8)
    axes[0].set_ylabel("excess (nats per sequence)")
    axes[1].legend()

# %% [markdown]
# **What to see.** The picture changes. With $K=16$ it is Binsaw again: sequential is near 0, at two calls already. With $K=2$ sequential is the *worst* of the three: it
# pays a call for one bit of information, and has one token step fewer for the rest. Joint pays nothing, since its calls move both, and stays near the model without
# a latent. But it gains nothing either, and where the code tells much it is *worse* than no latent: code and tokens drawn in the same call know nothing of each other.
#
# So far, in even steps: **sequential wins as far as the latent carries the dependence, and joint is the safer choice where it does not.** Here joint never beat both others.
#
# ### Where joint beats latents first
#
# Joint lets each call pay for latents *and* tokens. So it can only win where both want many calls. Here is such a law: two independent chains of four bits, each of which
# changes with probability 0.02; slot $j$ of the latent says whether the chains agree at $j$. The slots are a chain themselves, and given all of them the tokens still are one. All
# predictors are exact, and each schedule is the best of its kind (`step_costs`: the smallest bound in so many steps).

# %%
twins = ld.tasks.TwinChains(length=8, flip=0.02)


class Agreement(nn.Module):
    config = SimpleNamespace(codes=2)  # what `exact` asks of an encoder with codes

    def forward(self, x):
        return twins.agreement(x)


latent, alone = ld.LatentDiffusion.exact(twins, Agreement()), ld.LatentDiffusion.exact(twins)
x, how = twins.sample(ld.course.shrunk(16_384, 256), seed=1), dict(points=9, seed=2)
shared, own = ld.evaluation.step_costs(latent, x, levels=5, **how), ld.evaluation.step_costs(alone, x, **how)
plans = {name: (latent, shared, name) for name in ("joint", "sequential")} | {"no latent": (alone, own, "any")}
print(f"{'calls':5}  {'steps':10} {'bound over entropy':>19} {'excess':>14}")
for calls in (2, 3, 4):
    for name, (model, costs, moves) in plans.items():
        walk = costs.best(calls, moves)
        drawn = model.sample(len(x), path=costs.schedule(walk), order="even", seed=0).tokens
        found = twins.score(drawn)
        over = costs.bound(walk) - twins.entropy().value
        print(f"{calls:5}  {name:10} {over:19.2f} {found['excess']:7.2f} ± {found['excess_se']:.2f}")

# %% [markdown]
# **What to see.** Joint is the best of the three at each number of calls, by bound and by samples, and sequential the worst. **Joint wins where the latents are about as hard as the
# tokens, and neither makes the other easy.** Binsaw is the opposite: one slot, after which the tokens are independent, so that nothing is left to share.
#
# ## 9. What an excess below zero means
#
# `di-seq` and `co-seq` may show an excess slightly *below* 0. Is that better than the truth? Write $q$ for the law of the samples:
#
# $$\underbrace{\mathbb E_q[-\log p^*(x)]-H(p^*)}_{\text{excess}}=\underbrace{\mathrm{KL}(q\,\|\,p^*)}_{\ge\,0}+\underbrace{H(q)-H(p^*)}_{\text{any sign}}.$$
#
# An excess of 0 does not mean $q=p^*$, and one below 0 means that samples have *less entropy* than data, by more than the divergence. Three laws that cheat, each
# a mixture whose entropy and divergence we can compute: fair coins; bits **sharpened** given the shift (odds squared); true bits, but of **one shift** only.
#
# > **Predict, then run.** What is the sign of each one's excess? Which number gives each away?

# %%
one = task.probs[:1].log()
cheats = {
    "fair coins": MixtureTask([0.0], torch.full((1, task.length, 2), 0.5).log()),
    "sharpened": MixtureTask(task.log_prior, 2 * task.probs.log()),
    "one shift": MixtureTask([0.0], one),
}
print(f"{'law':16} {'KL(q|p*)':>9} {'H(q)-H':>8} {'sum':>7} {'excess':>14} {'mode TV':>8} {'SWD':>6}")


def show(name, kl, more, s):
    print(
        f"{name:16} {kl:9.2f} {more:8.2f} {kl + more:7.2f} {s['excess']:7.2f} ± {s['excess_se']:.2f}"
        f" {s['mode_tv']:8.3f} {s['swd']:6.3f}"
    )


for name, law in cheats.items():
    x = law.sample(4 * N, seed=3)
    kl = float((law.log_prob(x) - task.log_prob(x)).mean())
    show(name, kl, law.entropy().value - H.value, task.score(x))
for name, k in (("co-seq", 15), ("di-seq", 1)):  # all tokens in one step: the law of such samples is a mixture, too
    (r,) = ld.evaluation.frontier(models[name, 0], task, (1,), latent_steps=k, n=4 * N, seed=3)
    show(f"{name}, {k} + 1", r["kl_reverse"], r["entropy_gap"], r)
print(f"{'true samples':16} {0:9.2f} {0:8.2f} {0:7.2f} {'0':>7} {'':6} {fresh['mode_tv']:8.3f} {fresh['swd']:6.3f}")

# %% [markdown]
# **What to see.** KL and entropy difference add up to the excess. *Sharpened* samples score far below 0 and are wrong: too typical, each a textbook saw. *One shift*
# is not above 0 either, and only its mode TV gives it away. So read an excess near 0 with the mode TV beside it, and where they can be had,
# with the divergences: these alone are 0 for the true law and no other.
#
# `co-seq` and `di-seq` draw all tokens in one step here, so that the laws of their samples are mixtures, and KL and entropy difference can be computed for them as well. An
# excess near 0, or a little below, is then no riddle: compare their $\mathrm{KL}(q\|p^*)$ with those of the three cheats. (Where $H(q)-H(p^*)$ is below 0: an encoder fits its
# latent to each sequence, so that the tokens learn to be a little surer than the truth allows.) Of several token steps only an upper bound of $\mathrm{KL}(p^*\|q)$ is at hand.
#
# ## Summary
#
# - Equal budget means equal *total* NFE, equal size, several seeds, and beside it what exact predictors do, in even steps and in the best.
# - The bound does not rank few-step samplers.
# - Sequential goes below what no latent can do in even steps once the latent is resolved, which takes one call for a code and a few for a point in the plane. Never save on the latent.
# - Joint in even steps does not, on Binsaw, even with exact predictors: tokens commit before $z$ is known. Well placed steps mend it, or the sequential path. It beats latents first where
#   both channels want many calls.
# - An excess below 0 means less entropy than data. Read it with the divergences, or at least with mode TV.

# %% tags=["setup"]
def difference(exercise, answer, measured):
    """Checks [difference, its standard error] against two scores measured afresh, when the answer is of that kind."""
    given = ld.course.numbers(answer)
    if given is None or given.shape != (2,):
        return ld.selfcheck(exercise, answer, [0.0, 0.0])
    first, second = measured()
    errors = [first["excess_se"], second["excess_se"]]
    off = {"that is the error of one of the two; both are uncertain": errors[0], "the errors' squares add": sum(errors)}
    ld.selfcheck(exercise, given[0], first["excess"] - second["excess"], tol=0.3, unit="nats")
    return ld.selfcheck(f"{exercise}, its error", given[1], math.hypot(*errors), tol=0.1 * errors[0], mistakes=off)


# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1. Pencil.** How many network calls does a sample cost? (a) `mdlm`, 6 token steps. (b) `co-seq`, 4 token and 16 latent steps. (c) `co-joint`, 8 and 8.
# (d) `co-joint`, 4 token and 8 latent steps. (e) Lead $\frac13$, 4 and 4: where both channels move, $t_z=t_x-\frac12$ (M10).

# %% tags=["exercise"]
answer = ...  # [a, b, c, d, e]

# %% tags=["solution"]
answer = [6, 20, 8, 8, 6]

# %% [markdown] tags=["solution"]
# On the diagonal a call can move both: in (d) every second latent move takes tokens along. In (e) the latents move twice alone, twice together with the tokens, and
# then the tokens twice alone.

# %% tags=["check"]
cases = ((0.5, 6, 0), (0.5, 4, 16), (0.0, 8, 8), (0.0, 4, 8), (1 / 3, 4, 4))
want = [ld.Path(lead).nfe(t_x, t_z) for lead, t_x, t_z in cases]
ld.selfcheck(
    "1",
    answer,
    want,
    mistakes={
        "a call can move both channels": [a + b for _, a, b in cases],
        "(e): some of its calls move both channels": [*want[:4], 8],
        "(e): the latents are ahead, so that not all calls are shared": [*want[:4], 4],
    },
);

# %% [markdown]
# **2. Pencil.** Data: 20 independent bits, each 1 with probability 0.9. A model draws them independently, too, with probability 0.95. Its (a) excess, (b) $\mathrm{KL}(q\,\|\,p^*)$,
# (c) $H(q)-H(p^*)$, in nats per sequence?

# %% tags=["exercise"]
answer = ...  # [a, b, c]

# %% tags=["solution"]
h_model = -(0.95 * math.log(0.95) + 0.05 * math.log(0.05))
h_data = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
cross = -(0.95 * math.log(0.9) + 0.05 * math.log(0.1))
answer = [20 * (cross - h_data), 20 * (cross - h_model), 20 * (h_model - h_data)]

# %% [markdown] tags=["solution"]
# About $-2.2=0.3-2.5$: the model is wrong, and its excess is well below 0.

# %% tags=["check"]
biased = {p: MixtureTask([0.0], torch.tensor([[[1 - p, p]]]).log()) for p in (0.9, 0.95)}  # one bit; 20 of them add up
bits_2 = biased[0.9].all_sequences()
law_2 = {p: biased[p].log_prob(bits_2) for p in biased}
kl_2 = 20 * float((law_2[0.95].exp() * (law_2[0.95] - law_2[0.9])).sum())
more_2 = 20 * (biased[0.95].entropy().value - biased[0.9].entropy().value)
other_2 = 20 * float((law_2[0.9].exp() * (law_2[0.9] - law_2[0.95])).sum())
ld.selfcheck(
    "2",
    answer,
    [kl_2 + more_2, kl_2, more_2],
    tol=5e-3,
    unit="nats",
    mistakes={
        "these are nats per bit; there are 20 bits": [(kl_2 + more_2) / 20, kl_2 / 20, more_2 / 20],
        "this is KL(p*|q); the samples come from q": [other_2 + more_2, other_2, more_2],
        "(c) has the wrong sign: the model is surer than the data": [kl_2 - more_2, kl_2, -more_2],
        "these are bits; a nat is 1/ln 2 bits": [v / math.log(2) for v in (kl_2 + more_2, kl_2, more_2)],
    },
);

# %% [markdown]
# **3. Code.** Error bars over seeds. `values` [seeds, budgets] holds an excess for each training seed and budget. Return the pair of lists `[means, errors]`, the
# error being the standard error of the mean over seeds. (The seeds are a sample: mind the degrees of freedom.)


# %% tags=["exercise"]
def over_training_seeds(values):
    return ...


# %% tags=["solution"]
def over_training_seeds(values):
    v = torch.as_tensor(values, dtype=torch.float64)
    return [v.mean(0).tolist(), (v.std(0) / len(v) ** 0.5).tolist()]


# %% tags=["check"]
trial = [[5.2, 2.1, 0.6], [5.5, 1.7, 0.5], [5.3, 2.9, 0.1], [5.4, 2.5, 0.4]]
columns = [mean_se(column) for column in zip(*trial)]
means_3, errors_3 = ([c[i] for c in columns] for i in (0, 1))
ld.selfcheck(
    "3",
    over_training_seeds(trial),
    [means_3, errors_3],
    mistakes={
        "this is how far single seeds scatter; the mean of n seeds scatters by sqrt(n) less": [
            means_3,
            [2 * e for e in errors_3],
        ],
        "divide the squares by n - 1, not by n, since the mean was taken from the same seeds": [
            means_3,
            [e * 0.75**0.5 for e in errors_3],
        ],
    },
);

# %% [markdown]
# **4. Experiment.** At 128 bits, `ld.load("binsaw-co-seq")` and six calls in all: how many of them should move the latent? `split(model, 6, latent_steps=k)` gives the arguments
# of `sample`; score 256 samples of each.

# %% tags=["exercise"]
answer = ...  # latent steps

# %% tags=["solution"]
large, big = ld.tasks.Binsaw(), ld.load("binsaw-co-seq")
by_steps = {}
for k in range(1, 6):
    by_steps[k] = large.score(big.sample(256, *split(big, 6, latent_steps=k), seed=0).tokens)
    print("excess {excess:6.2f} ± {excess_se:.2f}, mode TV {mode_tv:.3f}".format(**by_steps[k]), f"{k} latent steps")
answer = min(by_steps, key=lambda k: by_steps[k]["excess"])

# %% [markdown] tags=["solution"]
# Nearly all of them. A single token step loses little once the latent is clear, and a latent that is not clear spoils every token.

# %% tags=["check"]
given_4 = ld.course.numbers(answer)
if given_4 is None or given_4.dim():
    ld.selfcheck("4", answer, 1.0)
else:
    large, big = ld.tasks.Binsaw(), ld.load("binsaw-co-seq")
    again = {}
    for k in range(1, 6):
        again[k] = large.score(big.sample(256, *split(big, 6, latent_steps=k), seed=100).tokens)["excess"]
    ld.selfcheck(
        "4", again.get(float(given_4), 1e9), min(again.values()), tol=0.6, unit="nats more than the best split",
        mistakes={"of six calls 1 to 5 can move the latent": 1e9},
    )  # fmt: skip

# %% [markdown]
# **5. Experiment.** Section 7 mended joint sampling by the path. Another lever: `eta=0` makes the latent steps deterministic (DDIM; $\eta=1$ is M6).
# Exact predictors of `task`, joint path, eight calls: by how many nats does `eta=0` change the excess, against `eta=1` (negative: it helps), and what is the standard error of that difference? 2,048 samples each.

# %% tags=["exercise"]
answer = ...  # [difference, its standard error], nats

# %% tags=["solution"]
shift_model, excess_of = ld.LatentDiffusion.exact(task, "shift"), {}
for eta in (0.0, 1.0):
    run = shift_model.sample(2048, 8, 8, path=ld.Path(0.0), eta=eta, seed=0)
    score = task.score(run.tokens)
    excess_of[eta] = ld.Estimate(score["excess"], score["excess_se"])
    print(f"eta {eta:g}: excess {excess_of[eta]}")
straight, random = excess_of.values()
answer = [straight.value - random.value, math.hypot(straight.stderr, random.stderr)]

# %% [markdown] tags=["solution"]
# Nothing beyond the error of about 0.07: both samples are drawn afresh, so the squares of their errors add. The randomness of the latent steps is not the trouble: tokens are drawn before $z$ is known, whether or not $z$ then moves straight.

# %% tags=["check"]
def both_eta():
    model = ld.LatentDiffusion.exact(task, "shift")
    runs = [model.sample(2048, 8, 8, path=ld.Path(0.0), eta=eta, seed=100) for eta in (0.0, 1.0)]
    return [task.score(run.tokens) for run in runs]


difference("5", answer, both_eta);

# %% [markdown]
# **6. Experiment.** Section 8 had 16 equally likely prototypes. With exact predictors, eight calls and $K=2$: which order is best, `"no latent"`, `"joint"` or `"sequential"`, and is the
# difference larger than its error? Use `exact_codes(second_task, 2, 8, n=4096)`. Give the *excess* of the sequential one minus that of the joint one, and the standard error of that difference.

# %% tags=["exercise"]
second_task = ld.tasks.MixtureOfProducts(length=12, modes=16, noise=0.05, seed=0)
answer = ...  # [difference, its standard error], nats

# %% tags=["solution"]
second_task = ld.tasks.MixtureOfProducts(length=12, modes=16, noise=0.05, seed=0)
found = exact_codes(second_task, 2, 8, n=4096)
for name, s in found.items():
    print(f"{name:10} excess {s['excess']:.3f} ± {s['excess_se']:.3f}")
ahead, joint = found["sequential"], found["joint"]
answer = [ahead["excess"] - joint["excess"], math.hypot(ahead["excess_se"], joint["excess_se"])]

# %% [markdown] tags=["solution"]
# No difference that exceeds its error. Of eight calls, one more or less for the tokens matters little, and one bit about the prototype helps little. At two calls
# the same bit cost half of the budget.

# %% tags=["check"]
def sequential_and_joint():
    found = exact_codes(second_task, 2, 8, seed=100, n=4096)
    return [found["sequential"], found["joint"]]


difference("6", answer, sequential_and_joint);

# %% [markdown]
# **7. Open.** A sixth system: `ld.LatentDiffusion.preset("co-seq", task, lead=0.25, **SIZES["continuous"])`, trained like the others, three seeds. Where does its frontier lie? And what
# do `mdlm` and `co-joint` reach with ten times the steps? Predict first, with section 7 at hand.
