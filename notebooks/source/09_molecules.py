# %% [markdown]
# # Molecules: where few steps show, and what a code changes
#
# **After this notebook you can** say why few steps break strings whose parts must match, measure it with a judge that makes no mistakes, read what one
# code of a latent model has learned about 124,000 molecules, and grow something on a ring.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebook 00; `make molecules`, which fetches QM9 and `rdkit` | 15 minutes | 2 minutes | the same: none is used | 2 GB |
#
# Nobody made these data up for the method: QM9 holds the molecules of at most nine heavy atoms that chemistry allows (Ramakrishnan et al. 2014). A
# molecule is a string of about 15 symbols, an atom, a bond or a bracket each. All losses are in nats.

# %% tags=["setup"]
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import lddm_lite as ld
from lddm_lite.evaluation import best_schedule, diagnose
from lddm_lite.evaluation.molecule_scores import canonical, molecule_scores
from lddm_lite.evaluation.search_schedule import costs_for
from lddm_lite.text import molecules
from lddm_lite.text.smiles import faults

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]
N = ld.course.shrunk(512, 48)
models = {"mdlm": ld.load("qm9-mdlm"), "di-seq": ld.load("qm9-di-seq")}
RESULTS = next(p for p in (Path("../data/results"), Path("data/results"), Path("../../data/results")) if p.is_dir())

# %% [markdown]
# ## 1. Strings in which everything must match
#
# `c1ccccc1` is a ring: the two `1` say which atoms are joined. A bracket opens a branch, and must close. Each atom bears so many bonds and no more. So a
# string is a molecule or it is none, and `rdkit` tells without a mistake.

# %%
train, unseen = molecules.load("qm9")
print(train, unseen, sep="\n")
print(faults(list("C1CC(=O")))  # {place: what is wrong}, as far as an eye can see
real = [unseen.decode(row) for row in unseen.rows[7::900][:8]]
print(molecule_scores(real), *real)

# %% tags=["figure"]
ld.plots.molecules(real, title="unseen molecules of QM9");

# %% [markdown]
# Two models were trained alike, on the same strings for as many steps: `qm9-mdlm`, without latents, and `qm9-di-seq`, which first draws one code of
# 3,072. That code is the class of the string in a mixture of products (`encoder="mixture"`), fitted in a minute before any network was trained.
# `data/README.md` has their cards.
#
# > **Predict, then run.** With four network calls mdlm reveals about four symbols a call, which cannot see each other. Which share of its strings
# > will be molecules? And if one of the four calls first draws a code that all symbols see?

# %%
costs = {name: costs_for(model, unseen, seed=0) for name, model in models.items()}
drawn, live = {}, {}
for name, model in models.items():
    for calls in (2, 4, 8):
        path = best_schedule(model, unseen, calls, costs[name], n=ld.course.shrunk(128, 16), seed=1)
        trace = model.sample(N, path=path, order="even", seed=0)
        live[name, calls], drawn[name, calls] = molecule_scores(trace.texts()), trace
        print(
            f"{name:<7}{calls} calls: {live[name, calls]['valid']:.3f} valid, {live[name, calls]['unique']:.3f} of them different"
        )

# %% tags=["figure"]
fig, axes = plt.subplots(6, 1, figsize=(10, 7.4), layout="constrained")
pairs = [(name, calls) for calls in (2, 4, 8) for name in models]
for (name, calls), ax in zip(pairs, axes, strict=True):
    ld.plots.molecules(drawn[name, calls].texts()[:8], ax=ax, title=f"{name}, {calls} calls")

# %% [markdown]
# **What to see.** Strings in a frame are no molecules: a ring that is never closed, a bracket too many. The first eight samples of each, not chosen.
# Eight are too few to tell; in the shares above the latent model has more in each number of calls.

# %% tags=["check"]
if N > 100:  # what was claimed above, and below
    for calls in (2, 4, 8):
        assert live["di-seq", calls]["valid"] > live["mdlm", calls]["valid"] + 0.05, calls

# %% [markdown]
# ## 2. Over three training seeds
#
# One run proves nothing. Both systems were trained three times for 4,000 steps and measured at 2 to 20 calls in three ways, two orders in best steps
# and the order of confidence in even ones; each is shown in the way in which more of its strings are valid. Beside them a causal transformer of the
# same size, data and steps, which spends a call on each symbol.

# %%
files = {k: json.loads((RESULTS / f"qm9-{k}.json").read_text()) for k in ("even", "confidence", "steps", "causal")}
orders = [files[way]["rows"] for way in ("even", "confidence", "steps")]
print("% valid ± over seeds (% of them new), by calls in all")
print(" " * 8, *(f"{calls:<17}" for calls in (2, 4, 8, 20)))
for system in models:
    print(f"{system:<9}", end="")
    for calls in (2, 4, 8, 20):
        found = [[r for r in rows if r["system"] == system and r["nfe"] == calls] for rows in orders]
        best = [max(same, key=lambda r: r["valid"]) for same in zip(*found, strict=True)]
        valid, new = (100 * np.array([r[k] for r in best]) for k in ("valid", "novel"))
        print(f"{valid.mean():5.1f} ± {valid.std(ddof=1):.1f} ({new.mean():.0f})", end="   ")
    print()
causal = files["causal"]["rows"]
print("causal, 16 calls on average:", *(f"{100 * r['valid']:.1f} ({100 * r['novel']:.0f})" for r in causal))
length = -sum(p * math.log(p) for p in unseen.spec()["lengths"] if p)  # the bounds of `compare` are given lengths
about = files["even"]["models"].values()
bounds = {s: np.mean([m["bound"]["per_sequence"]["value"] for m in about if m["system"] == s]) + length for s in models}
bounds["causal"] = np.mean([r["nats"] for r in causal])
print("nats a string, its length included:", {name: round(float(v), 1) for name, v in bounds.items()})

# %% [markdown]
# **What to see.** In 2, 4 and 8 calls the latent model has 4.1, 2.8 and 1.9 times as many molecules, and in 4 as many as mdlm in 20. The best order
# is even at 2 calls, for mdlm at 4, too, and elsewhere the surest symbols first (`order="confidence"`), which costs variety: at
# 20 calls 76 % of mdlm's molecules are different, at 8 calls 96 %, of di-seq's at least 97 % in all of them (`unique` in the files).
#
# And the honest line is the one of the causal model: with a call a symbol 95 %. It learns one order, a masked model all of them, which takes longer:
# 13.2 nats a string in 4,000 steps, where the bounds are 16.8 (mdlm) and 15.1 (di-seq). What it cannot do is be quicker, or fill a gap.
#
# Few of the latent model's molecules are new. QM9 lists nearly all molecules of its kind, so that a perfect model would seldom find one that is not
# among them; but does the model know them by heart? Then it would prefer those it has seen to those it has not. Of each 19 molecules of QM9 one was
# held out: among what is drawn it should be one in 19, too.

# %%
# Sampling and judging 16,000 strings takes half a minute.
seen, held = ({s for s in canonical(part) if s} for part in molecules.strings("qm9"))
prefers = {}
for name, model in models.items():
    path = best_schedule(model, unseen, 4, costs[name], n=ld.course.shrunk(128, 16), seed=1)
    many = model.sample(ld.course.shrunk(8000, 100), path=path, order="even", seed=5).texts()
    known, other = (sum(s in part for s in canonical(many) if s) for part in (seen, held - seen))
    even = known * len(held - seen) / len(seen)
    prefers[name] = even / max(1, other)
    print(f"{name:<7}{known} seen, {other} held out; without preference {even:.0f} ± {math.sqrt(even):.0f}")

# %% [markdown]
# **What to see.** mdlm has no preference that these numbers could show. di-seq has found 83 unseen molecules where 106 ± 10 were to be expected: it
# prefers what it has seen, by a factor of about 1.3. So a part of its lead is memory, its 3,072 classes being fitted to 40 strings each. Most is not.
#
# And the other systems, and more training? Of each there is one run: all five after 4,000 steps, the continuous ones with four numbers a string; then
# mdlm after 20,000 steps and di-seq after 10,000, each of which takes about twice as long; and di-seq after 20,000, too.
#
# > **Predict, then run.** Both learn for longer. Will the code's lead grow or shrink, in few calls and in many?

# %%
def table(name, calls=(2, 4, 8, 20)):
    """Each model's shares in the better order; and nats of tokens + latents in its bound."""
    ways = [json.loads((RESULTS / f"{name}-{way}.json").read_text()) for way in ("even", "confidence", "steps")]
    print(f"{name}: % valid (% of them different) in {', '.join(map(str, calls))} calls; nats of tokens + latents")
    for model, about in ways[-1]["models"].items():
        of = [[r for way in ways for r in way["rows"] if (r["model"], r["nfe"]) == (model, k)] for k in calls]
        best = [max(same, key=lambda r: r["valid"]) for same in of]
        said = [f"{100 * r['valid']:5.1f} ({100 * r['unique']:3.0f})" for r in best]
        bound = about["bound"]
        symbols = bound["per_sequence"]["value"] / bound["total"]["value"]  # a string
        nats = [symbols * bound[part]["value"] for part in ("tokens", "latents")]
        print(f"  {model:<9}", *said, "  {:5.1f} + {:.1f}".format(*nats))
    return ways[-1]["models"]


for name in ("systems", "long", "longer"):
    table(f"qm9-{name}")

# %% [markdown]
# **What to see.** On the joint path the same codes do nearly as much. Four numbers win nothing in 2 calls and little in more: with them the symbols
# cost 9.1 nats in co-seq, with the code 6.5, and they themselves 10.3, where the code costs 6.5. With longer training the code makes 2.7, 1.9 and 1.2 times as
# many molecules: its lead stays in few calls, and goes in many. At 20 calls mdlm passes the code, by choosing the surest symbols: 97 %, of which 70 %
# are different, beside 80 % and 97 %. Twice as many steps again win the code nothing, 74 % and 99 %. What
# fails is mostly made from rare codes: drawn at a temperature of 0.6, codes make 89 % at 20 calls, of which 94 % are different.
#
# MOSES holds longer strings, 36 symbols on average and up to 48. Three systems learned 600,000 of them, one training each. Beside their shares stands
# what the true latents leave of the nats that the symbols of a string share (section 3 has that of QM9's code).
#
# > **Predict, then run.** A code of 3,072 says at most 8 nats of a string that is more than twice as long. In how many calls does it still win? And would 16 numbers
# > a string, which can say anything, do better?

# %%
for name in ("moses", "moses-co-seq"):
    for model, about in table(name, (4, 8, 16, 64)).items():
        if "left" in about.get("health", {}):  # there are latents
            shared, left = (about["health"][key]["value"] for key in ("left_none", "left"))
            print(f"  of {shared:.1f} nats that symbols share, those of {model} leave {left:.1f}")

# %% [markdown]
# **What to see.** Two ways to fail. The code is cheap to draw, and says too little: it leaves 24 of 45 nats, wins in 4 calls, and is worth no more than
# its own call in 8. The numbers say nearly all, and leave 7 of 41; but they themselves cost 43 nats, where mdlm needs 27 for the strings, and what the
# model draws of them seldom fits a molecule. A latent that wins must say most of what symbols share and be easy to draw: on QM9 one code is both.
# mdlm's molecules are the plainest: in the order of confidence their symbols have an entropy of 2.1 nats, di-seq's 2.2, real ones 2.3.
#
# ## 3. What the code says
#
# The law of a single code needs no network to be drawn from: it is a table. Given a code, the symbols are nearly independent. Here are three codes,
# and for each what the model makes of it in a single token step.

# %%
model = models["di-seq"]
often = model.encode(unseen.sample(2000, seed=0)).flatten().bincount().argsort(descending=True)[[0, 20, 200]]
of_code = {int(k): model.sample(latents=k.expand(4, 1), token_steps=1, seed=3).texts() for k in often}
for code, strings in of_code.items():
    print(f"code {code:>4}:", *strings)

# %% [markdown]
# The strings of a code have the same skeleton and length: brackets and ring numbers stand in the same places, and only which atom stands where is left
# open. That is what must match, and a call in which symbols do not see each other could not arrange it.
#
# How much is that in nats? `diagnose` masks a share of the symbols and asks what the others cost with the true code, with someone else's, without
# one, and with one that the model draws itself.

# %%
found = diagnose(model, unseen, n=ld.course.shrunk(512, 32), seed=0)
print(found)

# %% [markdown]
# **What to see.** With its code a symbol costs 0.5 nats when all are masked, without one 1.7: of the 6.6 nats that the symbols of a string share, the
# code leaves 1.3 (*total correlation left*). Someone else's code costs 4.2: it is trusted, also where visible symbols contradict it. And a code that
# the model draws costs as much, next to symbols that it has not read: a code is right for its own string only.
#
# ## 4. Watch it
#
# Both models in four calls, a step at a time. A string that cannot become a molecule any more shows where it does not match; what can be drawn is
# drawn beside it.

# %%
four = [drawn[name, 4] for name in models]
ld.widgets.Scrubber(four, model=list(models.values()), names=[f"{name}, 4 calls" for name in models], samples=12)

# %% [markdown]
# ## 5. Grow something on a ring
#
# `infill` keeps what is given. Three symbols are to be found on a ring of three; of 64 tries, which give a molecule, and how many different ones?

# %%
start = "C1CC1[MASK][MASK][MASK]"
for name, model in models.items():
    grown = model.infill(start, 64, token_steps=3, seed=0).texts()
    right = [s for s in canonical(grown) if s]
    print(f"{name:<7}{len(right)} of 64 are molecules, {len(set(right))} different:", *sorted(set(right))[:6])

# %% [markdown]
# **What to see.** Here the code helps little: three symbols at the end of a ring that is closed leave not much to arrange.
#
# ## Summary
#
# - Few steps break what must match, and validity makes that visible: each ring and each bracket is a pair that a call may draw apart.
# - A code that says the skeleton repairs most of it for the price of one call, in the same network, after the same training.
# - What is compared is both systems at their best, at equal calls, over seeds; and the code's own call counts.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1 (by hand).** *A pair.* In half of all strings a ring opens at one place and closes at another; otherwise both places hold an atom. A call draws the
# two places at once, each by its own probability. Which share of the strings is broken? And how many nats is KL(data ‖ samples)?

# %% tags=["exercise"]
broken = ...  # [share, nats]

# %% tags=["solution"]
broken = [0.5, math.log(2)]

# %% tags=["check"]
ld.selfcheck(
    1,
    broken,
    [0.5, math.log(2)],
    tol=0.01,
    mistakes={"both ways to break it count: open and not closed, closed and not opened": [0.25, math.log(2)]},
);

# %% [markdown]
# **2 (by hand).** *What a code can carry.* How many nats does one of 3,072 codes carry at most? How many such codes, drawn one after another,
# would it take at least to carry all of a molecule, about 11.7 nats (there are 124,000)? Answer with both, the second as a fraction.

# %% tags=["exercise"]
carries = ...  # [nats, how many codes]

# %% tags=["solution"]
carries = [math.log(3072), math.log(124_000) / math.log(3072)]

# %% tags=["check"]
ld.selfcheck(
    2,
    carries,
    [math.log(3072), math.log(124_000) / math.log(3072)],
    tol=0.01,
    mistakes={"these are bits": [math.log2(3072), math.log(124_000) / math.log(3072)]},
);

# %% [markdown]
# **3 (experiment).** *Cold samples.* Draw 256 strings of `qm9-mdlm` in 8 calls at temperature 1 and 0.5 (`order="even"`, seed 0). Does the share of valid
# ones rise, and what happens to the share of different ones among them? Answer with [valid at 1, valid at 0.5, different at 1, different at 0.5].

# %% tags=["exercise"]
cold = ...

# %% tags=["solution"]
scores = [
    molecule_scores(models["mdlm"].sample(256, 8, order="even", temperature=t, seed=0).texts()) for t in (1.0, 0.5)
]
cold = [s[k] for k in ("valid", "unique") for s in scores]
print(*(f"{v:.3f}" for v in cold))

# %% tags=["check"]
again = [
    molecule_scores(models["mdlm"].sample(256, 8, order="even", temperature=t, seed=0).texts()) for t in (1.0, 0.5)
]
ld.selfcheck(
    3,
    cold,
    [s[k] for k in ("valid", "unique") for s in again],
    tol=0.006,
    mistakes={
        "first both valid shares, then both shares of different ones": [
            s[k] for s in again for k in ("valid", "unique")
        ]
    },
);

# %% [markdown]
# **4 (research, open).** *More than a skeleton.* One code of 3,072 says where rings and brackets stand. Would two codes of 512, of the first and the second
# half (`slots=2`), say more? They cost two calls, or one in which they are drawn apart. What would you measure, and what would you accept?
