# %% [markdown]
# # Start here: a few steps are enough, if something carries the joint structure
#
# Masked diffusion writes all tokens in parallel: from a blank row, some more at each step. Tokens of one step are drawn *independently of each
# other*, so in few steps they do not agree. Give the model a second channel, a **latent** that is settled first and says what the tokens share, and
# a handful of steps is enough.
#
# Below, 128 bits that share one secret, drawn by two trained models in five steps each. Press Play, drag the slider, or use <kbd>←</kbd> <kbd>→</kbd>.

# %% tags=["setup"]
import math

import torch

import lddm_lite as ld
from lddm_lite.cli import doctor
from lddm_lite.diffusion.nfe_budget import split

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]
for check in doctor.report():  # is everything here?
    if check.state != "ok":
        print(f"{check.name}: {check.state}. {check.detail} {check.mend}")

# %% tags=["setup"]
big_task = ld.tasks.Binsaw()  # 128 bits
big = ld.load("binsaw-co-seq")

# %%
shown = big.sample(64, token_steps=1, latent_steps=4, seed=0)
beside = ld.load("binsaw-mdlm").sample(64, token_steps=shown.nfe, seed=0)
ld.widgets.Scrubber([shown, beside], model=[big, None], task=big_task, names=["with a latent", "without"], samples=32)

# %% [markdown]
# **What to see.** On top one sequence, below it many, a row each. Right, the usual way: a fifth of the bits at each step. The first of them cannot know of each
# other, and the bands stay ragged. Left, for four steps no bit at all; instead the dots in the plane, one latent for each sequence, find their
# places on a ring. Then a single step draws all 128 bits, and the bands are as clean as in data.
#
# **After this notebook you can** say why masked diffusion needs many steps, train a model without a latent and one with, in twenty seconds each, and measure
# both against what an *exact* predictor without a latent reaches in as many steps.
#
# | you need | reading | computing on 2 CPU cores | memory |
# |---|---|---|---|
# | Python, a little probability; no diffusion background | 20 minutes | about 2 minutes | 1 GB |
#
# Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>; <kbd>Ctrl</kbd>+<kbd>B</kbd> hides JupyterLab's side bar. Code that only prepares or draws
# is folded away: click its three dots to see it. What follows "Predict, then run" is folded too, so that you can predict. If the cell above printed anything but the picture, each
# line ends with the command that mends it.
#
# | word | meaning |
# |---|---|
# | $x$, $L$ | a sequence of $L$ **tokens**; here bits |
# | $z$ | the **latent**: what the tokens share, as a few numbers (**continuous**) or as codes, each one of $K$ (**discrete**) |
# | `mdlm` | masked diffusion without a latent, the baseline |
# | `co-seq`, `di-seq` | with a continuous or a discrete latent that is drawn first, *sequentially* |
# | $p^*$, $H$ | the true law of the data, and its entropy |
# | **excess** | $\mathbb E_\text{samples}[-\log p^*(x)] - H$: how much less likely samples are than data |
# | **NFE** | network calls that a sample costs, those for the latent counted |
# | **nats** | the unit of all losses: natural logarithms, per sequence; 1 bit is 0.69 nats |
#
# ## The course
#
# | notebook | by the end you can | computing on 2 CPU cores |
# |---|---|---|
# | `00_start_here` | say what the method is for, and see it work | about 2 minutes |
# | [`01_masked_diffusion`](01_masked_diffusion.ipynb) | write a masked diffusion model in 60 lines, and say what it cannot do | about 2 minutes |
# | [`02_elbo`](02_elbo.ipynb) | derive every term of the bound, and why the order of denoising matters only in few steps | about 2 minutes |
# | [`03_factorization_task`](03_factorization_task.ipynb) | train and compare the five systems, beside exact predictions without latents | about 13 minutes |
# | [`03b_by_hand`](03b_by_hand.ipynb) | write the whole method from nothing, continuous and discrete | about 1 minute |
# | [`04_latents`](04_latents.ipynb) | make a latent informative: collapse and blow-up, caused and cured | about 5 minutes |
# | [`05_language`](05_language.ipynb) | train on text, and judge what comes out | about 5 minutes |
# | [`06_scrub`](06_scrub.ipynb) | explore trained models: systems, orders, infilling, walks, paths | about 1 minute |
# | [`07_scale_and_extend`](07_scale_and_extend.ipynb) | train on several GPUs; add a path, a channel, a task, an encoder | about 4 minutes |
# | [`08_your_own_data`](08_your_own_data.ipynb) | put in your own sequences: digits, characters, families, grammars | about 2 minutes |
# | [`09_molecules`](09_molecules.ipynb) | see few steps break strings of real molecules, and a code mend them | 2 minutes |
#
# `01` to `04` build on one another; `06` can be read at any time and trains nothing. Each ends with exercises that check themselves; `solutions/`
# has the answers.

# %% [markdown]
# ## 1. Data with one shared secret
#
# **Binsaw** draws a hidden shift $s$, uniformly. Given $s$, bit $i$ of $L$ is 1 with a probability read off a wave of two saws that is displaced by $s$,
#
# $$
# p(x^i=1\mid s)=\epsilon+(1-2\epsilon)\,\mathrm{tri}\bigl(2\,(i/L+s)\bigr),\qquad \mathrm{tri}(u)=1-|2\,(u\bmod 1)-1|,\quad\epsilon=0.01,
# $$
#
# *independently* of the other bits. One number is all that the bits share. A single sequence looks like noise; sort many by their shift, and the shared
# structure appears as diagonal bands.

# %% tags=["setup"]
task = ld.tasks.Binsaw(length=32)

# %% tags=["figure"]
import matplotlib.pyplot as plt

x = task.sample(256, seed=0)
fig, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained", width_ratios=[1.3, 1, 1])
for k, shift in enumerate((0.0, 0.15, 0.3)):
    axes[0].plot(task.bit_probs(torch.tensor([shift]))[0], label=f"s = {shift:g}", ls=("-", "--", ":")[k], lw=2)
axes[0].set(xlabel="bit i", ylabel="p(bit is 1)", title="the wave for three shifts", ylim=(0, 1.25))
axes[0].legend(loc="upper center", fontsize=8, ncols=3, frameon=False)
ld.plots.bits(x, ax=axes[1], title="256 sequences, as drawn")
ld.plots.bits(x, order=task.find_shift(x), ax=axes[2], title="the same, sorted by their shift")
print(f"entropy H = {task.entropy()} nats; 32 fair coins would have {32 * torch.log(torch.tensor(2.0)):.3f}")

# %% [markdown]
# Since Binsaw is a mixture over $s$, its exact likelihood, its entropy and the *Bayes-optimal* predictor
# $p(x^i \mid \text{visible bits})$ are all computable. So we know not only how good a model is, but how good it could be.
#
# ## 2. Why few steps fail
#
# Masked diffusion starts from all masks and reveals some positions in each step. Positions revealed **in the same step are drawn
# independently**: they cannot see each other. With one step, that is all of them.
#
# > **Predict, then run.** We give the sampler the *exact* predictor, so nothing can be learned better. What will its samples look
# > like after 1 step? After 32 even ones?

# %% tags=["setup"]
best = ld.LatentDiffusion.exact(task)

# %% tags=["figure"]
fig, axes = plt.subplots(1, 4, figsize=(11, 2.8), layout="constrained")
for ax, steps in zip(axes, (1, 2, 4, 32)):
    bits = best.sample(256, token_steps=steps, seed=0).tokens
    order = task.find_shift(bits)
    title = f"{steps} step{'s' * (steps > 1)}: {task.score(bits)['excess']:+.1f} nats"
    ld.plots.bits(bits, order=order, ax=ax, title=title)

# %% [markdown]
# The number is the **excess**: how many nats less likely the samples are, under the true law, than true data are
# ($\mathbb E_\text{model}[-\log p^*(x)] - H$). One step destroys the bands, although the predictor is perfect. No training can
# mend that; it is the price of independence.
#
# ## 3. Train two models
#
# The way out is a second channel with a clock of its own. Both clocks go from noise to data; the latent's is ahead, so that it is nearly settled when the tokens are drawn.

# %% tags=["figure"]
from IPython.display import display

display(ld.plots.drawing("two_clocks"))

# %% [markdown]
# `mdlm` is the baseline: a network that predicts each masked bit from the visible ones. `di-seq` has a latent besides: one **code** out of 64. Which code a sequence
# gets is found before any network is trained, by looking for the 64 classes whose sequences are best described by *one* probability for each bit
# (`encoder="mixture"`; notebook 04 is about encoders that learn). The network then learns two things: which code comes how often, and
# the bits *given* the code. To sample, draw the code in one call, then the bits.

# %%
mdlm = ld.LatentDiffusion.preset("mdlm", task, seed=0)
mdlm_history = ld.fit(mdlm, task, steps=ld.course.shrunk(600), seed=0)

# %%
diseq = ld.LatentDiffusion.preset("di-seq", task, encoder="mixture", slots=1, codes=64, seed=0)
diseq_history = ld.fit(diseq, task, steps=ld.course.shrunk(300), seed=0)

# %% tags=["figure"]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", sharey=True)
mdlm_history.plot(left).set_title("mdlm")
diseq_history.plot(right).set_title("di-seq")
for ax in (left, right):
    ax.axhline(task.entropy().value, color="#444444", ls="--", lw=1)
left.text(0, task.entropy().value - 0.4, "entropy of the data", fontsize=9, color="#444444", va="top");

# %% [markdown]
# The token loss of `di-seq` lies **below** the entropy, for part of the information sits in the code, whose own loss pays for it. Their sum is a bound on
# $-\log p(x)$, the **NELBO**, and so is the one loss of `mdlm`:

# %%
held_out = task.sample(4096, seed=123)
print("mdlm  ", mdlm.nelbo(held_out))
print("di-seq", diseq.nelbo(held_out))
print("H     ", task.entropy())

# %% [markdown]
# No bound can lie below $H$. The latent is not a trick that lowers it: with perfect predictors both would equal $H$, whatever the order of the draws. What it changes is
# what a **few-step** sampler loses.
#
# ## 4. The same budget, side by side
#
# A fair budget counts every network call. `di-seq` spends one on the code and the others on the bits. Beside both, two *limits*: the exact predictor without a latent,
# in even steps, and in the steps that are **best** for it, which reveal few bits first and many last. `mdlm` is shown in its own best steps, too.

# %%
calls, n = (2, 4, 8, 16), ld.course.shrunk(1024)
rows = []
for schedule in ("even", "best"):
    own = ld.evaluation.exact_limit(task, calls, n=n, schedule=schedule)
    rows += [dict(r, system=f"exact predictor, {schedule} steps") for r in own]
own = ld.evaluation.frontier(mdlm, task, calls, n=n, schedule="best")
rows += [dict(r, system="mdlm, best steps") for r in own]
rows += ld.evaluation.frontier(mdlm, task, calls, n=n)
rows += ld.evaluation.frontier(diseq, task, [k - 1 for k in calls], latent_steps=1, n=n)
kept = ("system", "nfe", "excess", "kl_", "entropy_gap", "mode_tv")
print(ld.evaluation.as_text([{k: v for k, v in r.items() if k.startswith(kept)} for r in rows]))

# %% tags=["figure"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
ld.plots.frontier(rows, ax=left)
ld.plots.frontier([r for r in rows if r["system"] in ("mdlm", "di-seq")], ax=right, x="token_steps")
right.set_ylabel("");

# %% [markdown]
# **What to see.** Left, at equal total cost. There is nothing left to learn on the two black lines, and choosing the steps helps much, `mdlm` too. `di-seq`, trained for
# half as many steps as `mdlm`, is below all of them at two calls and at four. With more calls the best steps come near: this is a small task, and at four times the length the distance
# is larger (section 7). Right, counting token steps only: a *single* parallel draw of all bits is enough, once the code is known.
#
# **An excess near zero proves nothing by itself.** With $q$ the law of the samples, the excess is
# $\mathrm{KL}(q\,\|\,p^*)+[H(q)-H(p^*)]$: samples that are wrong *and* too much alike can have an excess of zero, or one below it. What tells
# is a divergence. After one token step all three are known, for $q$ is then a mixture over the codes: see the first row of `di-seq` in the
# table. After several, the sampler's own bound is at least $\mathrm{KL}(p^*\|\,q)$ above $H$ (`≤`). `mode TV` compares the hidden
# shifts alone: how far their shares are from the true ones (total variation), with that of fresh data beside it.

# %% tags=["figure"]
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3), layout="constrained")
runs = {
    "data": held_out[:256],
    "mdlm, 2 calls": mdlm.sample(256, token_steps=2, seed=0).tokens,
    "di-seq, 1 + 1 calls": diseq.sample(256, token_steps=1, latent_steps=1, seed=0).tokens,
}
for ax, (name, bits) in zip(axes, runs.items()):
    ld.plots.bits(bits, order=task.find_shift(bits), ax=ax, title=name)

# %% [markdown]
# ## 5. What is in the latent?
#
# Nobody told the encoder about the shift. Here is what each of the 64 codes says of each bit, the codes sorted by the shift of their sequences:

# %% tags=["figure"]
code = diseq.encode(held_out).flatten()
angle = task.find_shift(held_out) / task.period * 2 * math.pi
mean = torch.tensor([math.atan2(angle[code == k].sin().sum(), angle[code == k].cos().sum()) for k in range(64)])
fig, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
image = ax.imshow(diseq.encoder.probs[mean.argsort(), :, 1], aspect="auto", cmap="Greys", vmin=0, vmax=1)
ax.set(xlabel="bit i", ylabel="code, sorted by its shift")
fig.colorbar(image, ax=ax, label="p(bit is 1)");

# %% [markdown]
# These are the bands of section 1: each code is a small interval of shifts, and the wave that belongs to it. A *continuous* latent puts the shift on a ring instead, as in the moving
# picture on top.
#
# ## 6. Scrub
#
# Now your own models. Left `di-seq`, right `mdlm`, each in four calls. On top one sample,
# each bit coloured by the step that revealed it (point at one to see how sure the model was); below all 64, a row each, sorted by their
# shift.
#
# > **Predict, then run.** At which step do the bands appear on the left? And on the right?

# %%
trace = diseq.sample(64, token_steps=3, latent_steps=1, seed=1)
baseline = mdlm.sample(64, token_steps=trace.nfe, seed=1)
ld.widgets.Scrubber([trace, baseline], model=[diseq, None], task=task, names=["di-seq", "mdlm"])

# %% [markdown]
# **What to see.** On the left the first call settles the code and no bit; each bit that is drawn then fits into its band. On the right the bands come little by little, and rows
# revealed early in contradiction stay that way.
#
# A run can be kept as one small file: `trace.save("run.json")`, later `ld.Trace.load("run.json")`. A scrubber becomes a page that opens
# offline with `.to_html("run.html")`, or a film with `.animate("run.gif")`.
#
# ## 7. The real size
#
# The paper's task has $L=128$. Trained models of that size ship with the project, among them the two of the moving picture, where the latent is continuous.
# Five calls each: the exact predictor without a latent in even steps and in its best ones, and `co-seq` with four on the latent and one
# on all bits:

# %% tags=["figure"]
exact = ld.LatentDiffusion.exact(big_task)
best_steps = ld.evaluation.best_schedule(exact, big_task, 5)
drawn = {
    "exact predictor, even steps": exact.sample(512, token_steps=5, seed=0),
    "exact predictor, best steps": exact.sample(512, path=best_steps, order="even", seed=0),
    "co-seq": big.sample(512, token_steps=1, latent_steps=4, seed=0),
}
fig, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for ax, (name, t) in zip(axes, drawn.items()):
    score = big_task.score(t.tokens)
    title = f"{name}, {t.nfe} calls: {score['excess']:+.1f} ± {score['excess_se']:.1f} nats"
    ld.plots.bits(t.tokens, order=big_task.find_shift(t.tokens), ax=ax, title=title)
    ax.title.set_fontsize(9)

one_step = exact.sample(512, token_steps=1, seed=0).tokens
print(f"exact predictor, a single step: excess {big_task.score(one_step)['excess']:.1f} nats")
print("   ", ld.evaluation.divergences(exact, big_task, token_steps=1))
print("exact predictor, 5 best steps:")
print("   ", ld.evaluation.divergences(exact, big_task, path=best_steps, order="even"))
print("co-seq, 4 + 1 steps:")
print("   ", ld.evaluation.divergences(big, big_task, token_steps=1, latent_steps=4))

# %% [markdown]
# **What to see.** At this length the best steps save much, and `co-seq` in as many calls is better still: nearly as likely as data under the true law,
# and its divergences say that this is no accident of two errors that cancel.

# %% [markdown]
# ## Summary
#
# - Positions revealed together are drawn independently; few-step masked diffusion therefore loses joint structure, however well trained. How much
#   depends on where the steps lie: compare with the best ones.
# - A latent that carries the shared information makes the bits nearly independent *given* it: one token step suffices.
# - The bound of infinitely many steps does not show the difference; few-step samples do, scored by more than their excess.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# Put your answer in place of the dots, run its cell, then the check below it. A number may be rounded to two digits after the point. `ld.course.report()` says what is
# solved; `ld.course.report("my_answers.json", "00")` writes it to a file, to hand in; other notebooks add to the same file.
#
# **1. Pencil.** With a single step each of the 32 bits is drawn from its own marginal. What is that marginal (look at the sorted picture from the side), and so
# (a) the entropy of the samples in nats? (b) By how many nats does it exceed $H$? That is the *total correlation* of the bits, which a single factorised
# step throws away.

# %% tags=["exercise"]
entropies = ...  # [a, b]

# %% tags=["solution"]
entropies = [32 * math.log(2), 32 * math.log(2) - task.entropy().value]

# %% [markdown] tags=["solution"]
# Averaged over all shifts every position is 1 half of the time, so the samples are fair coins: $32\ln 2$ nats. The excess in the table is another number: it asks
# how unlikely coin flips are under the true law. That is $\mathrm{KL}(q\,\|\,p^*)$ *plus* the entropy $H(q)-H(p^*)$ that coins have too much, and the latter is (b).

# %% tags=["check"]
one_step = best.nelbo(task.sample(64, seed=9), token_steps=1).total.value  # (M4) with one step: all marginals
ld.selfcheck(
    "1",
    entropies,
    [one_step, one_step - task.entropy().value],
    tol=1e-3,
    mistakes={
        "these are bits; a nat is 1/ln 2 bits": [32, 32 - task.entropy().value / math.log(2)],
        "(b) is H itself; wanted is how far (a) lies above it": [one_step, task.entropy().value],
        "(b) has the wrong sign": [one_step, task.entropy().value - one_step],
    },
);

# %% [markdown]
# **2. Code.** Write the score of all tables above yourself: `excess(bits)`, the mean of $-\log p^*(x)$ over sequences [n, L], minus $H$. You have
# `task.log_prob(bits)`, a value for each sequence, and `task.entropy().value`.

# %% tags=["exercise"]
def excess(bits):
    return ...


# %% tags=["solution"]
def excess(bits):
    return float(-task.log_prob(bits).mean()) - task.entropy().value


# %% tags=["check"]
two_steps = best.sample(512, token_steps=2, seed=4).tokens
true = task.score(two_steps)["excess"]
entropy = task.entropy().value
ld.selfcheck(
    "2",
    excess(torch.as_tensor(two_steps).long()),
    true,
    mistakes={
        "H is not taken off": true + entropy,
        "H is added; take it off": true + 2 * entropy,
        "log p* has lost its minus sign": -true - 2 * entropy,
        "this is a sum over sequences; take the mean": (true + entropy) * 512 - entropy,
    },
);

# %% [markdown]
# **3. Experiment.** The path is chosen when sampling. Let `big` spend eight calls with the latent leading by 0 (together with the bits), by ¼, and by ½ (all
# the way): `big.sample(128, *split(big, 8, path=ld.Path(lead)))`, scored by `big_task.score`. Which lead has the lowest excess, and why must the latent lead?

# %% tags=["exercise"]
best_lead = ...

# %% tags=["solution"]
found = {}
for lead in (0.0, 0.25, 0.5):
    found[lead] = big_task.score(big.sample(128, *split(big, 8, path=ld.Path(lead)), seed=0).tokens)
    print(f"lead {lead:g}: excess {found[lead]['excess']:.1f} ± {found[lead]['excess_se']:.1f} nats")
best_lead = min(found, key=lambda lead: found[lead]["excess"])

# %% [markdown] tags=["solution"]
# Bits that are drawn while the latent is still noise are drawn nearly independently, and a bit, once visible, never changes. The latent helps only those that come
# after it.

# %% tags=["check"]
measured = {}
for lead in () if best_lead is ... else (0.0, 0.25, 0.5):  # again, with other random numbers
    again = big.sample(128, *split(big, 8, path=ld.Path(lead)), seed=100)
    measured[lead] = big_task.score(again.tokens)["excess"]
ld.selfcheck(
    "3",
    best_lead,
    min(measured, key=measured.get, default=math.nan),
    mistakes={
        "there bits and latent are drawn together, and the first bits know nothing": 0.0,
        "there the first bits still come before the latent is clear": 0.25,
    },
);

# %% [markdown]
# **4. Experiment.** Break the latent: sample 512 sequences from `big` with one token step and `latent_steps=1` instead of 16. What is the excess? Compare with the
# single step of the exact predictor in section 7, and explain.

# %% tags=["exercise"]
broken = ...  # nats

# %% tags=["solution"]
scores = big_task.score(big.sample(512, token_steps=1, latent_steps=1, seed=0).tokens)
broken = scores["excess"]
print(f"excess {broken:.1f} ± {scores['excess_se']:.1f} nats")

# %% [markdown] tags=["solution"]
# From pure noise the best guess of $z$ is the middle of the ring, where no data are. One step goes there, the token half has never seen such a latent, and what it draws is
# not much better than the exact predictor's single step without a latent. Denoising a continuous latent takes several calls; they are cheap, since no bit is drawn.

# %% tags=["check"]
known = math.nan
if broken is not ...:
    known = big_task.score(big.sample(512, token_steps=1, latent_steps=1, seed=100).tokens)["excess"]
ld.selfcheck("4", broken, known, tol=0.1, unit="nats");  # two standard errors are about 3 %

# %% [markdown]
# **5. Open.** Train on a text of yours, one sentence a line. In a terminal: `python -m lddm_lite train --text FILE.txt --system co-seq --out runs/text`, then
# `python -m lddm_lite infill runs/text "the [MASK] said ."`
