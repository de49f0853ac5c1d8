# %% [markdown]
# # Your own data: pictures, characters, a protein family, a language without spaces
#
# **After this notebook you can** bring sequences of any kind to the library, see what a text loses on its way to tokens, condition samples on a
# class, fill in half of a picture, and say honestly whether latents were worth it for your data.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebook 00; scikit-learn, which comes with the library | 15 minutes | about 2 minutes | the same: none is used | 2 GB |
#
# Whatever you bring is token ids $[n, L]$, and words that show them. A **data object** has five members, `length`, `vocab`, `labels`, `spec()` and
# `sample(n, seed)`; for an array there is `ld.from_arrays`, for a text `ld.text.from_lines`. From disk: `ld.text.from_file("FILE.txt")`, a sentence a line, and
# `ld.from_arrays(np.load("FILE.npy"))`, a sequence a row. What comes in is checked, and what is wrong is named.
# All losses are in nats.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch

import lddm_lite as ld
from lddm_lite.training.measure_digits import SYSTEMS, Digits, measure

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]
STEPS = ld.course.shrunk(500, 20)
SEEDS = range(ld.course.shrunk(3, 1))
CALLS = 4  # network calls that every system may spend
digits = Digits()  # scikit-learn's 8 × 8 pictures, black or white; and a judge, which says what a picture shows


def train(system, data, steps=STEPS, seed=0, **options):
    """A small model of the data, trained."""
    model = ld.LatentDiffusion.preset(system, data, seed, width=64, blocks=2, encoder_blocks=1, **options)
    ld.fit(model, data, steps=steps, batch=32, warmup=50, lr=5e-3, seed=seed, progress=False)
    return model


def spend(model, calls=CALLS):
    """The same number of calls for all: mdlm gives all to tokens, a system with one code gives one to the code."""
    latents = 0 if model.latent_channel is None else 1
    return dict(token_steps=calls - latents, latent_steps=latents or None, order="even")


# %% [markdown]
# ## 1. Pictures: digits of 8 × 8 tokens
#
# An array of ids is all that is needed: `ld.from_arrays(pictures, classes=digits)`. The class of each picture is put in front of it, as a token of its
# own: give it, and the model draws a picture of that class; leave it out, and it is drawn too. The price is told: the bound is then that of class
# *and* picture.
#
# A class is one token of 65. Masked like any other it would hardly ever be the only one that is visible, which is where drawing a class begins; so
# half of the training sequences are told their class (`told=0.5` of `ld.fit`).

# %%
pictures, unseen, half = digits.data, digits.held, digits.half  # in `half` the lower half is masked, and the class
real = float((digits.read(unseen) == digits.classes(unseen)).mean())
print(pictures, "| the judge is right on unseen pictures:", real)

# %% [markdown]
# > **Predict, then run.** Four calls for 64 pixels: sixteen pixels of a call cannot see each other. What will mdlm's digits look like, and what will
# > change if one of the four calls first draws a code that all pixels can see?
#
# Three things are measured, over three seeds, since one proves nothing. *class*: a class is asked for; how often does the judge see it? *free*: nothing
# is asked for; does the judge see the class that was drawn in front? *half*: the lower half is filled in; is it read as what it was? Each system takes
# what is best for it, chosen on other samples and pictures: mdlm even steps, its best schedule or, to fill in, the surest tokens first.

# %%
models = {}
for name in ("mdlm", "di-seq"):
    found = []
    for seed in SEEDS:
        model = train(data=pictures, seed=seed, **SYSTEMS[name])
        models.setdefault(name, model)  # the first one is looked at below
        found.append(measure(model, digits, CALLS, n=15, seed=seed))
    for what in ("class", "free", "half"):
        shares = [r[what]["share"] for r in found]
        plans = ", ".join(r[what]["plan"] for r in found)
        print(f"{name:<7}{what:<6} {np.mean(shares):.3f}  seeds: {np.round(shares, 2)}  ({plans})")
    spread = np.mean([r["class"]["spread"] for r in found])
    print(f"{name:<7}spread {spread:.3f}   bound, seed {seed}: {model.nelbo(unseen).total}\n")
print("spread of real digits", round(digits.spread(unseen, digits.classes(unseen)), 3))

# %% tags=["figure"]
fig, axes = plt.subplots(2, 2, figsize=(9, 4.4), layout="constrained")
for (name, model), (left, right) in zip(models.items(), axes, strict=True):
    ld.plots.pictures(model.sample(16, seed=1, **spend(model)), ax=left, title=f"{name}: free samples in {CALLS} calls")
    ld.plots.pictures(model.infill(half[:16], seed=1, **spend(model)), ax=right, title=f"{name}: halves filled in")

# %% [markdown]
# **What to see.** Free samples: the latent system wins, whichever seed. A code and three more calls give pictures in which the judge sees the
# class that was drawn with them, 96 % against 22 % of mdlm at its best schedule (standard errors 0.02 and 0.03 a seed), and its bound is 8 nats
# lower. Its codes are the classes of a mixture of products (`encoder="mixture"`), fitted before any network is trained: what all pixels share
# need not be learned.
#
# Asked for something, it loses. A class that is asked for shows in 13 % of its pictures (chance is 10 %) and in 43 % of mdlm's; halves are read as what
# they were 35 % and 43 % of the time, where a model that was not trained gets 39 %: nobody has learned to fill in. In 500 steps the code has hardly learned to
# listen to the tokens that are given. With 1,000 steps, means of three seeds (`data/results/digits.json`): free 94.2 % and 34.8 %, class 46.4 % and 75.6 %, halves 32.6 % and 41.9 %.
#
# ## 2. Text: what is lost before anything is learned
#
# A tokenizer made for English news turns a protein into `[UNK]`, and trains on that to a loss of zero. So what is unknown, dropped, cut or changed
# is counted, and stops training where it is too much. `tokenizer="auto"` looks at the text, and says what it chose and why.

# %%
texts = {
    "news": ["the bank of japan said on monday that rates would stay ."],
    "prose": ["The bank said: “Rates, at 2.5 %, will stay.”"],
    "Chinese": ["今天天气很好，我们去公园散步。"],
    "Persian": ["می‌خواهم کتاب‌های خوبی بخوانم."],
    "code": ["    return {'a': x[0]}  # twice"],
    "emoji": ["I ❤️ this 👩‍👩‍👧‍👦 family"],
}
for name, lines in texts.items():
    data = ld.text.from_lines(lines)
    back = data.decode(data.rows[0]) == lines[0]
    print(f"{name:<8} {'comes back as it was' if back else 'changed':<20}  {data.losses.notes[0]}")
try:
    ld.text.from_lines(["ACGT" * 60] * 20, tokenizer="words")
except ValueError as error:
    print("\nwords for DNA:", error)

# %% [markdown]
# ## 3. A protein family, whose law is ours
#
# Eight ancestors of 24 letters; a member takes one and changes each letter with probability 0.1. So the likelihood of any sequence is known, and the
# excess of samples over the entropy says how far they are from the family.

# %%
letters = list("ACDEFGHIKLMNPQRSTVWY")
law = ld.tasks.MixtureOfProducts(length=24, modes=8, vocab=20, noise=0.1, seed=3)
lines = ["".join(letters[i] for i in row) for row in law.sample(4000, seed=0).tolist()]
family = ld.text.from_lines(lines, length=24)
print(family, "\n")
back = {i: letters.index(w) for i, w in enumerate(family.labels) if w in letters}


def excess(model, calls, seed=0):
    """How many nats less likely the samples are under the true law than true sequences."""
    ids = model.sample(512, seed=seed, **spend(model, calls)).tokens
    return law.score(torch.tensor([[back.get(int(i), 0) for i in row] for row in ids]))["excess"]


for system, options in (("mdlm", {}), ("di-seq", dict(codes=16, encoder="mixture"))):
    model = train(system, family, steps=STEPS // 2, **options)
    print(f"{system:<7}", *(f"{calls} calls: {excess(model, calls):6.2f} nats  " for calls in (2, 4, 8)))
exact = ld.evaluation.exact_limit(law, (2, 4, 8), n=512, schedule="best")
print("exact predictor, no latents, best steps:", [round(row["excess"], 2) for row in exact])

# %% [markdown]
# **What to see.** The last line is the limit of masked diffusion without latents in these calls, in its best steps, whatever is learned. In two
# calls di-seq is
# 26 nats below it: one of them drew the ancestor. From four calls on the limit is below both models: what these lose they lose in learning, which
# more calls do not change, and mdlm has hardly begun to learn in 250 steps. One seed, so no claim beyond it.
#
# ## 4. A language without spaces
#
# A grammar: a greeting, a name, what they eat, an end; words run together, as in Thai or Chinese. Gaps are cut together with what stands beside them.

# %%
rng = np.random.default_rng(1)
words = [["早上好", "晚上好"], ["小明", "小红", "老王"], ["吃", "不吃"], ["米饭", "面条", "苹果"], ["。", "！"]]
sentences = ["".join(str(rng.choice(w)) for w in words) for _ in range(500)]
data = ld.text.from_lines(sentences)
model = train("di-seq", data, steps=STEPS // 2, codes=16)
filled = model.infill("早上好小[MASK]吃[MASK][MASK]。", 6, token_steps=3, seed=0)
print(data.losses.notes[0], filled.texts(), sep="\n")

# %% [markdown]
# ## Summary
#
# - An array, a text, or a class with five members: all of the library takes it, and so does the command line (`--ids`, `--text`,
#   `--task my.py:Bars`).
# - A class is a token in front. It conditions samples, and it is part of the bound.
# - Compare at equal calls, with mdlm at its best, over seeds: where the law is known, `exact_limit` is the line that no mdlm crosses in the same steps.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1 (by hand).** *The price of a class.* Ten classes, equally likely. The class is put in front of each picture, and the pictures tell it without
# doubt. How many nats higher is the entropy of class and picture than that of the picture alone, and how many nats lower is that of a picture given
# its class? Answer with both.

# %% tags=["exercise"]
price = ...  # [higher by, lower by]

# %% tags=["solution"]
price = [0.0, math.log(10)]

# %% tags=["check"]
ld.selfcheck(
    1,
    price,
    [0.0, math.log(10)],
    tol=0.01,
    mistakes={
        "H(class, picture) = H(picture) + H(class | picture), and the last is nothing": [math.log(10)] * 2,
        "these are bits": [0.0, math.log2(10)],
    },
);

# %% [markdown]
# **2 (code).** *Five members.* Chords in bars: a bar of `length` tokens, of which the second half repeats the first; the labels are C, F, G and REST.
# Write it as a data object. `seed` is an integer or a `torch.Generator`, as `torch.randint(..., generator=)` takes it.


# %% tags=["exercise"]
class Bars:
    length, vocab, labels = 8, ..., ...

    def spec(self):
        return {}

    def sample(self, n, seed=0): ...


# %% tags=["solution"]
class Bars:
    length, vocab, labels = 8, 4, ["C", "F", "G", "REST"]

    def spec(self):
        return {}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return torch.randint(4, (n, 4), generator=g).repeat(1, 2)


# %% tags=["check"]
bars = Bars()
found = ... if bars.labels is ... or bars.sample(2) is None else bars.sample(64, torch.Generator().manual_seed(0))
if found is not ...:
    ld.fit(ld.LatentDiffusion.preset("di-seq", bars, width=16), bars, steps=2, batch=8, progress=False)  # checks it
    found = [
        bool((found[:, :4] == found[:, 4:]).all()),
        len(found.unique()),
        bool((bars.sample(9, 1) == bars.sample(9, 1)).all()),
    ]
ld.selfcheck(
    2,
    found,
    [1, 4, 1],
    mistakes={"the second half must repeat the first": [0, 4, 1], "an integer seed must give the same bars": [1, 4, 0]},
);

# %% [markdown]
# **3 (by hand).** *What one call costs.* Two pixels of a picture are always equal, each black with probability ½. A call draws both at once, each by
# its own probability. In which share of samples do they differ? How many nats is KL(data ‖ samples)? And if a code says first which it is? Answer
# with the share, the nats, and the nats with the code.

# %% tags=["exercise"]
cost = ...

# %% tags=["solution"]
cost = [0.5, math.log(2), 0.0]

# %% tags=["check"]
ld.selfcheck(
    3,
    cost,
    [0.5, math.log(2), 0.0],
    tol=0.01,
    mistakes={"the nats are those of one pixel's entropy that is paid twice": [0.5, 2 * math.log(2), 0.0]},
);

# %% [markdown]
# **4 (experiment).** *The surest first.* Let mdlm fill in the lower halves (`digits.half`) in 4 calls with `order="even"` and with `order="confidence"`, and with
# temperature 0. Which shares does the judge read as what they were? Answer with what was filled in, the `tokens` of the three runs.

# %% tags=["exercise"]
filled = ...  # three arrays

# %% tags=["solution"]
mdlm, filled = train("mdlm", digits.data), []
for how in (dict(order="even"), dict(order="confidence"), dict(order="confidence", temperature=0.0)):
    filled.append(mdlm.infill(digits.half, token_steps=4, seed=0, **how).tokens)
shares = [float((digits.read(tokens) == digits.classes(digits.held)).mean()) for tokens in filled]
print(*(f"{v:.3f}" for v in shares))

# %% tags=["check"]
given_4 = ld.course.numbers(filled)
if given_4 is None or given_4.shape != (3, *digits.half.shape):
    ld.selfcheck(4, filled, torch.zeros(3, *digits.half.shape))
else:
    shown_4 = torch.as_tensor(digits.half != digits.data.vocab)
    kept_4 = bool((given_4 == torch.as_tensor(digits.half))[:, shown_4].all())
    done_4 = bool((given_4 < digits.data.vocab).all())
    apart_4 = all(not torch.equal(given_4[i], given_4[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    ld.selfcheck(
        4, [kept_4, done_4, apart_4], [1, 1, 1],
        mistakes={
            "the upper halves must stay as they were given": [0, 1, 1],
            "something is still masked": [1, 0, 1],
            "two of the three are the same run": [1, 1, 0],
        },
    )  # fmt: skip

# %% [markdown]
# **5 (research, open).** *Your own.* Bring data that you care about, say what a code ought to carry in them, and measure it: three seeds, equal calls,
# mdlm at its best schedule. What would you accept as evidence that the code was worth its call?
