# %% [markdown]
# # Masked diffusion: sixty lines, and what they cannot do
#
# **After this notebook you can** write a masked diffusion model (MDLM) from nothing in 60 lines; say where its loss comes from; show that
# `lddm_lite` computes the same numbers; and explain, with numbers and with sentences, why few steps lose something *however well it is trained*, and how much depends on where
# they lie.
#
# | you need | time on 2 CPU cores | time on a GPU | memory |
# |---|---|---|---|
# | PyTorch, a little probability; no diffusion background | about 2 minutes | the same: none is used | 1 GB |
#
# Symbols:
#
# | symbol | meaning |
# |---|---|
# | $x_0=(x_0^1,\dots,x_0^L)$ | a clean sequence of $L$ tokens with ids $0,\dots,V-1$ |
# | $x_t$ | the same sequence, partly masked; the mask has id $V$ |
# | $t\in[0,1]$ | noise time: 0 is clean, 1 is all masks; $s<t$ is a later moment of sampling |
# | $p(x_0^i\mid x_t)$ | the prediction for position $i$; a *predictor* gives it for all masked $i$ at once |
# | $\rho(t)$ | rate of the loss, nats per sequence and unit of time |
# | $p^*$, $H$ | the true law of the data and its entropy |
# | $T$ | number of sampling steps; each costs one network call |
#
# All losses are in **nats per sequence**. (M1) to (M4) and (M12) are the equation numbers that the library's docstrings use too.

# %% tags=["setup"]
import itertools

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

import lddm_lite as ld

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]

task = ld.tasks.Binsaw(length=32)  # bits that share one hidden shift; its exact predictor is known
news = ld.tasks.ToyNewswire()  # short sentences whose words must agree; its exact predictor is known, too
best, best_news = ld.LatentDiffusion.exact(task), ld.LatentDiffusion.exact(news)

# %% [markdown]
# ## 1. Forward: cover up
#
# Noise, for text, is missing words. At time $t$ each position is masked **independently, with probability $t$** (M1):
#
# $$x_t^i=\begin{cases}\text{mask}&\text{with probability }t\\ x_0^i&\text{otherwise}\end{cases}$$
#
# Give each position one uniform number $u_i$ and mask it while $u_i<t$: then one and the same draw shows all times, and a position once
# masked stays masked.

# %%
sentence = "the tiber rose by two metres in rome on friday , damguard said ."
x0 = news.encode(sentence)[:13]
u = torch.rand(len(x0), generator=torch.Generator().manual_seed(4))
for t in (0.0, 0.25, 0.5, 0.75, 1.0):
    print(f"t = {t:4.2f}   " + " ".join("_" * len(w) if u_i < t else w for w, u_i in zip(sentence.split(), u)))

# %% [markdown]
# ## 2. Reverse: uncover
#
# Sampling goes the other way. How many masked positions should a step from $t$ to $s<t$ reveal? A position masked at $t$ has $u_i<t$; it is
# still masked at $s$ if even $u_i<s$. Given that it is masked at $t$, this has probability $s/t$. So a reverse step **reveals each masked
# position with probability $(t-s)/t$, and draws its token from the prediction** (M2). A visible token never changes.
#
# The number $(t-s)/t$ is easy to get wrong (it is not $t-s$), so count:

# %%
t, s = 0.8, 0.6
u = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
masked_at_t, masked_at_s = u < t, u < s
share = (masked_at_t & ~masked_at_s).sum() / masked_at_t.sum()
print(f"of those masked at t={t}, visible at s={s}: {share:.3f}     (t-s)/t = {(t - s) / t:.3f}     t-s = {t - s:.3f}")

# %% [markdown]
# Below, left: one sequence of **Binsaw** at all times. Binsaw is the task of this notebook: a hidden shift, drawn uniformly, sets each
# bit's probability along a saw wave; given the shift, bits are independent. Everything about it can be computed, also the *exact predictor*
# $p(x_0^i\mid x_t)$, which the right picture uses: a new sequence made in 16 reverse steps, read from top to bottom.

# %% tags=["figure"]
x0 = task.sample(1, seed=0)
u = torch.rand(task.length, generator=torch.Generator().manual_seed(1))
times = torch.linspace(0, 1, 17)
forward = x0.where(u >= times[:, None], torch.tensor(task.mask_id))  # [17, L]: a row per time
run = best.sample(1, token_steps=16, seed=3)
reverse = [run.tokens_at(k)[0] for k in range(17)]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
ld.plots.bits(forward, ax=left, title="forward: one sequence, ever more masks")
ld.plots.bits(reverse, ax=right, title="reverse: 16 steps, ever fewer")
left.set(ylabel="noise time t", yticks=[0, 4, 8, 12, 16], yticklabels=["0", "¼", "½", "¾", "1"])
right.set(ylabel="noise time t", yticks=[0, 4, 8, 12, 16], yticklabels=["1", "¾", "½", "¼", "0"]);

# %% [markdown]
# **What to see.** Dark is 1, light is 0, grey is masked. Going down on the left, columns turn grey and never come back; on the right, they get a
# colour and never lose it. About $L/16$ columns change in each row: that is what the probability $(t-s)/t$ is for.
#
# ## 3. The loss: what it costs to be told
#
# Ann wants to tell Bob $x_0$. Both own the same predictor, and both see the same coins. They start with all positions masked. In each
# small step from $t$ to $s$ the coins open masked positions, each with probability $(t-s)/t$. **Which** positions open costs nothing: coins know
# nothing of $x_0$. **What** is there, Ann must say, and the best code for the prediction needs $-\log p(x_0^i\mid x_t)$ nats. So the step
# costs, on average over its coins,
#
# $$\frac{t-s}{t}\sum_{i\text{ masked}}-\log p(x_0^i\mid x_t)\qquad\text{(M4)}.$$
#
# Per unit of time, and with steps ever smaller, this is the rate of the loss, and the loss is its integral:
#
# $$\rho(t)=\frac1t\sum_{i\text{ masked}}-\log p(x_0^i\mid x_t)\qquad\text{(M3)},\qquad\qquad \mathcal L(x_0)=\int_0^1\mathbb E\,\rho(t)\,dt .$$
#
# Why does it bound the likelihood? A sampler with infinitely many steps opens one position at a time, in a random order. The probability that it
# ends in $x_0$ is the *average over orders* of the product of its predictions. Ann's cost is the average over orders of *minus the
# log* of that product. The minus log of an average is at most the average of minus logs (Jensen), so
# $-\log p(x_0)\le\mathcal L(x_0)$: a negative evidence lower bound, or **NELBO**. And if the predictor is exact, the product is
# $p^*(x_0)$ in *every* order, by the chain rule of probability. Then the bound is no bound but the truth, for each single sequence.
#
# > **Predict, then run.** With the exact predictor, average $\rho(t)$ over random times and masks for one sequence. What comes out?

# %%
g = torch.Generator().manual_seed(0)
n = ld.course.shrunk(8000, 2000)
for x0 in task.sample(3, seed=5):
    x0 = x0.expand(n, -1)
    t = 1 - (torch.rand(1, generator=g) + torch.arange(n) / n) % 1  # n times in (0, 1], evenly spread
    x_t = x0.masked_fill(torch.rand(x0.shape, generator=g) < t[:, None], task.mask_id)  # (M1)
    nats = -task.predict(x_t).log().gather(-1, x0[:, :, None]).squeeze(-1)  # [n, L], of the true token
    rho = (nats * (x_t == task.mask_id)).sum(1) / t  # (M3)
    truth = -task.log_prob(x0[:1]).item()
    print(f"mean of rho(t): {rho.mean():.2f} ± {rho.std() / n**0.5:.2f}     -log p*(x0) = {truth:.2f}")

# %% [markdown]
# Equal, within the error of the mean, for each sequence. So to learn a language is to predict masked words, with the weight $1/t$: averaged over
# data, the smallest possible loss is the entropy $H$, and only the exact predictor reaches it.
#
# Two things to keep:
#
# - The network need not be told $t$. Given what is visible, the time says nothing more about what is masked.
# - Times are spread evenly over $(0,1]$ with one random offset. Each is uniform; their mean varies less than that of independent ones.
#
# ## 4. Sixty lines
#
# Here is all of it in plain PyTorch: a network, (M1), (M3), training, and the sampler (M2). Nothing is imported from `lddm_lite`; only the data
# come from it. Read it line by line; you should be able to write it again tomorrow.

# %% tags=["sixty-lines"]
import torch
from torch import nn

V, L, MASK = 2, 32, 2  # ids 0..V-1; the mask is id V


class Net(nn.Module):
    """Log-probabilities of the clean tokens [B, L, V] for partly masked ids [B, L]. It is not told the time."""

    def __init__(self, width=64, blocks=2, heads=4):
        super().__init__()
        self.embed = nn.Embedding(V + 1, width)
        self.place = nn.Parameter(torch.randn(L, width))  # positions, at the scale of the embeddings
        options = dict(dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        layers = [nn.TransformerEncoderLayer(width, heads, 4 * width, **options) for _ in range(blocks)]
        self.body = nn.Sequential(*layers, nn.LayerNorm(width), nn.Linear(width, V))

    def forward(self, x):
        return self.body(self.embed(x) + self.place).log_softmax(-1)


def corrupt(x0, t, g):
    """(M1): mask each position of x0 [B, L] with probability t [B]."""
    return x0.masked_fill(torch.rand(x0.shape, generator=g) < t[:, None], MASK)


def rate(x0, x_t, log_probs, t):
    """(M3): the sum over masked positions of -log p(x0), divided by t. Nats per sequence, [B]."""
    nats = -log_probs.gather(-1, x0[:, :, None]).squeeze(-1)
    return (nats * (x_t == MASK)).sum(1) / t


def train(net, draw, steps, g, batch=64, lr=2e-3):
    """Minimise the mean of (M3) over data, times and masks. `draw(batch, g)` gives sequences. Yields the losses."""
    optimiser = torch.optim.AdamW(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps, pct_start=0.1)  # warm up, then fade out
    for _ in range(steps):
        x0 = draw(batch, g)
        t = 1 - (torch.rand(1, generator=g) + torch.arange(batch) / batch) % 1  # in (0, 1], evenly spread
        x_t = corrupt(x0, t, g)
        loss = rate(x0, x_t, net(x_t), t).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield loss.item()


@torch.no_grad()
def sample(predict, n, length, steps, g):
    """(M2): from all masks, reveal each masked position with probability (t-s)/t and draw it from the prediction."""
    x = torch.full((n, length), MASK)
    for k in range(steps):
        t, s = 1 - k / steps, 1 - (k + 1) / steps
        reveal = (x == MASK) & (torch.rand(x.shape, generator=g) < (t - s) / t)
        cdf = predict(x)[reveal].double().exp().cumsum(-1)  # float64: float32 would cut off rare tokens
        u = torch.rand(x.shape, generator=g, dtype=torch.float64)[reveal].unsqueeze(-1)
        x[reveal] = (u * cdf[:, -1:] >= cdf).sum(-1)  # how many entries of the cumulative law lie below u
    return x


# %% [markdown]
# Train it. A network that knows nothing yet pays $L\log2$, the price of $L$ coins, and a little more. From there the loss should come down towards
# $H$, below which it can fall only by the chance of a batch.

# %%
torch.manual_seed(0)
net = Net()
steps = ld.course.shrunk(500)
losses = list(tqdm(train(net, task.sample, steps, torch.Generator().manual_seed(0)), total=steps, leave=False))
net.eval()
print(f"{sum(p.numel() for p in net.parameters()):,} weights")
print(f"mean of the last 50 losses {torch.tensor(losses[-50:]).mean():.2f} nats, H = {task.entropy()}")

# %% tags=["figure"]
entropy, coins = task.entropy().value, task.length * torch.tensor(2.0).log().item()
drawn = sample(net, 256, L, steps=32, g=torch.Generator().manual_seed(0))
true = task.sample(256, seed=0)

fig, (a, b, c) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
smooth = torch.tensor(losses).unfold(0, 20, 1).mean(1)
a.plot(range(20, 20 + len(smooth)), smooth, color=ld.plots.COLOURS["mdlm"], lw=1.8)
for y, name, side in ((coins, "L log 2", "bottom"), (entropy, "entropy H of the data", "top")):
    a.axhline(y, color="#444444", ls="--", lw=1)
    a.text(len(losses), y, name, fontsize=9, ha="right", va=side, color="#444444")
a.set(xlabel="training step", ylabel="loss, mean of 20 (nats per sequence)", ylim=(entropy - 0.6, coins + 1.3))
a.set_title("training", fontsize=11)
a.tick_params(labelsize=9)
a.spines[["top", "right"]].set_visible(False)
ld.plots.bits(true, order=task.find_shift(true), ax=b, title="256 true sequences")
ld.plots.bits(drawn, order=task.find_shift(drawn), ax=c, title="256 samples of the net, 32 steps");

# %% [markdown]
# **What to see.** The loss lingers near $L\log2$ first: as long as the network does not compare positions, each bit is a fair coin. Then it finds that bits
# are related, and the loss comes down close to $H$. Sorted by their hidden shift, the network's samples show
# the same diagonal bands as the data.
#
# ## 5. The same through `lddm_lite`
#
# In the library, (M1) to (M4) are methods of `MaskedChannel`. Same masks in, same numbers out? We ask with the
# predictions of our network, and with exact ones. The library's `rate` also takes rows for the masked positions alone, so that nothing is
# computed where nobody asks.

# %%
channel = ld.MaskedChannel(vocab=V)
x0 = task.sample(512, seed=7)
t = 1 - torch.rand(512, generator=torch.Generator().manual_seed(1))

ours = corrupt(x0, t, torch.Generator().manual_seed(2))
theirs = channel.corrupt(x0, t, torch.Generator().manual_seed(2))
assert torch.equal(ours, theirs)  # (M1), mask by mask

with torch.no_grad():
    log_probs = net(ours)
assert torch.allclose(rate(x0, ours, log_probs, t), channel.rate(x0, ours, log_probs, t), rtol=1e-5)  # (M3)
assert torch.allclose(rate(x0, ours, log_probs, t), channel.rate(x0, ours, log_probs[ours == MASK], t), rtol=1e-5)

exact = task.predict(ours).log()  # and with a predictor that nobody trained
assert torch.allclose(rate(x0, ours, exact, t), channel.rate(x0, ours, exact, t).double())
print("masks and losses agree on 512 sequences, with the network's predictions and with exact ones")

# %% [markdown]
# A `LatentDiffusion` is a predictor together with what noises, bounds and samples. Ours fits in through a few lines: the library asks for
# predictions at the positions `where`, and has latent arguments that stay empty here. (Latents are the subject of the next notebooks.)

# %%
from lddm_lite.diffusion.prediction import Prediction


class Ours(nn.Module):
    """A function from masked ids [B, L] to log-probabilities [B, L, V], as a denoiser of lddm_lite."""

    def __init__(self, predict):
        super().__init__()
        self.predict = predict

    def forward(self, x_t, z_t=None, t_z=None, where=None, need_latents=True, lengths=None):
        return Prediction(tokens=self.predict(x_t)[where], latents=None)


def wrapped(predict, of, name):
    config = ld.Config.preset("mdlm", of.length, of.vocab)
    model = ld.LatentDiffusion(config, Ours(predict), None, of.labels, of.spec())
    model.name = name
    return model


scratch = wrapped(net, task, "sixty lines")
for steps in (1, 4, 32):
    ours = sample(net, 256, L, steps, torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(0)
    theirs = channel.prior((256, L), g)
    for k in range(steps):
        where = channel.to_reveal(theirs, 1 - k / steps, 1 - (k + 1) / steps, g)
        with torch.no_grad():
            theirs = channel.reverse_step(theirs, net(theirs)[where], where, g)
    assert torch.equal(ours, theirs)
print("same network, same seed: the same 3 x 256 sequences, bit by bit")

# %% [markdown]
# The library's steps ask for random numbers in the same order as ours, so from one generator they return the same sequences.
# (`model.sample` takes these very steps, but gives each row a stream of random numbers of its own: then what happens to a sequence
# does not depend on how many others there are.) That is strong agreement, and yet it would not notice an error which both have. So let us compute
# what a sampler *should* return, and count what `sample` and `model.sample` do: on a tiny task all
# $3^L$ partly masked states can be listed, and (M2) is a matrix of transition probabilities between them.

# %% tags=["setup"]
def law(task, knots):
    """The exact law of the sampler that walks the times `knots` (1, ..., 0) with the exact predictor: probabilities of
    all V**L sequences, in the order of task.all_sequences()."""
    v, length = task.vocab, task.length
    states = torch.tensor(list(itertools.product(range(v + 1), repeat=length)))  # [S, L]; id v is the mask
    masked = (states == v).unsqueeze(-1)
    said = task.predict(states)  # [S, L, V]; a visible token is predicted as itself
    p = (states == v).all(1).double()  # all masked, for certain
    for t, s in zip(knots, knots[1:]):
        r = (t - s) / t
        token = torch.where(masked, r * said, said)  # [S, L, V]: this position gets this token
        stay = masked.double() * (1 - r)  # [S, L, 1]: it remains masked
        move = torch.cat([token, stay], -1)[:, torch.arange(length), states]  # [S, S', L]: each position of S' from S
        p = p @ move.prod(-1)
    return p[(states != v).all(1)]


# %%
tiny = ld.tasks.Binsaw(length=4, saws=1)  # 16 sequences, 81 partly masked states


def tiny_exact(x):
    """The exact log-probabilities [B, 4, 2]."""
    return tiny.predict(x).log()


n = 40_000
place = 2 ** torch.arange(3, -1, -1)  # a sequence's number among the 16
for steps in tqdm((1, 2, 4), leave=False):
    expected = n * law(tiny, [1 - k / steps for k in range(steps + 1)])
    assert abs(expected.sum() - n) < 1e-6
    draws = {
        "sixty lines": sample(tiny_exact, n, 4, steps, torch.Generator().manual_seed(10 + steps)),
        "lddm_lite": torch.tensor(ld.LatentDiffusion.exact(tiny).sample(n, token_steps=steps, seed=20 + steps).tokens),
    }
    for name, x in draws.items():
        counts = torch.bincount((x.long() * place).sum(1), minlength=16)
        chi2 = ((counts - expected) ** 2 / expected).sum()
        # of a right sampler: mean 15 (16 sequences, one constraint), standard deviation sqrt(2 * 15); we allow six of them
        assert chi2 < 15 + 6 * 30**0.5, (name, steps, chi2)
        print(f"{steps} steps, {name:<12} chi2 = {chi2:5.1f}   (15 ± 5.5 for a sampler without error)")

# %% [markdown]
# Both samplers have the law they should have. Finally the library's own network, with its own training loop: more blocks, averaged weights, and a
# quarter of the times crowded towards $t=1$, where the first few tokens decide the rest. Two lines instead of sixty:

# %%
mdlm = ld.LatentDiffusion.preset("mdlm", task, seed=0)
history = ld.fit(mdlm, task, steps=ld.course.shrunk(500), seed=0)

# %%
held_out = task.sample(ld.course.shrunk(4096, 1024), seed=123)
models = (best, scratch, mdlm)
bounds = {m.name: m.nelbo(held_out, draws=4, seed=0).total for m in tqdm(models, leave=False)}
for name, bound in bounds.items():
    # one seed, hence the same masks for all: most of the error cancels in the difference to the exact predictor
    print(f"{name:<12} NELBO {bound} nats, {bound.value - bounds['exact'].value:.2f} above the exact predictor's")
    assert bound.value > entropy - 4 * bound.stderr  # no bound lies below the entropy
print(f"{'entropy':<12}       {task.entropy()} nats")

# %% [markdown]
# The exact predictor's bound is the entropy, within its error; both networks are a few per cent above it. As far as the *loss* can tell, these are
# good models. Now sample from them in few steps.
#
# ## 6. The bottleneck
#
# The point of masked diffusion is to reveal several tokens in one network call. But **tokens revealed in the same step are drawn
# independently**: each from its own prediction, given what was visible *before* the step. We measure what this costs by the **excess**: how many
# nats less likely samples are, under the true law, than true data, $\;\mathbb E_\text{samples}[-\log p^*(x)]-H$.
#
# > **Predict, then run.** With the *exact* predictor there is nothing left to learn. Does its excess at 1, 2, 4, … steps vanish? And how do the two
# > networks compare with it where steps are few?

# %%
steps, n = (1, 2, 4, 8, 16, 32), ld.course.shrunk(1024, 256)
rows = []
for schedule in ("even", "best"):
    own = ld.evaluation.exact_limit(task, steps, n=4 * n, schedule=schedule)
    rows += [dict(r, system=f"exact predictor, {schedule} steps") for r in own]
own = ld.evaluation.frontier(mdlm, task, steps, n=n, schedule="best")
rows += [dict(r, system="mdlm, best steps") for r in own]
for model in (mdlm, scratch):
    rows += ld.evaluation.frontier(model, task, steps, n=n, progress=True)
print(ld.evaluation.as_text([{k: r[k] for k in ("system", "nfe", "excess", "excess_se")} for r in rows]))

# %% tags=["figure"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", width_ratios=[3, 2])
ld.plots.frontier(rows, ax=left)
bits = best.sample(256, token_steps=1, seed=0).tokens
ld.plots.bits(bits, order=task.find_shift(bits), ax=right, title="exact predictor, 1 step");

# %% [markdown]
# **What to see.** Dashed is the exact predictor, masked diffusion without any error of learning, in two kinds of steps. Even ones: the excess is
# far from zero where calls are few, and each doubling of the steps about halves it. At one step the networks lie on that line; with more steps
# they stay above it; that distance is learning, and longer training shrinks it. On the line itself nothing is left
# to learn. Other steps help: the best ones for this task reveal few bits first and many last, and come out well below from four steps on (why: section 8).
# A trained network gains by them, too. (A lower temperature lowers the excess as well, at the price of diversity: the excess alone does
# not show it.) But with one step there is nothing to place, and with two there is still much to lose.
# On the right, one step: fair coins, with no more of a band than sorting gives to noise.
#
# ## 7. Read it
#
# Nats are hard to feel. Toy newswire is a grammar of short news sentences in which words must agree: a country with its capital and its bank, a river
# with its city. Whether a sentence is **coherent** the grammar decides. The predictor is exact again, so
# mistakes come from drawing words at the same time, and from nothing else. (But for typos: the law itself has 1 in 10,000 words.)
#
# > **Predict, then run.** Sentences have 16 places. From how many steps on will most of them be coherent: 4, 16, 64?

# %%
budgets = (1, 2, 4, 16, 64, 256)
runs = {T: best_news.sample(ld.course.shrunk(256), token_steps=T, seed=0) for T in tqdm(budgets, leave=False)}
coherent = {}
for T, run in runs.items():
    ok = news.coherent(run.tokens)
    coherent[T] = ok.double().mean().item()
    print(f"{T} step{'s' * (T > 1)}: {coherent[T]:.0%} coherent, excess {news.score(run.tokens)['excess']:.1f} nats")
    for i in range(4):
        print("   ", "✓" if ok[i] else "✗", news.decode(run.tokens[i]))

# %% [markdown]
# **What to see.** At one step each word is plausible *at its place*, and no two have heard of each other. With a few steps, fragments agree, but
# whole sentences still mix several stories. At 16 steps, as many as there are places, about half of them still go wrong: an even step
# reveals one word on average, and therefore often two or three. Only with several times as many *such* steps as words are nearly all right.
#
# Steps can be placed better. Fix how many words each reveals, and choose the numbers that lose least: one or two at first, many once the
# story is settled.

# %%
for r in ld.evaluation.exact_limit(news, (2, 4, 8, 16), n=ld.course.shrunk(256), schedule="best"):
    print(f"{r['nfe']} best steps: {r['coherent']:.0%} coherent; visible before each: {r['counts']}")

# %% [markdown]
# With eight steps most sentences are right, with as many as there are words all. With two nothing helps but something that the words share.
#
# Some mistakes are of grammar. Others read well and are false, as in *the Bank of Japan, in Paris*. Ask the task which words of those disagree:

# %%
x = torch.tensor(runs[16].tokens)
why = [text.split(" (nearest")[0] for text in news.explain(x)]
facts = [i for i, text in enumerate(why) if "belongs to" in text and not ("place" in text or " is no " in text)]
for i in facts[:3] or range(3):
    print(news.decode(x[i]))
    print("    " + why[i])

# %% [markdown]
# Now look at one going wrong. The scrubber opens on an incoherent sentence; drag the slider, press Play, or use <kbd>←</kbd> <kbd>→</kbd>.
# Words are coloured by the step that revealed them; point at one to see what else it might have been.
#
# > **Predict, then run.** At which step do two words appear *together* that cannot both be true? Were they sure of themselves?

# %% tags=["figure"]
few = best_news.sample(16, token_steps=16, seed=0)
bad = (~news.coherent(few.tokens)).nonzero().flatten().tolist()
scrubber = ld.widgets.Scrubber(few, names=["exact predictor, 16 steps"])
scrubber.sample = bad[0] if bad else 0
scrubber

# %% [markdown]
# **What to see.** The mistake is made inside *one* step: several words appear in the same colour, each well chosen given the earlier colours,
# none given the others. What is revealed later tries to fit both stories and cannot. A visible token never changes, so nothing is mended.
#
# ## 8. Why exact marginals are not enough
#
# Take the smallest case: two bits that are always equal, $p^*(00)=p^*(11)=\frac12$. All masked, the exact prediction for each bit is ½, ½. This
# is *right*: it is the marginal of each bit. One step draws both from it, and gets 00, 01, 10, 11 with ¼ each. Half of the samples are
# impossible, and yet the marginals are exact. What is lost is only *how the bits go together*; it is measured by the **total correlation**,
#
# $$\mathrm{TC}=\sum_i H(x^i)-H(x)=\log2+\log2-\log2=\log2\ \text{nats}.$$
#
# It is the divergence $\mathrm{KL}(p^*\,\|\,\prod_i p^*(x^i))$ of the truth from what a single step can draw, and zero only for independent tokens.
#
# With two steps, each bit is revealed in the first or in the second, with probability ½ each. If in different steps, the second bit sees the first,
# and the pair is right. If in the same step, it is wrong half of the time. With $T$ even steps two given positions share a step with probability $1/T$:
# **a share $1/(2T)$ of the pairs is wrong.** By hand, then by the enumeration of section 5:

# %% tags=["setup"]
equal = torch.tensor([[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2])  # [G=2 components, L=2, V=2]: "both 0", "both 1"
pair = ld.tasks.MixtureTask(torch.zeros(2), equal.log())

# %%
log2 = coins / task.length
print("  T   P(01 or 10)   by hand   P(first bit = 1)   KL(p*||p_T)   log 2 / T")
for T in (1, 2, 3, 4, 8, 32):
    p = law(pair, [1 - k / T for k in range(T + 1)])  # of 00, 01, 10, 11
    kl = -(0.5 * (2 * p[0]).log() + 0.5 * (2 * p[3]).log())
    wrong, one = p[1] + p[2], p[2] + p[3]
    print(f"{T:3d}   {wrong:11.4f}   {1 / (2 * T):7.4f}   {one:16.4f}   {kl:11.4f}   {log2 / T:9.4f}")
    assert abs(wrong - 1 / (2 * T)) < 1e-12 and abs(one - 0.5) < 1e-12 and kl < log2 / T + 1e-6

# %% [markdown]
# The marginals never tell; the pairs do. The last column is the total correlation that a $T$-step sampler ignores, on average over its
# coins: $\log2$ whenever both bits share a step. It bounds the divergence, with equality at $T=1$: Jensen again, as in section 3.
#
# For longer sequences the same account is kept step by step. A $T$-step sampler's own bound is the sum of its step costs (M4): each step pays at the
# rate of its *beginning*, while infinitely many steps would pay along the curve $\rho(t)$. The **area between the staircase and the curve is the
# total correlation that the steps ignore** (M12).

# %% tags=["figure"]
x0 = task.sample(ld.course.shrunk(8192, 512), seed=1)
parts = [ld.along_path(best, x, points=17, draws=3, seed=k) for k, x in enumerate(tqdm(x0.chunk(4), leave=False))]
curve = [{"t": same[0]["t"], "tokens": sum(r["tokens"] for r in same) / len(same)} for same in zip(*parts)]

fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ld.plots.bound_rates(curve, ax=ax)
t, rho = (torch.tensor([r[k] for r in curve]) for k in ("t", "tokens"))
orange = ld.plots.COLOURS["mdlm"]
for k in range(4):  # the step from t = (k+1)/4 to k/4: points 4k to 4k+4 of the curve
    part, top = slice(4 * k, 4 * k + 5), rho[4 * k + 4].item()
    stair, area = ("4 steps: each pays as at its beginning", "what they lose") if k == 0 else (None, None)
    ax.plot(t[part], [top] * 5, color=orange, lw=2, label=stair)
    ax.fill_between(t[part], rho[part], top, color=orange, alpha=0.3, lw=0, label=area)
ax.set(ylim=(14.5, 24.5))
ax.legend(loc="upper left", ncols=3, frameon=False)
print(f"one step pays rho(1) = {rho[-1]:.2f} = L log 2; it loses Binsaw's total correlation, {coins - entropy:.2f}")
print(f"four steps lose {rho[4::4].mean() - entropy:.2f}")

# %% [markdown]
# **What to see.** (The axis does not begin at 0.) Sampling runs from right to left. At $t=1$ nothing is visible, and telling the tokens costs most; the more is visible, the less
# each further token costs, so the curve falls towards $t=0$. The area under it is $H$. The staircase pays the orange pieces on
# top. Halve the width of the steps, and their area about halves: **what even steps buy is fewer tokens drawn blind of each other, at a rate of $1/T$**. That
# is why the upper dashed line of section 6 falls so slowly. The lower one has its short steps where the curve is steep, near $t=1$, so that the orange
# area is least (exercise 7).

# %%
T = (1, 2, 4, 8, 16, 32)
bound = {k: best.nelbo(held_out, token_steps=k, draws=2).total for k in tqdm(T, leave=False)}
exact_rows = {r["token_steps"]: r for r in rows if r["system"] == "exact predictor, even steps"}
print("  T   bound of T steps - H   excess of samples   excess x T")
for k in T:
    e = exact_rows[k]["excess"]
    print(f"{k:3d}   {bound[k].value - entropy:12.2f} ± {bound[k].stderr:.2f}   {e:17.2f}   {e * k:10.1f}")

# %% [markdown]
# Two rulers, one message. The bound says how many nats too many a $T$-step model needs for *data*; the excess, how improbable its *samples* are. They
# are different quantities, and both fall about like $1/T$. Note what the loss of section 4 says of it: nothing. That is the area under the
# curve, the same for every $T$.
#
# There are three ways out. Place the steps well: that saves much, and does not save the very first ones. Take as many steps as tokens, one token a
# step: nothing is lost, and nothing gained over writing one word after another. Or make the total correlation itself small: **give the tokens something to share**, a latent $z$, given which they are nearly independent. That is
# what the rest of the course is about.
#
# ## Summary
#
# - Forward: mask each position with probability $t$. Reverse: reveal with probability $(t-s)/t$, draw from the prediction.
# - The loss is the price of telling the masked tokens, $\frac1t\sum-\log p$, integrated over $t$. It bounds $-\log p(x)$, and equals it for the
#   exact predictor.
# - All of MDLM is sixty lines; the library computes the same masks, losses and samples.
# - Tokens revealed together are drawn independently. Even the exact predictor loses the total correlation of what a step reveals; even steps bring
#   the loss down like $1/T$, well placed ones faster. The training loss does not show it.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# Each has a cell to fill in and a cell that checks. Run the cells above first (at least those that define `task`, `news`, `law` and `pair`).

# %% [markdown]
# **1. Pencil.** Three bits are copies of one fair coin. In nats: what is the entropy of the data, what is the entropy of the samples of a single step
# with the exact predictor, and what is the total correlation?

# %% tags=["exercise"]
answer = ...  # [entropy of the data, entropy of one-step samples, total correlation]

# %% tags=["solution"]
log2 = torch.tensor(2.0).log().item()
answer = [log2, 3 * log2, 2 * log2]

# %% [markdown] tags=["solution"]
# The data hold one coin: $\log2$. One step draws three independent coins: $3\log2$. The difference is the total correlation: the sum of the marginal
# entropies minus the joint one, $2\log2$. The first bit should decide the other two; a single step draws them afresh.

# %% tags=["check"]
trio = ld.tasks.MixtureTask(torch.zeros(2), torch.tensor([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3]).log())
entropies = [trio.entropy().value, torch.special.entr(law(trio, [1, 0])).sum().item()]
a, b = entropies
ld.selfcheck(
    1, answer, [a, b, b - a], tol=1e-3, unit="nats",
    mistakes={
        "these are bits; a nat is 1/log 2 = 1.44 bits": [v / torch.tensor(2.0).log().item() for v in (a, b, b - a)],
        "in one step the three bits are drawn independently; their samples have more entropy than the data": [a, a, 0.0],
        "the total correlation is what the marginals have *more* than the joint law": [a, b, b],
        "two bits would give this; here are three": [a, 2 * a, a],
        "the first two are right; the total correlation takes the entropies of all three marginals": [a, b, a],
    },
);  # fmt: skip

# %% [markdown]
# **2. Pencil.** Two bits that are always equal, two steps, but *uneven*: from $t=1$ to $t=\frac34$, then to 0. What share of the pairs is wrong?
# Is there a better place than ½ for the time in the middle?

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = ((1 / 4) ** 2 + (3 / 4) ** 2) / 2

# %% [markdown] tags=["solution"]
# A position is revealed in the first step with probability ¼, in the second with ¾. Both share a step with probability $(\frac14)^2+(\frac34)^2$, and are
# then wrong half of the time. A sum of squares with a fixed sum is least when all are equal, so for two bits ½ is best. Section 8's curve says
# when that changes: with many positions the first few tokens tell most, and there steps should be shorter (exercise 7).

# %% tags=["check"]
p = law(pair, [1.0, 0.75, 0.0])
wrong_pairs = (p[1] + p[2]).item()
ld.selfcheck(
    2, answer, wrong_pairs, tol=1e-3,
    mistakes={
        "that is for even steps": 0.25,
        "so often they share a step; but then half of the pairs are right by chance": 2 * wrong_pairs,
        "so often they do not share a step, and are right": 1 - 2 * wrong_pairs,
        "that is the share of right pairs": 1 - wrong_pairs,
        "that is the first step alone; positions can share the second, too": 1 / 32,
    },
);  # fmt: skip

# %% [markdown]
# **3. Code.** A step of (M2) reveals a random *number* of positions. Write the choice for another sampler, which reveals exactly `k` of the masked
# positions of each row, every set of `k` as likely as another. (With `k=1` it never reveals two at once: `order="even"` of `model.sample`.)


# %% tags=["exercise"]
def choose(masked, k, g):
    """Which to reveal: bool [B, L], k in each row, out of the masked ones [B, L] (bool, at least k in each row)."""
    return ...


# %% tags=["solution"]
def choose(masked, k, g):
    lots = torch.rand(masked.shape, generator=g).masked_fill(~masked, 2.0)  # visible ones come last
    rank = lots.argsort(1).argsort(1)  # 0 for the lowest lot of the row, 1 for the next, ...
    return rank < k


# %% tags=["check"]
masked = torch.tensor([[True, False, True, True, False, True]]).expand(20_000, -1)
chosen = choose(masked, 2, torch.Generator().manual_seed(0))
lots = [set(c) for c in itertools.combinations([0, 2, 3, 5], 2)]  # all that may be chosen
shares = [sum(i in c for c in lots) / len(lots) for i in range(6)]
want = masked  # of that shape the answer must be
if isinstance(chosen, torch.Tensor) and chosen.shape == masked.shape:
    want = [2.0, 2.0, *shares, 1 / len(lots)]
    per_row, where = chosen.sum(1).double(), chosen.double().mean(0)
    together = (chosen[:, 0] & chosen[:, 2]).double().mean()
    chosen = torch.stack([per_row.min(), per_row.max(), *where, together])
ld.selfcheck(  # 20,000 rows: a share of 1/2 has a standard error of 0.0035
    3, chosen, want, tol=0.02,
    mistakes={
        "you choose among all positions, also those that are visible": [2.0, 2.0, *[1 / 3] * 6, 1 / 15],
        "this is always the first two masked ones; chance should decide": [2.0, 2.0, 1, 0, 1, 0, 0, 0, 1],
        "all rows get the number right on average only; each must have exactly k": [0.0, 4.0, *shares, 0.25],
    },
);  # fmt: skip

# %% [markdown]
# **4. Code.** Mask with probability $m(t)=t^2$ instead of $t$. Which factor takes the place of $1/t$ in (M3), so that the integral over $t\in(0,1]$
# stays the same? (Redo Ann's account: with which probability does a small step open a masked position?)


# %% tags=["exercise"]
def weight(t):
    """What the sum over masked positions is multiplied with at times t [n], when masks have probability t**2."""
    return ...


# %% tags=["solution"]
def weight(t):
    return 2 / t  # m'(t) / m(t)


# %% [markdown] tags=["solution"]
# A position masked at $t$ is visible at $s=t-dt$ with probability $(m(t)-m(s))/m(t)=\frac{m'(t)}{m(t)}dt$. In the variable $m$ this is $dm/m$: the
# schedule only relabels the time, and the integral does not care. What it changes is the *variance* of its estimate, and where the steps of
# an evenly spaced sampler lie.

# %% tags=["check"]
t = torch.linspace(0.1, 1, 10, dtype=torch.float64, requires_grad=True)
(slope,) = torch.autograd.grad((t**2).log().sum(), t)
t = t.detach()
ld.selfcheck(
    "4a", weight(t), slope, tol=1e-6,
    mistakes={
        "that belongs to m(t) = t": 1 / t,
        "divide by m; and multiply with how fast m grows": 1 / t**2,
        "this is how fast m grows; a masked position opens with that probability divided by m": 2 * t,
    },
)  # fmt: skip
n, g = 8192, torch.Generator().manual_seed(0)
x0, t = task.sample(n, seed=2), 1 - (torch.rand(1, generator=g) + torch.arange(n) / n) % 1
x_t = ld.MaskedChannel(2).corrupt(x0, t**2, g)
sums = ld.MaskedChannel(2).rate(x0, x_t, task.predict(x_t).log(), torch.ones(n))  # without any factor
factor = weight(t)
integral = (factor * sums).mean() if isinstance(factor, torch.Tensor) else factor
ld.selfcheck("4b, the integral with the exact predictor", integral, task.entropy().value, tol=0.03, unit="nats");

# %% [markdown]
# **5. Code.** Section 3 claims that with the exact predictor *every* order of revealing pays exactly $-\log p^*(x)$. Write what Ann pays when
# positions are opened one at a time, in a given order. (`task.predict` takes ids with masks [B, L] and gives probabilities [B, L, V].)


# %% tags=["exercise"]
def nats_one_by_one(x, order):
    """The sum of -log p(x^i | what was opened before) for x [B, L], opened in `order` (L positions): [B]."""
    return ...


# %% tags=["solution"]
def nats_one_by_one(x, order):
    x_t, paid = torch.full_like(x, task.mask_id), 0.0
    for i in order:
        paid = paid - task.predict(x_t)[torch.arange(len(x)), i, x[:, i]].log()
        x_t[:, i] = x[:, i]  # Bob knows it now
    return paid


# %% tags=["check"]
x = task.sample(64, seed=11)
blind = -task.predict(torch.full_like(x, task.mask_id)).gather(-1, x[:, :, None]).log().sum((1, 2))
for order in (torch.arange(32).tolist(), torch.randperm(32, generator=torch.Generator().manual_seed(0)).tolist()):
    ld.selfcheck(
        5, nats_one_by_one(x, order), -task.log_prob(x), tol=1e-6, unit="nats",
        mistakes={"Bob never learns what was opened: each token is predicted from masks alone": blind},
    )  # fmt: skip

# %% [markdown]
# **6. Experiment.** `model.sample(..., order=...)` knows three orders: `"ancestral"` (M2), `"even"` (exercise 3), and `"confidence"`, which reveals
# what the model is surest of. *Predict first:* which is the most coherent on toy newswire at 16 steps, and which has the *lowest* token entropy?
# Then measure `ld.evaluation.unigram_entropy(tokens, news.vocab)` of 256 samples of `best_news` each, seed 0, and compare with that of `news.sample(256)`.

# %% tags=["exercise"]
answer = ...  # [token entropy for "ancestral", for "even", for "confidence"], nats

# %% tags=["solution"]
drawn = {o: best_news.sample(256, token_steps=16, seed=0, order=o).tokens for o in ("ancestral", "even", "confidence")}
answer = [ld.evaluation.unigram_entropy(torch.tensor(x), news.vocab) for x in drawn.values()]
print(f"{'data':<11} token entropy {ld.evaluation.unigram_entropy(news.sample(256), news.vocab):.2f}")
for (order, x), h in zip(drawn.items(), answer):
    score = news.score(x)
    print(
        f"{order:<11} token entropy {h:.2f}   coherent {score['coherent']:.0%}   excess {score['excess']:+.2f}   "
        f"hidden rows {score['mode_tv']:.2f} from the law's (fresh data {score['mode_tv_fresh']:.2f})"
    )

# %% [markdown] tags=["solution"]
# `even` reveals one word a step, and nothing is lost. `ancestral` takes as many calls, but reveals two or three words at once now and then, and that
# spoils half of the sentences. `confidence` is as coherent as `even`, and pays elsewhere: it prefers what is sure, so some
# stories come up too often and others hardly ever. Its token entropy is too low, its hidden rows are too far from the law's. Coherence alone
# does not show that: never look at one without the other.

# %% tags=["check"]
orders = ("ancestral", "even", "confidence")
again = [best_news.sample(256, token_steps=16, seed=0, order=o).tokens for o in orders]
want = [ld.evaluation.unigram_entropy(torch.tensor(x), news.vocab) for x in again]
ld.selfcheck(
    6, answer, want, tol=1e-3, unit="nats",
    mistakes={
        "these are the excesses; the entropy of tokens is wanted": [news.score(x)["excess"] for x in again],
        "these are the shares of coherent sentences": [news.coherent(x).double().mean().item() for x in again],
    },
);  # fmt: skip

# %% [markdown]
# **7. Experiment.** Where should four steps lie? `lost(knots)` below reads from the exact curve $\rho(t)$ of Binsaw how many nats a sampler with these
# knots loses, the orange area of section 8. Find knots `[1, a, b, c, 0]` that lose at least a fifth less than even ones. Explain what you find by the
# shape of the curve.

# %% tags=["exercise"]
answer = ...  # [1, a, b, c, 0], falling

# %% tags=["solution"]
answer = [1, 0.88, 0.68, 0.38, 0]

# %% [markdown] tags=["solution"]
# The curve is steepest near $t=1$: the first few bits tell most about the shift, after which the rest is nearly independent. Where the curve is steep a
# wide step costs most, so steps are shorter at the beginning of sampling.

# %% tags=["check"]
table = ld.along_path(best, task.sample(4096, seed=1), points=33)
at, rho = (torch.tensor([r[k] for r in table], dtype=torch.float64) for k in ("t", "tokens"))


def lost(knots):
    """Nats lost by steps between these times: each pays rho at its beginning, against the area under the curve."""
    begins = torch.tensor([float(k) for k in knots[:-1]], dtype=torch.float64)
    right = torch.searchsorted(at, begins).clamp(1, len(at) - 1)
    share = (begins - at[right - 1]) / (at[right] - at[right - 1])
    paid = rho[right - 1] + share * (rho[right] - rho[right - 1])
    widths = torch.tensor([a - b for a, b in zip(knots, knots[1:])], dtype=torch.float64)
    return float((paid * widths).sum() - torch.trapezoid(rho, at))


even = lost([1, 0.75, 0.5, 0.25, 0])
better, own = answer, ld.course.numbers(answer)
if own is not None:
    own = own.flatten().tolist()
    fit = len(own) == 5 and own[0] == 1 and own[-1] == 0 and all(a > b for a, b in itertools.pairwise(own))
    print(f"even knots lose {even:.2f} nats" + (f", yours {lost(own):.2f}" if fit else ""))
    better = float(lost(own) < 0.8 * even) if fit else -1.0
ld.selfcheck(
    7, better, 1.0,
    mistakes={
        "these lose no fifth less than even ones; try crowding them at one end": 0.0,
        "wanted are five falling times, the first 1 and the last 0": -1.0,
    },
);  # fmt: skip
