# %% [markdown]
# # Start here: a few steps are enough, if something carries the joint structure
#
# **After this notebook you can** say why masked diffusion needs many steps, train the baseline (`mdlm`) and a model with a
# continuous latent channel (`co-seq`) side by side, measure both against the best result *any* masked diffusion could reach,
# and scrub through a denoising run step by step.
#
# | you need | time on 2 CPU cores | time on a GPU | memory |
# |---|---|---|---|
# | Python, a little probability; no diffusion background | about 5 minutes | about 4 minutes | 1 GB |
#
# Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>. All losses are in **nats per sequence**.

# %%
import matplotlib.pyplot as plt
import torch

import lddm_lite as ld

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]
print(f"lddm-lite {ld.__version__}, torch {torch.__version__}, {'GPU' if torch.cuda.is_available() else 'CPU'}")

# %% [markdown]
# ## 1. Data with one shared secret
#
# **Binsaw** draws a hidden shift $s$, uniformly. Given $s$, each of $L$ bits is 1 with a probability that follows a saw wave
# displaced by $s$, *independently* of the other bits. One number is all that the bits share.
#
# A single sequence looks like noise. Sort many by their shift, and the shared structure appears as diagonal bands.

# %%
task = ld.tasks.Binsaw(length=32)
x = task.sample(256, seed=0)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
ld.plots.bits(x, ax=left, title="256 sequences, as drawn")
ld.plots.bits(x, order=task.find_shift(x), ax=right, title="the same, sorted by their hidden shift")
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
# > like after 1 step? After 32?

# %%
best = ld.LatentDiffusion.exact(task)

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
# `mdlm` is the baseline. `co-seq` adds a **latent** $z$, here a point in the plane, with a Gaussian diffusion of its own. An encoder
# learns to put into $z$ what the bits share; the sampler first denoises $z$ in 16 cheap steps and then draws the bits *given* $z$.

# %%
mdlm = ld.LatentDiffusion.preset("mdlm", task, seed=0)
mdlm_history = ld.fit(mdlm, task, steps=ld.budget(1000), seed=0)

# %%
coseq = ld.LatentDiffusion.preset("co-seq", task, dim=2, seed=0)
coseq_history = ld.fit(coseq, task, steps=ld.budget(1500), seed=0)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", sharey=True)
mdlm_history.plot(left).set_title("mdlm")
coseq_history.plot(right).set_title("co-seq")
for ax in (left, right):
    ax.axhline(task.entropy().value, color="#444444", ls="--", lw=1)
left.text(0, task.entropy().value - 0.4, "entropy of the data", fontsize=9, color="#444444", va="top");

# %% [markdown]
# Training goes in two stages. First the encoder learns together with the token stream; the check *"do the tokens respond to $z$?"*
# decides when it is frozen. Then the latent loss joins. The token loss of `co-seq` lies **below** the entropy: part of the
# information now sits in the latent, whose own loss pays for it.

# %%
held_out = task.sample(4096, seed=123)
print("mdlm  ", mdlm.nelbo(held_out))
print("co-seq", coseq.nelbo(held_out))
print("H     ", task.entropy())

# %% [markdown]
# Both bounds must lie above $H$. The latent channel is not a trick that lowers the bound: with perfect predictors both would equal
# $H$, whatever the path. What it changes is what a **few-step** sampler loses.
#
# ## 4. The same budget, side by side
#
# A fair budget counts every network call (**NFE**). `co-seq` spends 16 on the latent and then 1, 2, 4 … on the bits.

# %%
steps = (1, 2, 4, 8, 16, 32)
# the exact limit, the baseline, and co-seq with two sizes of latent budget
rows = ld.evaluate.exact_limit(task, steps, n=ld.budget(1024))
rows += ld.evaluate.frontier(mdlm, task, steps, n=ld.budget(1024))
rows += ld.evaluate.frontier(coseq, task, (1, 2, 4, 8), latent_steps=16, n=ld.budget(1024))
fewer = ld.evaluate.frontier(coseq, task, (1, 2, 4), latent_steps=4, n=ld.budget(1024))
rows += [dict(r, system="co-seq, 4 latent steps") for r in fewer]
print(ld.evaluate.as_text(rows))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
ld.plots.frontier(rows, ax=left)
ld.plots.frontier([r for r in rows if "latent" not in r["system"]], ax=right, x="token_steps")
right.set_ylabel("");

# %% [markdown]
# **What to see.** Left, at equal total cost: `mdlm` stays above the dashed limit, which no masked diffusion can beat. `co-seq` is under
# that limit where calls are few. Right, counting token steps only: `co-seq` is near zero with a *single* parallel draw of all bits. An
# excess slightly below zero is no miracle: it says that samples are a little more typical than data, which is why the table also
# compares the hidden shifts (`mode_tv`, beside what fresh data show) and the sliced Wasserstein distance.

# %%
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3), layout="constrained")
runs = {
    "data": held_out[:256],
    "mdlm, 1 token step": mdlm.sample(256, token_steps=1, seed=0).tokens,
    "co-seq, 1 token step": coseq.sample(256, token_steps=1, latent_steps=16, seed=0).tokens,
}
for ax, (name, bits) in zip(axes, runs.items()):
    ld.plots.bits(bits, order=task.find_shift(bits), ax=ax, title=name)

# %% [markdown]
# ## 5. What is in the latent?
#
# Nobody told the encoder about the shift. Colour encoded sequences by it, and draw how sampling moves from noise to a resolved latent:

# %%
with torch.no_grad():
    cloud = coseq.encode(held_out[:800])
trace = coseq.sample(64, token_steps=2, latent_steps=16, seed=1)
ld.plots.latent_trajectories(trace, cloud=cloud, hue=task.find_shift(held_out[:800]) / task.period, rows=8);

# %% [markdown]
# The hidden shift lives on a circle, and the encoder found it (the colours run around the ring). Each grey line is one sample: a random
# start, pulled onto the ring.
#
# ## 6. Scrub
#
# Drag the slider, press Play, or use <kbd>←</kbd> <kbd>→</kbd>. Left `co-seq`, right `mdlm`, in step by network calls. On top one sample,
# each bit coloured by the step that revealed it (point at one to see how sure the model was); below all 64, a row each, sorted by their
# shift. The dots in the plane are the latents of the samples, moving towards the ring of encoded data.
#
# > **Predict, then run.** At which step do the bands appear on the left? And on the right?

# %%
baseline = mdlm.sample(64, token_steps=trace.nfe, seed=1)
ld.widgets.Scrubber([trace, baseline], model=[coseq, None], task=task, names=["co-seq", "mdlm"])

# %% [markdown]
# **What to see.** On the left nothing is revealed for 16 steps, yet the latents find their places; then two steps draw all bits, and the bands
# are there. On the right the bands come little by little, and rows revealed early in contradiction stay that way.
#
# A run can be kept as one small file: `trace.save("run.json")`, later `ld.Trace.load("run.json")`. A scrubber becomes a page that opens
# offline with `.to_html("run.html")`, or a film with `.animate("run.gif")`.
#
# ## 7. The real size
#
# The paper's task has $L=128$. There the exact limit is 44 nats at one step. Training takes longer (minutes to half an hour on one core), so
# trained models ship with the project:

# %%
big_task = ld.tasks.Binsaw()
big = ld.load("binsaw-co-seq")
few = big.sample(256, token_steps=1, latent_steps=16, seed=0)
limit = ld.LatentDiffusion.exact(big_task).sample(256, token_steps=1, seed=0)

fig, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for ax, t, name in zip(axes, (limit, few), ("best possible masked diffusion", "co-seq")):
    excess = big_task.score(t.tokens)["excess"]
    order = big_task.find_shift(t.tokens)
    ld.plots.bits(t.tokens, order=order, ax=ax, title=f"{name}, 1 token step: {excess:+.1f} nats")

# %% [markdown]
# ## Summary
#
# - Positions revealed together are drawn independently; few-step masked diffusion therefore loses joint structure, however well trained.
# - A latent that carries the shared information makes the bits nearly independent *given* it: one token step suffices.
# - The bound does not show the difference; few-step samples do.
#
# ## Exercises
#
# 1. *Pencil.* With one step, bits are drawn from their marginals. What is each marginal of Binsaw, and hence the entropy of the samples? Compare
#    with the excess in the table.
# 2. *Experiment.* Sample `coseq` with `path=ld.Path(0.0)` (tokens and latent together) and `ld.Path(0.25)` at the same budgets. Which is best at few
#    steps, and why must the latent lead?
# 3. *Code.* Shuffle the latent: sample with `latent_steps=1` instead of 16. What happens to the excess, what to `mode_tv`?
# 4. *Experiment.* Train on a text of yours: in a terminal, `python -m lddm_lite train --text FILE.txt --system co-seq --out runs/text`, then
#    `python -m lddm_lite infill runs/text "the [MASK] said ."`.
