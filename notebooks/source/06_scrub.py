# %% [markdown]
# # Scrub: a playground over trained models
#
# **After this notebook you can** put systems side by side at the same number of network calls, say what an order of unmasking
# costs in entropy, fill gaps and tell why a model fails at it, walk through a latent space, sample along any path, read a run
# as arrays, and keep a run as a file, a page or a film. Nothing is trained here: seven of the small models that ship are loaded.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | `00_start_here`; `01` to `03` help | 20 minutes | about 1 minute | the same: none is used | 1 GB |
#
# Symbols:
#
# | symbol | in code | what it is |
# |---|---|---|
# | NFE | `trace.nfe` | network calls of a run, the price at which systems are compared |
# | $t_x, t_z$ | `trace.knots` | noise times of tokens and latents: 1 is pure noise, 0 clean |
# | $\delta$ | `ld.Path(lead)` | how far the latents run ahead of the tokens (M10): 0 together, ½ all the way |
# | $z$ | `trace.latents` | the latents: a point on a circle (`co-…` on Binsaw) or one code out of $K$ (`di-…`) |
# | excess | `task.score(x)["excess"]` | $\mathbb E_\text{model}[-\log p^*(x)] - H(p^*)$, nats per sequence |
# | entropy | `unigram_entropy` | of the frequencies of tokens in samples, nats |
#
# In every scrubber: drag the slider, press Play, or use <kbd>←</kbd> <kbd>→</kbd>. It needs no kernel, and works in a saved notebook.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm.auto import tqdm

import lddm_lite as ld
from lddm_lite.diffusion.given_latents import decode
from lddm_lite.diffusion.nfe_budget import split

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]

binsaw, newswire = ld.tasks.Binsaw(), ld.tasks.ToyNewswire()
shipped = ["binsaw-mdlm", "binsaw-co-seq", "binsaw-co-joint", "binsaw-di-seq", "binsaw-di-joint"]
models = {name: ld.load(name) for name in [*shipped, "newswire-mdlm", "newswire-di-seq"]}
limits = {task.name: ld.LatentDiffusion.exact(task) for task in (binsaw, newswire)}  # without latents

# %% [markdown]
# ## 1. What is on the shelf

# %%
print(f"{'':16} {'latents':24} {'lead':>4}  parameters")
for name, model in models.items():
    c = model.config
    kinds = {"none": "none", "continuous": f"{c.slots} × {c.dim} numbers", "discrete": f"{c.slots} code of {c.codes}"}
    lead = "–" if c.latent == "none" else f"{model.path.lead:g}"
    print(f"{name:16} {kinds[c.latent]:24} {lead:>4}  {sum(p.numel() for p in model.parameters()):>10,}")

# %% [markdown]
# `limits` holds two more that are not trained: the Bayes-optimal predictor of each task, without latents, in the same sampler. What it draws
# depends on its steps. Usually these are even; `best_schedule` places them where they cost least, and no fixed numbers of tokens, revealed at random
# places, have a smaller bound (METHOD 8).
#
# ## 2. Four systems, four calls each
#
# `split(model, nfe)` divides a total: without latents all calls move the tokens; on the joint path each call moves both; on the
# sequential path some go to the latents, the others to the tokens.

# %% tags=["figure"]
from IPython.display import display

display(ld.plots.drawing("sampler_paths"))

# %% [markdown]
# > **Predict, then run.** Four calls each, on 128 bits. Which system shows its first bits last? In which pictures are the bands clean?
#
# (Four runs stand two by two. <kbd>Ctrl</kbd>+<kbd>B</kbd> hides JupyterLab's side bar.)

# %%
four = {name: models[f"binsaw-{name}"] for name in ("mdlm", "co-seq", "co-joint", "di-seq")}
runs = {name: model.sample(64, *split(model, 4), seed=0) for name, model in four.items()}
for name, run in runs.items():
    print(f"{name:9} NFE {run.nfe}; (t_x, t_z) after the first call: {run.knots[1]}")
ld.widgets.Scrubber(list(runs.values()), model=list(four.values()), task=binsaw, names=list(runs), samples=10)

# %% [markdown]
# **What to see.** It opens at the end; <kbd>Home</kbd> is the start. `co-seq` keeps all bits masked for two calls in which its points look for the ring (two are few:
# some end well inside it), `di-seq` for one call, in which it picks a code; then both uncover the bands. `mdlm` and `co-joint` show bits from the first call on. Those were drawn before anything was known
# about the shift, so their rows stay speckled. In `co-joint` look at the plane: the points still move when half of the bits are fixed.
#
# In numbers, for all five, at three totals:

# %%
totals, rows = (2, 4, 8), []
for name in tqdm(shipped):
    for nfe in totals:
        row, run, _ = ld.evaluation.timed_sample(
            models[name], ld.course.shrunk(128, 64), *split(models[name], nfe), seed=0
        )
        rows.append({**row, **binsaw.score(run.tokens)})
for row in ld.evaluation.exact_limit(binsaw, totals, n=ld.course.shrunk(512, 64)):
    rows.append({**row, "system": "exact predictor, even steps"})
for name, model in {"exact predictor": limits["binsaw"], "mdlm": models["binsaw-mdlm"]}.items():
    costs = ld.evaluation.step_costs(model, binsaw.sample(ld.course.shrunk(128, 16), seed=1))
    for nfe in totals:
        path = ld.evaluation.best_schedule(model, binsaw, nfe, costs=costs)
        row, run, _ = ld.evaluation.timed_sample(
            model, ld.course.shrunk(256, 64), nfe, None, path, seed=0, order="even"
        )
        rows.append({**row, **binsaw.score(run.tokens), "system": f"{name}, best steps"})
print(ld.evaluation.as_text([{k: row[k] for k in ("system", "nfe", "excess", "excess_se")} for row in rows]))

# %% tags=["figure"]
fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
ld.plots.frontier(rows, ax=ax).set_title("Binsaw, 128 bits: bars are two standard errors");

# %% [markdown]
# **What to see.** At four and eight calls both sequential systems lie below the exact predictor in *even* steps. Its best steps lose far less, and
# they are the harder rival. `di-seq` is clearly below them at two and four calls. `co-seq` is below them at four by about two standard errors, no longer clearly at eight,
# and at two calls it is the worst of all: one call cannot denoise a continuous latent (exercise 7), and 128 bits are then drawn from a latent that means
# nothing. The joint systems stay with `mdlm`: a half-formed latent is little help to bits that are drawn now. And the same `mdlm`, not trained
# again, beats all joint systems, and the exact predictor in even steps, once its own steps are better placed. (Latent systems are drawn in their usual steps here; `best_schedule` knows
# better ones for them, too.) Notebook 03 asks whether that holds for other training runs.
#
# ## 3. The same, to be read
#
# In the toy newswire the words of a sentence must agree: a river with its city, a currency with its bank. Four calls each:

# %%
readers = {"exact": limits["newswire"], "mdlm": models["newswire-mdlm"], "di-seq": models["newswire-di-seq"]}
texts, n = {}, ld.course.shrunk(256, 64)
for name, model in readers.items():
    texts[name] = model.generate_text(n, *split(model, 4), seed=0)
    if name != "di-seq":
        path = ld.evaluation.best_schedule(model, newswire, 4)
        texts[f"{name}, best steps"] = model.generate_text(n, path=path, order="even", seed=0)
for name, run in texts.items():
    share = newswire.coherent(run.tokens).double().mean()
    print(f"{name}: {share:.0%} coherent\n    {run.text(0)}\n    {newswire.explain(run.tokens[:1])[0][:180]}\n")

# %%
two = ["exact, best steps", "di-seq"]
ld.widgets.Scrubber([texts[name] for name in two], names=two, samples=12)

# %% [markdown]
# **What to see.** Step through a few sentences (the number at the top of the scrubber). The perfect predictor in its best steps reveals a word, waits for what it says, and
# keeps many for the last call: about half of its sentences agree, against one in twenty in even steps. The others started two stories at once, and no word can be taken back. `di-seq` chooses one code in its
# first call, the code fixes the story, and three calls write it. Point at a word to see how sure the model was.
#
# **Be fair.** A limit belongs to its steps and its order. `newswire-mdlm` is small and was trained for minutes, and yet its best steps beat the *exact* predictor in even ones by
# far. So a fair rival is the exact predictor in its best steps, or a trained `mdlm` in its own; `di-seq` is above both.
#
# ## 4. The order of unmasking
#
# `order=` says which masked positions a step reveals (`lddm_lite/diffusion/unmasking_order.py`):
#
# | order | how many | which |
# |---|---|---|
# | `ancestral` | each masked one with probability $(t-s)/t$ (M2): a varying number | by chance |
# | `even` | exactly the scheduled number | by chance |
# | `confidence` | exactly the scheduled number | those whose drawn token is most probable |
#
# > **Predict, then run.** The *exact* predictor writes 16 words in 16 steps. Which orders give true sentences? Which keeps all of the stories?

# %%
from lddm_lite.evaluation.metrics import unigram_entropy

orders = {}
print(f"{'':12} excess  coherent  entropy  mode TV")
for order in ("ancestral", "even", "confidence"):
    run = orders[order] = limits["newswire"].generate_text(
        ld.course.shrunk(512, 64), token_steps=16, order=order, seed=0
    )
    s, words = newswire.score(run.tokens), torch.as_tensor(run.tokens).long()
    entropy = unigram_entropy(words, newswire.vocab)
    print(f"{order:12} {s['excess']:6.2f}  {s['coherent']:8.1%}  {entropy:7.3f}  {s['mode_tv']:7.3f}")
fresh = unigram_entropy(newswire.sample(len(words), seed=1), newswire.vocab)
print(f"{'true data':12} {0:6.2f}  {s['coherent_fresh']:8.1%}  {fresh:7.3f}  {s['mode_tv_fresh']:7.3f}")

# %% tags=["figure"]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (order, run) in zip(axes, orders.items()):
    ld.plots.unmasking(run, ax=ax, rows=24).set_title(order)
    ax.set(xlabel="position (word)", ylabel="sentence" if ax is axes[0] else "")

# %% [markdown]
# **What to see.** `ancestral` spoils sentences although the predictor is perfect and there is a step for each word: now and then a
# step reveals two words at once, and none the next time. `even` gives one word a step, and the true law. `confidence` gives true sentences too, but
# of *fewer kinds*: its entropy is lower, its stories (mode TV) are off the true shares. In the picture its columns have a colour: the end of the
# sentence comes first, where full stop and filler are easiest to guess, so all sentences of one length are decided before their topic.
# A sampler that looks better by likelihood alone may just be saying less. Always look at entropy too.

# %% [markdown]
# A `prompt` stays and the rest is written behind it; [MASK] in it is a gap:

# %%
begin = "the bank of [MASK] in"
for order in orders:
    told = limits["newswire"].generate_text(3, token_steps=16, prompt=begin, order=order, seed=2)
    print(f"{order}:", *told.texts(), sep="\n    ")

# %% [markdown]
# ## 5. Filling in
#
# `model.infill(x)` keeps what is given. Give 32 of 128 bits, sample the others, and ask the exact law: $-\log p^*(\text{filled}\mid\text{given})$. True
# continuations set the scale.
#
# > **Predict, then run.** A sequential model draws its latent *first*. Does the latent know what was given?

# %%
truth = binsaw.sample(ld.course.shrunk(64, 32), seed=11)
given = truth.clone()
given[:, 32:] = binsaw.mask_id
log_given = binsaw.log_prob(given)  # the marginal of the visible bits


def nats(x):
    """-log p*(filled | given), mean and standard error."""
    v = log_given - binsaw.log_prob(torch.as_tensor(x).long())
    return f"{v.mean():6.2f} ± {v.std() / len(v) ** 0.5:.2f}"


print(f"{'true data':16} {nats(truth)}")
for name, model in {"exact": limits["binsaw"], **{name: models[name] for name in shipped}}.items():
    run = model.infill(given, 1, *split(model, 8), seed=0)
    print(f"{name:16} {nats(run.tokens)}   NFE {run.nfe}")

# %% [markdown]
# **What to see.** All but one are near the truth; `di-seq` loses several nats. It draws its one code in one call, and on its path that call
# comes while all tokens are masked. So that is what its latent half was mostly trained on, and visible bits tell it little. Text shows the same
# failure, and shows it cruelly:

# %%
flood = "the tiber rose by two metres in [MASK] on [MASK] , [MASK] said ."
diseq = models["newswire-di-seq"]
for name, model in (("exact, no latents", limits["newswire"]), ("di-seq", diseq)):
    run = model.infill(flood, n=ld.course.shrunk(256, 64), token_steps=3, order="even")
    said = map(newswire.decode, run.tokens[:3])
    print(f"{name}: {newswire.coherent(run.tokens).double().mean():.0%} coherent", *said, sep="\n    ")

# %% [markdown]
# The same model that writes true sentences from nothing cannot finish one: it picks its code without reading. Its parts know better.
# The latent half gives a prior $p(k)$ over codes; the token half says $p(x^i \mid k)$ for each word, all at once. Given $k$ the words are nearly
# independent, which is what the code was learned for, so Bayes' rule reads the prompt:
#
# $$p(k \mid \text{given}) \;\propto\; p(k) \prod_{i\ \text{given}} p(x^i \mid k).$$
#
# One call with a row for each of the 512 codes, then the tokens as usual, at $t_z = 0$. No training:


# %% tags=["setup"]
@torch.no_grad()
def code_posterior(model, given):
    """log p(k | given words) up to a constant [K], for a model with one code; `given` [L] with masks."""
    codes, length = model.config.codes, len(given)
    everything_masked = torch.full((codes, length), model.token_channel.mask_id)
    where = everything_masked == model.token_channel.mask_id
    one_each = torch.arange(codes).unsqueeze(1)  # [K, 1]
    start = torch.full((1, 1), model.latent_channel.mask_id)
    prior = model.predict(None, start, torch.ones(1)).latents.flatten()  # [K], log p(k)
    said = model.predict(everything_masked, one_each, torch.zeros(codes), where, need_latents=False).tokens
    said = said.reshape(codes, length, -1)  # [K, L, V], log p(x_i | k)
    visible = (given != model.token_channel.mask_id).nonzero().flatten()
    return prior + said[:, visible, given[visible]].sum(1)


@torch.no_grad()
def fill(model, given, log_posterior, n, token_steps=3, seed=0):
    """n completions [n, L]: a code from the posterior, then token steps at t_z = 0 (M2)."""
    g = torch.Generator().manual_seed(seed)
    z = torch.multinomial(log_posterior.softmax(0), n, replacement=True, generator=g).unsqueeze(1)
    x = given.repeat(n, 1)
    for k in range(token_steps, 0, -1):
        where = model.token_channel.to_reveal(x, k / token_steps, (k - 1) / token_steps, g)
        said = model.predict(x, z, torch.zeros(n), where, need_latents=False).tokens
        x = model.token_channel.reverse_step(x, said, where, g)
    return x


# %%
for typed in (flood, "the [MASK] rose [MASK] on monday as [MASK] revised its [MASK] forecast ."):
    ids = newswire.encode(typed)
    log_posterior = code_posterior(diseq, ids)
    w = log_posterior.softmax(0)
    filled = fill(diseq, ids, log_posterior, n=ld.course.shrunk(256, 64))
    likely = math.exp(float(torch.special.entr(w).sum()))
    print(f"{likely:.1f} codes are likely, {newswire.coherent(filled).double().mean():.0%} coherent:")
    for row in filled[:3]:
        print("   ", newswire.decode(row))

# %% [markdown]
# **What to see.** From hardly any to nearly all, with the same weights. The second prompt leaves the country open, and several codes stay
# likely. A latent that can be counted can be conditioned exactly; for a continuous one this sum would be an integral.
#
# What a latent knows can be asked of any model: give the tokens the true latent, another sentence's, none, or one that the model draws itself, with a share
# of the words visible. `ld.evaluation.diagnose` measures it; here it stands beside sentences.

# %%
ld.widgets.LatentDiagnosis(diseq, newswire, n=ld.course.shrunk(256, 16))

# %% [markdown]
# **What to see.** The true code tells nearly every word at any share, and leaves nothing for the words to agree upon. But with words visible, a code that the
# model draws costs as much as someone else's: it is drawn without reading.
#
# Now by hand. Type, choose, Run; Stop ends a run at its next call. (Typing whole texts needs a running kernel. Without one, go to the playground of section 8: at
# the last step click tokens, make them gaps, and fill them.)

# %%
ld.widgets.Infill({"newswire-exact": limits["newswire"], **models}, flood, token_steps=6, n=4)

# %% [markdown]
# ## 6. Walks through latents
#
# The latent of `binsaw-co-seq` is a point on a circle of radius $\sqrt 2$ (unit norm times $\sqrt d$, METHOD 5). Walk once around it, decode
# each point in one step, taking the most probable bits:

# %% tags=["setup"]
def around(n):
    """n latents [n, 1, 2], evenly around the circle."""
    angle = 2 * math.pi * torch.arange(n) / n
    return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], -1).unsqueeze(1)


# %% tags=["figure"]
coseq = models["binsaw-co-seq"]
bits = decode(coseq, around(180))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
ld.plots.bits(bits, ax=left, title="most probable bits, once around the circle")
left.set(ylabel="angle of z (degrees)", yticks=[0, 45, 90, 135, 179], yticklabels=["0", "90", "180", "270", "358"])
right.plot(np.arange(180) * 2, binsaw.find_shift(bits) / binsaw.period, ".", ms=4, color=ld.plots.COLOURS["co-seq"])
right.set(xlabel="angle of z (degrees)", xticks=range(0, 361, 90), ylabel="hidden shift s (of its period)")
right.set_title("what the angle means")
right.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# **What to see.** The bands wind through the picture and meet at its edges: once around the circle, the hidden shift goes once through its period, in
# whichever direction training happened to choose. Nobody told the encoder; a circle of shifts fits on a circle.
#
# On the map: hover to read a sequence, click two to walk between them along the circle; Play walks for you.

# %%
x = binsaw.sample(250, seed=1)
ld.widgets.LatentExplorer(coseq, x, hue=binsaw.find_shift(x) / binsaw.period)

# %% [markdown]
# A discrete latent has no "between": a walk passes the codes that lie nearest to the arc from one code to the other, and there may be none.

# %%
from lddm_lite.diffusion.interpolation import interpolate

x = newswire.sample(300, seed=1)
codes = diseq.encode(x)
used = codes.unique()
for start, end in ((0, 1), (2, 3)):
    way = interpolate(diseq, codes[start], codes[end], steps=9, among=used)
    for k, row in zip(way.flatten().tolist(), decode(diseq, way)):
        print(f"code {k:3}  {newswire.decode(row)}")
    print()
print(f"{len(used)} of {diseq.config.codes} codes occur in {len(x)} sentences")

# %%
from lddm_lite.plots.latent_map import LatentMap

topics = [newswire.topics[int(newswire.topic_of[k])] for k in newswire.posterior(x).argmax(-1)]
flat = LatentMap.fit(codes, codebook=diseq.encoder.codebook, method="pca")  # "umap" looks better and takes longer
ld.widgets.LatentExplorer(diseq, x, hue=topics, map=flat)

# %% [markdown]
# **What to see.** Each code writes one kind of sentence, and a walk jumps from story to story rather than blending them. Compare with the ring above,
# where every step of a walk changes a few bits.
#
# ## 7. Any lead
#
# The path is chosen when sampling: `path=ld.Path(lead)` (M10). All four latent models met other paths in training, some of the time. So ask
# `co-joint`, whose own path is the diagonal, to let its latents lead:
#
# > **Predict, then run.** Eight calls. Is a model best on the path that it was mostly trained for?

# %%
leads, paid = (0.0, 0.2, 0.4, 0.5), []
for name in tqdm(("binsaw-co-seq", "binsaw-co-joint")):
    for lead in leads:
        plan = split(models[name], 8, path=ld.Path(lead))
        row, run, _ = ld.evaluation.timed_sample(models[name], ld.course.shrunk(128, 64), *plan, seed=0)
        paid.append({**row, **binsaw.score(run.tokens)})
for row in paid[: len(leads)]:
    print("lead {lead:3}: {token_steps} token steps + {latent_steps} latent steps in {nfe} calls".format(**row))

# %% tags=["figure"]
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for system in ("co-seq", "co-joint"):
    own = [row for row in paid if row["system"] == system]
    style = dict(color=ld.plots.COLOURS[system], marker=ld.plots.MARKERS[system], capsize=3, label=system)
    ax.errorbar([r["lead"] for r in own], [r["excess"] for r in own], [2 * r["excess_se"] for r in own], **style)
ax.axhline(0, color="#b5b5b5", lw=0.8)
ax.set(xlabel="lead δ (0 joint, ½ sequential)", ylabel="excess (nats per sequence)")
ax.set_title("eight calls; bars are two standard errors")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False);

# %% [markdown]
# **What to see.** Both are best where the latents lead by 0.4 or ½, `co-joint` too: it beats itself on the path that it was mostly trained for.
# The network was not the trouble; the path was (M12). A small lead is no good: bits still commit early, and since fewer knots of the two
# channels coincide, each channel gets fewer steps for the same NFE (see the table).

# %% [markdown]
# ## 8. The playground
#
# Two of the models live in the page itself: choose steps, order, temperature, seed, or write a schedule of your own under *more*, and
# **Sample**. The browser does the work, in a saved notebook and in its HTML export too, and the same seed gives the run that
# `model.sample` gives here. Each run opens beside the last one; the table sets it beside the exact limits without latents.

# %%
live = {name: models[name] for name in ("binsaw-mdlm", "binsaw-di-seq")}
ld.widgets.Playground(live, weights="int6", samples=16, title="Binsaw, 128 bits: sample here")

# %% [markdown]
# Weights of six bits make the page small; what they cost is measured with the same noise before and after:

# %%
from lddm_lite._common import quantised

x = binsaw.sample(ld.course.shrunk(256, 16), seed=2)
for name, model in live.items():
    print(f"{name:14} the bound rises by {quantised.cost(model, x, 'int6')} nats of {float(binsaw.entropy()):.0f}")

# %% [markdown]
# Try: `binsaw-mdlm` in 4 calls, even and as the schedule 0, 4, 16, 48; one seed in two orders; `binsaw-di-seq` at lead 0 and at ½; order `confidence`, whose excess falls *below* zero, and then
# look at its bands. At any step click a bit, change it, and let the run go on from there.
#
# All choices at once: quality against diversity over steps, temperature, order and system, measured beforehand (`make frontier`). Click a point, and the model
# draws its samples again from their seed.

# %%
ld.widgets.FrontierExplorer(live, weights="int6")

# %% [markdown]
# **What to see.** Down is not the same as good. In four calls at temperature 1, order `confidence` takes `binsaw-mdlm` from an excess of 14 nats to −18, far more
# likely than true data, and it draws a few of the modes: mode TV 0.82, against 0.04 of true data. `binsaw-di-seq` falls as deep in that order, to −19, and keeps its
# modes (0.04), since its code is drawn before the order can choose; what it loses is the noise of single bits. Only both axes together tell a better sampler from
# one that says less.
#
# ## 9. A run is arrays; keep it
#
# A `Trace` holds the whole run: a visible token never changes, so final tokens and the step at which each was revealed say everything.

# %%
run = runs["co-seq"]
for name in ("tokens", "reveal_step", "confidence", "latents", "alternatives"):
    print(f"{name:13} {str(getattr(run, name).shape):18} {getattr(run, name).dtype}")
print("knots (t_x, t_z):", *[f"({a:.2f}, {b:.2f})" for a, b in run.knots])
print("after 3 of 4 calls:", run.text(0, step=3)[:64], "…")

# %%
import tempfile
from pathlib import Path as File

folder = File(tempfile.mkdtemp())
run.save(folder / "run.json")  # arrays, exactly
again = ld.Trace.load(folder / "run.json")
assert (again.tokens == run.tokens).all() and (again.latents == run.latents).all()

page = ld.widgets.Scrubber([run, runs["mdlm"]], model=[coseq, None], task=binsaw, names=["co-seq", "mdlm"])
page.to_html(folder / "run.html")  # one file; opens in any browser with no network
page.animate(folder / "run.gif", fps=2)  # .mp4 where ffmpeg is installed
for file in sorted(folder.iterdir()):
    print(f"{file.name:9} {file.stat().st_size / 1000:5.0f} kB")

# %% [markdown]
# ## Summary
#
# - At equal calls `di-seq` beats the exact predictor without latents even in its best steps; `co-seq` needs several calls to resolve its point, and its lead over
#   those steps is small. Well-placed steps alone, without any latent, are worth as much as a joint latent or more.
# - The order of unmasking changes the law that is sampled. `even` is right in the limit; `confidence` buys likelihood with entropy and modes.
# - A latent drawn without reading the prompt ruins infilling; where the latents can be counted, Bayes' rule over codes mends it without training.
# - The path is a choice made at sampling time, and letting the latents lead helps even the model that was trained to go jointly.
# - Few-step likelihood, entropy and modes belong together. One alone can be had cheaply.
#
# What the papers claim, what of it was reproduced here and at which scale, and what was not: [PAPER.md](PAPER.md).

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1. Pencil.** How many network calls make these three runs: (a) lead ½, 4 token steps, 16 latent steps; (b) lead 0, 8 token steps, 4 latent steps;
# (c) lead ¼, 3 token steps, 3 latent steps? On a path with lead $\delta$ the tokens arrive at their $k$-th knot at $u=(1-\delta)(1-k/T)$, the latents at
# $u=\delta+(1-\delta)(1-k/M)$ (M10). Knots with the same $u$ share a call.

# %% tags=["exercise"]
calls = ...  # [a, b, c]

# %% tags=["solution"]
calls = [20, 8, 4]

# %% [markdown] tags=["solution"]
# (a) Nothing coincides: 4 + 16. (b) All latent knots $u = 0, ¼, ½, ¾$ are among the token knots: 8. (c) Tokens arrive at $u = ½, ¼, 0$, latents at
# $¾, ½, ¼$: four different values, where a joint path would have three and a sequential one six.

# %% tags=["check"]
plans = [(0.5, 4, 16), (0.0, 8, 4), (0.25, 3, 3)]
ld.selfcheck(
    "1",
    calls,
    [ld.Path(lead).nfe(tokens, latents) for lead, tokens, latents in plans],
    mistakes={
        "all steps are added; knots at the same u share a call": [20, 12, 6],
        "(c) is not the joint path: not all of its knots coincide": [20, 8, 3],
        "(c) is not the sequential path: some of its knots coincide": [20, 8, 6],
    },
);

# %% [markdown]
# **2. Code.** What share of its tokens does a run reveal at each step? Return an array [S] for steps 1 … S of all sequences together. Tokens that were given
# (`reveal_step` 0) do not count.

# %% tags=["exercise"]
def revealed_share(trace):
    return ...


# %% tags=["solution"]
def revealed_share(trace):
    when = trace.reveal_step[trace.reveal_step > 0]
    return np.bincount(when, minlength=trace.steps + 1)[1:] / len(when)


# %% tags=["check"]
typed = "the bank of [MASK] in [MASK] [MASK] rates to [MASK] percent and the [MASK] [MASK] ."
sample = limits["newswire"].infill(typed, n=32, token_steps=6, seed=3)
masked = np.array([(sample.tokens_at(k) == sample.mask_id).sum() for k in range(sample.steps + 1)])
want = -np.diff(masked) / masked[0]
ld.selfcheck(
    "2",
    revealed_share(sample),
    want,
    mistakes={
        "it is cumulative; wanted is the share of each single step": want.cumsum(),
        "these are counts; divide by the number of tokens that were not given": -np.diff(masked),
        "tokens that were given count in the denominator": -np.diff(masked) / sample.tokens.size,
    },
);

# %% [markdown]
# **3. Pencil and code.** In `gap` below three slots must agree: river, city and agency (positions 1, 7 and 11) must be of one row of the grammar. Write
# `agreement(trace)`: the share of sentences in which they are. With one step, even a perfect predictor does no better than chance. How good is that
# (`by_chance`), for six rows that are equally likely?

# %% tags=["setup"]
gap = "the [MASK] rose by two metres in [MASK] on [MASK] , [MASK] said ."
rivers = ld.tasks.newswire.load_grammar()["topics"]["floods"]["rows"]  # [river, city, country, agency] of each row
steps_1_and_6 = [
    ld.LatentDiffusion.exact(newswire).infill(gap, n=2048, token_steps=k, order="even", seed=0) for k in (1, 6)
]

# %% tags=["exercise"]
by_chance = ...


def agreement(trace):
    return ...


# %% tags=["solution"]
by_chance = 1 / 36


def agreement(trace):
    allowed = {(river, city, agency) for river, city, _, agency in rivers}
    rows = [[trace.labels[v] for v in row[[1, 7, 11]]] for row in trace.tokens]
    return sum(tuple(row) in allowed for row in rows) / len(rows)


print(f"by chance {by_chance:.3f}, found", *[f"{agreement(run):.3f}" for run in steps_1_and_6])

# %% [markdown] tags=["solution"]
# In one step the three words are drawn independently: whatever the river, the city fits with probability 1/6 and so does the agency, 1/36 together.

# %% tags=["check"]
want = []
for run in steps_1_and_6:
    seen = torch.as_tensor(run.tokens).long()
    seen[:, 9] = newswire.mask_id  # the day is free
    want.append(float(newswire.coherent(seen).double().mean()))
got = [agreement(run) for run in steps_1_and_6]
cities = {river: city for river, city, _, _ in rivers}
pair = [np.mean([cities.get(r.labels[a]) == r.labels[b] for a, b in r.tokens[:, [1, 7]]]) for r in steps_1_and_6]
mistakes = {"that is the city alone; the agency must fit too": 1 / 6, "the river itself may be any": 1 / 216}
ld.selfcheck("3, by chance", by_chance, 1 / len(rivers) ** 2, mistakes=mistakes)
ld.selfcheck(
    "3, agreement",
    ... if got[0] is ... else got,
    want,
    tol=2e-3,  # a typo of the law itself may stand in one sentence or two
    mistakes={"only river and city are compared; the agency must agree too": pair},
);

# %% [markdown]
# **4. Code.** How sure is the model when it reveals? Write `mean_confidence(trace)`: the mean of `confidence` over the tokens revealed at each
# step, an array [S]; `nan` where a step reveals none. Then plot it for the two runs in `pair_of_orders`. The curve of `confidence` has two valleys: print
# the words of one sentence in the order of their steps, with their probabilities. What is decided in each valley?

# %% tags=["setup"]
pair_of_orders = {
    order: ld.LatentDiffusion.exact(newswire).sample(256, 16, order=order, seed=0) for order in ("even", "confidence")
}

# %% tags=["exercise"]
def mean_confidence(trace):
    return ...


# %% tags=["solution"]
def mean_confidence(trace):
    out = np.full(trace.steps, np.nan)
    for k in range(1, trace.steps + 1):
        here = trace.reveal_step == k
        if here.any():
            out[k - 1] = trace.confidence[here].mean()
    return out


fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (order, run), line in zip(pair_of_orders.items(), ("-", "--")):
    ax.plot(range(1, run.steps + 1), mean_confidence(run), line, marker="o", ms=4, label=order)
ax.set(xlabel="step", ylabel="mean probability of what is drawn", ylim=(0, 1.05))
ax.legend(frameon=False, loc="lower center")

run = pair_of_orders["confidence"]
for i in run.reveal_step[0].argsort():
    print(f"{run.reveal_step[0, i]:2}  {run.confidence[0, i]:.2f}  {run.labels[run.tokens[0, i]]}")

# %% [markdown] tags=["solution"]
# First the end of the sentence, which is easy to guess. The first valley is the choice of the **template**: then its fixed words follow with probability
# 1. The second is the choice of the **row** (one in six), after which everything that must agree with it is certain. Free words, such as the day, are told
# by nothing; the last of them stands at the very end. `even` meets all of these in random order, so that its curve only rises: the more is known, the surer.

# %% tags=["check"]
run = pair_of_orders["confidence"]
flat_when, flat_sure = run.reveal_step.ravel(), run.confidence.ravel().astype(float)
want = np.bincount(flat_when, weights=flat_sure, minlength=17)[1:] / np.bincount(flat_when, minlength=17)[1:]
ld.selfcheck(
    "4",
    mean_confidence(run),
    want,
    mistakes={
        "the steps are shifted by one: step 1 is the first that reveals": np.roll(want, 1),
        "this is the mean over all tokens that are visible by then": np.array(
            [flat_sure[flat_when <= k].mean() for k in range(1, 17)]
        ),
    },
);

# %% [markdown]
# **5. Code, harder.** `winding(s)`: how many times does a closed sequence of phases $s$ in $[0, 1)$ go round? Each step, the last one back to the first too,
# is the short way, between −½ and ½. Then use it on the decoded circle of section 6. Why must the answer be 1 or −1 for a good encoder, and
# not 0 or 2?

# %% tags=["exercise"]
def winding(s):
    return ...


# %% tags=["solution"]
def winding(s):
    s = torch.as_tensor(s).double()
    step = s.roll(-1) - s
    return float((step - step.round()).sum())


shift = binsaw.find_shift(decode(models["binsaw-co-seq"], around(180))) / binsaw.period
print("around the latent circle:", round(winding(shift)))

# %% [markdown] tags=["solution"]
# With 0 some shifts would share a latent and others have none; with 2 each latent would have to stand for two shifts. Only ±1 gives each shift a place of its own,
# and the token loss pays for that. The sign is free: mirrored latents are as good.

# %% tags=["check"]
around_5 = np.arange(50) / 50
phases = [(0.3 + k * around_5 + 0.05 * np.sin(np.arange(50))) % 1 for k in (-3, 0, 1)]
turns = np.stack([np.unwrap(2 * np.pi * np.append(v, v[0])) for v in phases]) / (2 * np.pi)
steps_5 = np.stack([np.roll(v, -1) - v for v in phases])
counted = [winding(v) for v in phases]
ld.selfcheck(
    "5", ... if counted[0] is ... else counted, turns[:, -1] - turns[:, 0],
    mistakes={
        "steps are not taken the short way: bring each into [-½, ½)": steps_5.sum(1),
        "the last step, from the end back to the start, is missing": turns[:, -2] - turns[:, 0],
        "all steps count as forward; going back must be negative": (steps_5 % 1).sum(1),
    },
);  # fmt: skip

# %% [markdown]
# **6. Experiment.** `binsaw-di-joint` was trained mostly on the joint path. Which of the leads 0, 0.1, 0.2, 0.3, 0.4, 0.5 gives it the lowest excess at
# eight calls? Use `split(model, 8, path=ld.Path(lead))` and 128 samples; the standard error tells whether that is enough.

# %% tags=["exercise"]
best_lead = ...

# %% tags=["solution"]
found = {}
for lead in tqdm((0.0, 0.1, 0.2, 0.3, 0.4, 0.5)):
    run = models["binsaw-di-joint"].sample(128, *split(models["binsaw-di-joint"], 8, path=ld.Path(lead)), seed=0)
    found[lead] = binsaw.score(run.tokens)
    print(f"lead {lead:g}: excess {found[lead]['excess']:5.2f} ± {found[lead]['excess_se']:.2f}")
best_lead = min(found, key=lambda lead: found[lead]["excess"])

# %% [markdown] tags=["solution"]
# A code is either masked or known, so a latent that leads "a little" is masked until one call resolves it, and all bits revealed before are drawn blind. Only
# lead ½ puts that call before the first bit. For a Gaussian latent, which becomes clear by degrees, a lead of 0.4 is nearly as good (section 7).

# %% tags=["check"]
given_6, leads_6 = ld.course.numbers(best_lead), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
if given_6 is None or given_6.dim() or not (given_6 == torch.tensor(leads_6).double()).any():
    ld.selfcheck(
        "6", best_lead, 1e9, mistakes={} if given_6 is None else {"one of the six leads is asked for": given_6}
    )
else:
    measured = {}
    for lead in (0.0, 0.3, 0.4, 0.5):  # again, with other random numbers
        plan = split(models["binsaw-di-joint"], 8, path=ld.Path(lead))
        measured[lead] = binsaw.score(models["binsaw-di-joint"].sample(128, *plan, seed=100).tokens)["excess"]
    ld.selfcheck(
        "6",
        best_lead,
        min(measured, key=measured.get),
        mistakes={
            "that is its own path, on which code and bits are drawn together; measure the others too": 0.0,
            "that is close in lead, yet bits are drawn before the code is known; compare with larger leads": 0.4,
        },
    )

# %% [markdown]
# **7. Experiment.** `binsaw-co-seq` has 16 calls. What is the smallest number of latent steps out of 1, 2, 4, 8 with which its excess is below 1.5 nats? Use
# `split(model, 16, latent_steps=…)` and 256 samples. And why is one latent step enough for `di-seq`?

# %% tags=["exercise"]
latent_steps = ...

# %% tags=["solution"]
for latent_steps in (1, 2, 4, 8):
    plan = split(models["binsaw-co-seq"], 16, latent_steps=latent_steps)
    s = binsaw.score(models["binsaw-co-seq"].sample(256, *plan, seed=0).tokens)
    print(f"{latent_steps} latent steps: excess {s['excess']:5.2f} ± {s['excess_se']:.2f}")
    if s["excess"] < 1.5:
        break

# %% [markdown] tags=["solution"]
# `di-seq` has one code. A single masked position is revealed by a draw from its whole distribution, which is exact: there is nothing else that it could disagree
# with. A Gaussian step instead draws from *one* Gaussian around the mean prediction; from pure noise that mean is the centre of the ring, where no data are.

# %% tags=["check"]
given_7 = ld.course.numbers(latent_steps)
if given_7 is None or given_7.dim() or not (given_7 == torch.tensor([1, 2, 4, 8])).any():
    few_7 = {} if given_7 is None else {"one of 1, 2, 4, 8 is asked for": given_7}
    ld.selfcheck("7", latent_steps, 1e9, mistakes=few_7)
else:
    enough = 8
    for k in (4, 2):  # again, with other random numbers
        (row,) = ld.evaluation.frontier(models["binsaw-co-seq"], binsaw, [16 - k], latent_steps=k, n=256, seed=100)
        enough = k if row["excess"] < 1.5 else enough
    ld.selfcheck(
        "7",
        latent_steps,
        enough,
        mistakes={
            "more than needed; try fewer": 8,
            "close, but 2 steps still cost more than 1.5 nats; take more samples": 2,
            "with a single step the latent means nothing; look at the excess": 1,
        },
    )

# %% [markdown]
# **8. Open.** Find two runs, with the playground or without, that have nearly the same excess and yet differ in something that a reader should know
# (entropy, modes, kinds of mistakes). Put both in a scrubber, give it a `title` that says what to look at, write it `to_html`, and send it to somebody.
