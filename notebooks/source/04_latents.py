# %% [markdown]
# # Latents: two ways to fail, and how to make one informative
#
# **After this notebook you can** tell by four numbers whether a latent is informative; make one blow up and make one collapse, on purpose;
# cure each, one fix at a time; choose a noise floor and a codebook size; read a map of latents without being fooled by it; and test a
# trained model by taking its latents away.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebook 00; 02 helps | 30 minutes | about 5 minutes of CPU time on one core | the same: none is used | 1 GB |
#
# Symbols:
#
# | symbol | meaning |
# |---|---|
# | $x_0$, $x_t$ | clean tokens, partly masked tokens; $L$ of them |
# | $z_0=E(x_0)$ | what the encoder $E$ makes of them: $m$ slots of $d$ numbers, or $m$ codes out of $K$ |
# | $z_t=a_tz_0+\sigma_t\varepsilon$ | the noised latent (M5); $a_t^2=\mathrm{sigmoid}(\lambda_t)$, $\sigma_t^2=\mathrm{sigmoid}(-\lambda_t)$ |
# | $\lambda_t$ | log-SNR, falling from $\lambda_{\max}$ at $t=0$ (the *noise floor*) to $\lambda_{\min}$ at $t=1$ |
# | $\hat z$, $\hat\varepsilon$ | the network's guesses of $z_0$ and of the noise $\varepsilon$ |
# | $t_x$, $t_z$ | noise times of tokens and latents; a *lead* $\delta$ says how far the latents are ahead (M10) |
# | $H$ | entropy of the data, nats per sequence |
#
# All losses are in **nats per sequence**. (M1) to (M12) are the equation numbers that the library's docstrings use too.

# %% tags=["setup"]
import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

import lddm_lite as ld
from lddm_lite.diffusion.prediction import Prediction
from lddm_lite.networks.codebook import DiscreteEncoder
from lddm_lite.networks.encoders import ContinuousEncoder
from lddm_lite.plots.latent_map import LatentMap

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]

task = ld.tasks.Binsaw(length=32)  # 32 bits that share one hidden shift; everything about it is known exactly
N = ld.course.shrunk(1024, 256)  # sequences in a measurement

# %% [markdown]
# ## 1. What *informative* means, in four numbers
#
# A latent earns its place when the tokens are nearly independent **given** it: then one token step suffices (M12). Four gauges:
#
# | gauge | healthy | what goes wrong otherwise |
# |---|---|---|
# | $\lVert z_0\rVert$, mean norm of a slot | $\sqrt d$ | growing: *blow-up*; shrinking towards 0: one form of collapse |
# | **spread**: standard deviation of a coordinate of $z_0$ *across inputs* | 1 | 0: *collapse*, all inputs have the same $z_0$ |
# | **z response**: relative rise of the one-step token loss when $z$ is swapped between sequences | near 1 on this task | 0: the tokens ignore $z$ |
# | **excess** of samples drawn in *one* token step | 0 | that of a model without latents |
#
# The two ends of the last gauge are known exactly:

# %%
one_step = ld.LatentDiffusion.exact(task).sample(4 * N, token_steps=1, seed=0)
given_shift = ld.LatentDiffusion.exact(task, "shift").sample(4 * N, token_steps=1, latent_steps=16, seed=0)
print(f"entropy H                                          {task.entropy()} nats")
print(f"excess, one token step, exact, no latent           {task.score(one_step.tokens)['excess']:+.2f}")
print(f"excess, one token step, exact, given the shift     {task.score(given_shift.tokens)['excess']:+.2f}")

# %% [markdown]
# ## 2. A sandbox
#
# Each experiment below trains a model, so we want one that trains in seconds. The library's `LatentDiffusion` takes any encoder and any
# denoiser that answer the same calls; here both are plain MLPs. First the encoder, with a switch for each of two cures:
#
# - `centre`: subtract the batch mean of each coordinate and divide by its batch standard deviation (running values in evaluation);
# - `unit`: put each slot on the sphere of radius $\sqrt d$.


# %% tags=["setup"]
class SmallEncoder(ContinuousEncoder):
    """Bits [B, L] -> z_0 [B, m, d]: the library's encoder with an MLP in place of the transformer, and two switches."""

    def __init__(self, config, centre=True, unit=True):
        super().__init__(config)
        del self.embed, self.queries, self.trunk, self.head  # the transformer
        self.shape, self.unit = (config.slots, config.dim), unit
        self.body = nn.Sequential(nn.Linear(config.length, 64), nn.GELU(), nn.Linear(64, config.slots * config.dim))
        if not centre:
            self.centre = nn.Identity()

    def features(self, x):
        y = self.centre(self.body(2.0 * x - 1)).unflatten(1, self.shape)  # [B, m d] -> [B, m, d]
        return math.sqrt(self.shape[1]) * F.normalize(y, dim=-1) if self.unit else y

    def settle(self, batches):  # when the encoder is frozen: statistics of the final weights
        self.eval() if isinstance(self.centre, nn.Identity) else super().settle(batches)


class SmallCodes(SmallEncoder, DiscreteEncoder):
    """The features of the one, the codebook of the other."""


# %% [markdown]
# Then the denoiser: one MLP for the tokens, one for the latents. Both see $(x_t, z_t, t_z)$.


# %% tags=["setup"]
class SmallDenoiser(nn.Module):
    """p(x_0 | x_t, z_t) and the latent guess, for any pair of noise times; the calls of `lddm_lite.denoiser.Denoiser`."""

    def __init__(self, config, width=128):
        super().__init__()
        self.c, self.continuous = config, config.latent == "continuous"
        per_slot = config.dim if self.continuous else config.codes
        seen = 2 * config.length + config.slots * config.dim + 1  # x_t, z_t, t_z

        def mlp(out):
            last = nn.Linear(width, out)
            nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)  # the loss starts at log V
            return nn.Sequential(nn.Linear(seen, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), last)

        self.tokens, self.latents = mlp(config.length * config.vocab), mlp(config.slots * per_slot)
        self.channel = ld.GaussianChannel(config.log_snr_max, config.log_snr_min)
        self.mask_vector = nn.Parameter(torch.randn(config.dim))  # the mask of discrete latents

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        c, n = self.c, len(z_t)
        x_t = torch.full((n, c.length), c.vocab) if x_t is None else x_t  # None: all masked
        bits = F.one_hot(x_t, c.vocab + 1)[..., : c.vocab].flatten(1)  # a masked position is (0, 0)
        seen = torch.cat([bits, z_t.flatten(1), 4 * t_z.reshape(n, 1) - 2], 1)
        tokens = latents = None
        if where is not None:
            tokens = self.tokens(seen).unflatten(1, (c.length, c.vocab))[where].log_softmax(-1)
        if need_latents:
            latents = self.latents(seen).unflatten(1, (c.slots, -1))
            if self.continuous:  # at unit variance a_t z_t is the best linear guess; the network corrects it
                a, sigma = self.channel.coefficients(t_z.reshape(n, 1, 1))
                latents = a * z_t + sigma * latents
            else:
                latents = latents.log_softmax(-1)
        return Prediction(tokens, latents)


def build(system="co-seq", seed=0, centre=True, unit=True, **changes):
    """A small model of `system` for the task; `changes` are fields of `ld.Config`."""
    config = ld.Config.preset(system, task.length, task.vocab, **{"dim": 8, **changes})
    torch.manual_seed(seed)
    encoder = (SmallCodes if config.latent == "discrete" else SmallEncoder)(config, centre, unit)
    return ld.LatentDiffusion(config, SmallDenoiser(config), encoder, task.labels, task.spec())


# %% [markdown]
# And a training loop with nothing hidden. Tokens are predicted along **random leads** (M10), so that one network serves every path; latents
# are predicted with all tokens masked, as on the sequential path. `latent_loss` chooses how an error $\lVert z_0-\hat z\rVert^2$ is weighed:
#
# - `"bound"`: the true rate (M7), which makes the loss a bound on $-\log p(x)$;
# - `"noise"`: the *simple* loss of most diffusion code, $\frac12\lVert\varepsilon-\hat\varepsilon\rVert^2$ per coordinate. Since
#   $\varepsilon=(z_t-a_tz_0)/\sigma_t$, it equals $\frac12e^{\lambda_t}\lVert z_0-\hat z\rVert^2/(md)$.
#
# With `stage1=0` encoder and denoiser learn together, and **the gradient of the latent loss reaches the encoder**. With `stage1=0.3` the
# first 30 % of the steps train the encoder by the token loss alone, and under latent noise lighter than the path's, $t_z=t_x\cdot U(0,1)$;
# then the encoder is frozen.


# %% tags=["setup"]
def train(model, latent_loss="bound", stage1=0.0, steps=800, seed=0, batch=64, lr=2e-3, clip=1.0, name=""):
    """Train, and return rows {step, tokens, norm, spread, response}."""
    g, known = torch.Generator().manual_seed(seed), task.sample(512, seed=99)
    opt = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))
    tokens, latents, encoder = model.token_channel, model.latent_channel, model.encoder.train()
    steps, rows = ld.course.shrunk(steps), []
    freeze_at = round(stage1 * steps)

    def times(n):  # evenly spread over (0, 1], one random offset
        return 1 - (torch.rand(1, generator=g) + torch.arange(n) / n) % 1

    for step in tqdm(range(steps), desc=name, leave=False):
        if stage1 and step == freeze_at:
            encoder.settle([task.sample(256, g) for _ in range(8)])
        opt.param_groups[0]["lr"] = lr * min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2
        x, t_x = task.sample(batch, g), times(batch)
        z0 = encoder(x) if encoder.training else encoder(x).detach()
        lead = torch.rand(batch, generator=g) / 2
        lead[torch.rand(batch, generator=g) < 0.1] = 0.5  # one in ten is quite sequential: t_z = 0 while tokens move
        t_z = (t_x - lead / (1 - lead)).clamp_min(0)
        if step < freeze_at:
            t_z = t_x * torch.rand(batch, generator=g)
        x_t = tokens.corrupt(x, t_x, g)
        said = model.predict(x_t, latents.corrupt(z0, t_z, g), t_z, x_t == tokens.mask_id, need_latents=False)
        token_loss = loss = tokens.rate(x, x_t, said.tokens, t_x).mean()  # (M3)
        if step >= freeze_at:
            z0, s = z0.repeat(4, 1, 1), times(4 * batch)  # latents alone are cheap: four noise times each
            z_s = latents.corrupt(z0, s, g)
            z_hat = model.predict(None, z_s, s, None).latents
            if latent_loss == "noise":
                rate = latents.log_snr(s).exp() * (z0 - z_hat).pow(2).flatten(1).mean(1) / 2
            elif latent_loss == "bound":
                rate = latents.rate(z0, z_s, z_hat, s)  # (M7)
            else:
                rate = latents.training_loss(z0, z_s, z_hat, s)  # the library's, for a frozen encoder
            loss = loss + rate.mean()
        opt.zero_grad(), loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        opt.step()
        if step % 20 == 0 or step == steps - 1:
            rows.append({"step": step + 1, "tokens": token_loss.item(), **gauges(model, known)})
    model.eval()
    return rows


@torch.no_grad()
def gauges(model, x):
    """Of the sequences x: mean norm of a slot, spread across inputs, and z response (of the first 128)."""
    was = model.encoder.training
    z, response = model.encoder.eval()(x), ld.evaluation.z_response(model, x[:128])
    model.encoder.train(was)
    return {"norm": float(z.norm(dim=-1).mean()), "spread": float(z.std(0).mean()), "response": response}


# %% [markdown]
# The library measures the rest: `ld.evaluation.health` gives the spread, the z response, and the excess of one-step samples given `own`
# latents (which the model drew itself), the `encoder`'s (of fresh data) and latents `zeroed`. One training is an anecdote, so each experiment
# is repeated with a few seeds; we collect one line for all of them, with the standard deviation between seeds.

# %% tags=["setup"]
table = []
SEEDS = range(ld.course.shrunk(3, 2))


def measure(name, *models, quiet=False):
    """A line of the table: the gauges of a model, or the means of several; `se` of the excess that it is shown with."""
    rows = []
    for model in models:
        h = ld.evaluation.health(model, task, n=N)
        row = {"norm": gauges(model, task.sample(512, seed=98))["norm"] if "codes" not in h else math.nan}
        row |= {"spread": h["spread"], "response": h["z_response"], "perplexity": h.get("perplexity", math.nan)}
        row |= {k: h["one_step"][k].value for k in ("own", "encoder", "zeroed")}
        rows.append(row | {"se": h["one_step"]["own"].stderr})
    row = {"fix": name} | {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    if len(rows) > 1:
        row["se"] = float(np.std([r["own"] for r in rows], ddof=1))  # between seeds
    if not quiet:
        table.append(row)
        print(
            f"{name}: norm {row['norm']:.2f}, spread {row['spread']:.3f}, z response {row['response']:.3f}, "
            f"excess {row['own']:+.2f} ± {row['se']:.2f}"
        )
    return row


def one_token_step(model, k):
    """Excess of one token step after k latent steps."""
    return task.score(model.sample(N, token_steps=1, latent_steps=k, seed=0).tokens)["excess"]


def over_seeds(name, latent_loss, stage1=0.0, centre=True, unit=True, **how):
    """(models that differ by their seed alone, their rows): trained, and measured in one line of the table."""
    models = [build(seed=seed, centre=centre, unit=unit) for seed in SEEDS]
    runs = [train(m, latent_loss, stage1, seed=k, name=f"{name}, seed {k}", **how) for k, m in zip(SEEDS, models)]
    measure(name, *models)
    return models, runs


def curves(ax, experiments, key, label, smooth=1):
    """One gauge over the steps, each experiment with its mean over seeds and the range between them."""
    with ld.plots.look():
        for k, (name, runs) in enumerate(experiments.items()):
            each = np.array([[r[key] for r in rows] for rows in runs])  # [seeds, rows]
            each = np.array([[v[max(0, i + 1 - smooth) : i + 1].mean() for i in range(len(v))] for v in each])
            at, colour = [r["step"] for r in runs[0]], ld.plots.GROUPS[k]
            ax.plot(at, each.mean(0), label=name, color=colour, lw=1.8, ls=["-", "--", "-.", ":"][k % 4])
            ax.fill_between(at, each.min(0), each.max(0), color=colour, alpha=0.2, lw=0)
        ax.set_xlabel("step", fontsize=10), ax.set_ylabel(label, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False), ax.tick_params(labelsize=9)
        ax.legend(fontsize=9, frameon=False)


# %% [markdown]
# ## 3. Blow-up
#
# Begin with no cure at all: the encoder may put $z_0$ anywhere, and the `"noise"` loss reaches it. Add two ordinary mistakes, a learning rate
# five times as high and no clipping of gradients.
#
# > **Predict, then run.** Let the encoder double all its outputs. Is the noise $\varepsilon$ in $z_t=a_tz_0+\sigma_t\varepsilon$ then easier or
# > harder to guess? What will $\lVert z_0\rVert$ do, and what will the same network do if each slot is held to norm $\sqrt d$?

# %%
HASTY = {"lr": 1e-2, "clip": math.inf}
blown, grown = over_seeds("no cure, noise loss", "noise", centre=False, unit=False, **HASTY)
held, calm = over_seeds("unit norm, noise loss", "noise", centre=False, **HASTY)
growth = {"no cure": grown, "unit norm": calm}
latent_steps = (2, 4, 8, 16, 64)

few = {name: np.array([[one_token_step(m, k) for k in latent_steps] for m in models])
       for name, models in (("no cure", blown), ("unit norm", held))}  # fmt: skip
for name, excess in few.items():
    print(f"{name:<10}", *[f"{k} latent steps {v:+.2f} ± {e:.2f}" for k, v, e in zip(
        latent_steps, excess.mean(0), excess.std(0, ddof=1))], sep="   ")  # fmt: skip

# %% tags=["figure"]
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
curves(axes[0], growth, "norm", r"mean norm of $z_0$")
axes[0].axhline(math.sqrt(8), color="#444444", lw=1, ls=":")
axes[0].text(10, math.sqrt(8) + 0.2, r"$\sqrt{d}$", fontsize=10, color="#444444")
t = torch.linspace(0, 1, 200)
lam = blown[0].latent_channel.log_snr(t)
for k, (name, r) in enumerate((("norm at the start", grown[0][0]), ("norm at the end", grown[0][-1]))):
    axes[1].plot(t, lam + math.log(r["norm"] ** 2 / 8), color=ld.plots.GROUPS[k], lw=1.8, ls=["--", "-"][k], label=name)
with ld.plots.look():
    axes[1].plot(t, lam, color="#444444", lw=1, ls=":", label=r"as if $\|z_0\|=\sqrt{d}$")
    axes[1].set_xlabel(r"latent noise time $t_z$", fontsize=10)
    axes[1].set_ylabel("log-SNR that the network meets", fontsize=10)
    for k, (name, excess) in enumerate(few.items()):
        how = dict(color=ld.plots.GROUPS[k], fmt=["o-", "s--"][k], capsize=3)
        axes[2].errorbar(latent_steps, excess.mean(0), excess.std(0, ddof=1), label=name, **how)
    bare = task.score(one_step.tokens)["excess"]
    axes[2].axhline(bare, color="#444444", lw=1, ls=":")
    axes[2].text(64, bare - 0.15, "no latent at all", fontsize=9, color="#444444", ha="right", va="top")
    axes[2].set_xscale("log", base=2), axes[2].set_xticks(latent_steps, latent_steps), axes[2].minorticks_off()
    axes[2].set_xlabel("latent steps, then one token step", fontsize=10)
    axes[2].set_ylabel("excess, nats", fontsize=10)
    for ax in axes[1:]:
        ax.spines[["top", "right"]].set_visible(False), ax.tick_params(labelsize=9)
        ax.legend(fontsize=9, frameon=False)

# %% [markdown]
# **What to see.** (Means over seeds; bands and bars: how far they differ.) Left: without a cure the norm keeps growing as long as the learning rate lets it. Scaling $z_0$ by $c$ multiplies the SNR
# by $c^2$ at *every* noise time; latents far apart can be told apart under any noise, and then $\varepsilon$ can be read off as
# $(z_t-a_tz_0)/\sigma_t$. The token loss pulls the same way, since it, too, sees $z$ through noise. Middle: the schedule that we chose
# means less and less. The whole log-SNR axis has been shifted upwards, by the square of the growth; at $t_z=1$ a trace of $z_0$ is left in what
# sampling takes for pure noise, and all that decides about $z$ happens in its first step.
#
# Right: **the price is a disaster where latents were to help, in few steps.** With two latent steps the blown-up models are five nats worse than those of
# unit norm, which is more than half of what a latent can win here. And it hides: who samples with 64 latent steps sees a small difference, and the
# latents are informative by every gauge. (An excess below zero says that samples have less entropy than data; section 6.)
#
# **Cure: unit norm per slot, times $\sqrt d$**, so that each coordinate has unit mean square, which is what the schedule assumes. The mismatch at
# the start of sampling is the prior term (M8), which grows with the square of the norm:

# %%
x = task.sample(N, seed=5)
with torch.no_grad():
    for name, models in (("no cure", blown), ("unit norm", held)):
        print(
            f"{name:<10} KL(q(z_1|x) || N(0,I)) = {models[0].latent_channel.prior_kl(models[0].encode(x)).mean():.3f} nats"
        )

# %% [markdown]
# ## 4. Collapse
#
# The noise loss is not a bound. Should we not rather train the bound itself, encoder included, as a variational autoencoder does?
#
# > **Predict, then run.** By (M11), with perfect predictors the bound is the *same* for every deterministic encoder: what $z$ saves on
# > the tokens it costs on the latents. Our predictors are not perfect, and at the start know nothing. To which $z_0$ does that draw the encoder?

# %%
fall = {
    "no cure": over_seeds("no cure, bound", "bound", centre=False, unit=False)[1],
    "unit norm": over_seeds("unit norm, bound", "bound", centre=False)[1],
}

# %% [markdown]
# Both are dead, with every seed: spread and z response are about zero, and one-step samples are as bad as with no latent at all. A latent that is not yet used
# costs, and saves nothing, so the cheapest $z_0$ is one that needs no information: **the same for all inputs**. Unit norm does not help; the latents
# agree on a direction instead of shrinking to a point. And nothing pulls them back: from differences that are smaller than the noise the tokens
# gain next to nothing, while the latent loss goes on pressing them together.
#
# ### First cure: centre, then normalise
#
# Subtract the batch mean and divide by the batch standard deviation *before* normalising. A constant has no place to hide: whatever is common
# to all inputs is removed, and what differs, however little, is brought to unit scale.

# %%
_, fall["centred, unit norm"] = over_seeds("+ centring, bound", "bound")

# %% [markdown]
# ### Second cure: two stages
#
# The other half of the trouble was that the latent loss reaches the encoder. So let the encoder listen to the tokens alone: **stage 1**
# trains encoder and token loss, with latent noise *lighter* than the path's, so that small differences are seen; then the encoder is frozen, and
# **stage 2** trains both losses. Which weight the latent loss has now concerns the denoiser only, and we take the library's, which does not let
# the finest noise scale drown the rest.

# %%
(both, *_), fall["centred, unit norm, two stages"] = over_seeds("+ centring + two stages", "training", stage1=0.3)
_ = over_seeds("unit norm + two stages, no centring", "training", stage1=0.3, centre=False)

# %% tags=["figure"]
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
curves(axes[0], fall, "spread", "spread across inputs")
axes[0].set_yscale("log")
axes[0].axhline(math.exp(-3), color="#444444", lw=1, ls=":")
axes[0].text(
    ld.course.shrunk(800), math.exp(-3) * 1.12, r"$\sigma_0$, noise floor", fontsize=9, color="#444444", ha="right"
)
axes[0].get_legend().remove()
curves(axes[1], fall, "tokens", "token loss, nats", smooth=5)
axes[1].axhline(task.entropy().value, color="#444444", lw=1, ls=":", label="entropy H")
axes[1].legend(fontsize=9, frameon=False);

# %% [markdown]
# **What to see.** (Means over seeds, and the range between them.) Left (log scale, same lines as right): without centring, the spread falls below the smallest noise that the tokens ever see, $\sigma_0\approx
# e^{-\lambda_{\max}/2}$. With centring it cannot. Right: the token loss of the collapsed models ends at about the entropy or above, because all
# information must come from the tokens; where $z$ is used, part of it comes from $z$, and the loss is lower. (Leads and noise times differ
# between stages, so compare the ends, not the courses.)
#
# ## 5. Are both cures needed?
#
# In the sandbox each cure alone is enough to prevent the collapse: this small MLP hands the bits on from its first step, so its latents differ
# from the start. A **transformer** whose gates begin at zero, as they should for training to be stable, does not: its latents are *exactly* the same for
# all inputs at first. They must come apart by gradients that are as small as their differences still are, seen through noise. Centring
# brings the differences, however small, to unit scale at once.
#
# We train the library's own encoder, with and without its centring, by `ld.fit(stage1=1.0)`: nothing but stage 1, no latent loss is near. Which gauge
# is fair? Not the spread: centring forces it up whatever the encoder has learned. So we watch the z response. (It, too, can mislead: section 11.)
#
# > **Predict, then run.** Without centring, will the tokens ever learn to read $z$?


# %% tags=["setup"]
class Uncentred(ContinuousEncoder):
    """The library's transformer encoder, without its centring."""

    def __init__(self, config):
        super().__init__(config)
        self.centre = nn.Identity()

    def settle(self, batches):  # no statistics
        self.eval()


class Enough(Exception):
    """Raised to end `fit` early."""


class Watched:
    """The task, for `fit`; every 50 batches it looks at the model in training, and ends it after `last`."""

    def __init__(self, model, last):
        self.model, self.last, self.batches, self.rows = model, last, 0, []
        self.known = task.sample(256, seed=5)

    def __getattr__(self, name):  # length, vocab, ...
        return getattr(task, name)

    def sample(self, n, generator):
        if self.batches % 50 == 0:
            now = copy.deepcopy(self.model).eval()
            now.encoder.settle([self.known])  # as if stage 1 ended here; running statistics lag behind the weights
            self.rows.append({"step": self.batches, **gauges(now, self.known)})
        if self.batches == self.last:
            raise Enough
        self.batches += 1
        return task.sample(n, generator)


def transformer(kind, seed=0):
    """The library's `co-seq`, small, with an encoder of this kind."""
    model = ld.LatentDiffusion.preset("co-seq", task, dim=8, width=32, blocks=2, encoder_blocks=1, seed=seed)
    torch.manual_seed(seed)
    model.encoder = kind(model.config)
    return model


def stage_1(kind, seed=0, last=500):
    """The gauges along the first steps of a stage 1 of 1,000: rows {step, norm, spread, response}."""
    watched = Watched(transformer(kind, seed), last)
    try:
        ld.fit(watched.model, watched, steps=ld.course.shrunk(1000), stage1=1.0, few_step1=0.0, seed=seed)
    except Enough:
        pass
    return watched.rows


# %%
arrivals = {"no centring": [], "centred": []}
for seed in range(3):
    for name, kind in zip(arrivals, (Uncentred, ContinuousEncoder)):
        arrivals[name].append(stage_1(kind, seed))
print(f"{'one seed, at step':<24}", *[f"{r['step']:>6}" for r in arrivals["centred"][0]])
for name, (rows, *_) in arrivals.items():
    for gauge in ("spread", "response"):
        print(f"{name}, {gauge:<{22 - len(name)}}", *[f"{r[gauge]:6.3f}" for r in rows])

# %% tags=["figure"]
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for k, (name, runs) in enumerate(arrivals.items()):
    at, line = [r["step"] for r in runs[0]], dict(color=ld.plots.GROUPS[k], ls=["--", "-"][k])
    each = np.array([[r["response"] for r in rows] for rows in runs])  # [seeds, rows]
    ax.plot(at, each.T, lw=0.8, alpha=0.6, **line)
    ax.plot(at, each.mean(0), lw=2.2, label=name, **line)
ax.axhline(0.01, color="#444444", lw=1, ls=":")
ax.text(at[-1], 0.011, "what fit asks for", fontsize=9, color="#444444", ha="right")
ax.set_yscale("symlog", linthresh=0.01), ax.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
ax.set_ylim(-0.002, 1.3)
ax.set_xlabel("step of stage 1", fontsize=10), ax.set_ylabel("z response", fontsize=10)
ax.spines[["top", "right"]].set_visible(False), ax.tick_params(labelsize=9)
ax.legend(fontsize=9, frameon=False);

# %% [markdown]
# **What to see.** (Linear up to 0.01, then logarithmic; thick: the mean; thin: each seed.) Centred, the tokens begin to read $z$ around step 100. Without centring nothing at all happens for
# another hundred steps or more, while the differences grow out of the noise, and then they read it too: **late, and less**, for by then the bits have
# learned to tell each other some of what $z$ would have told them. (Of seeds 0 to 4 two do not read it at step 300, and none by half as much at step 500 as with centring;
# the course's slow tests hold this.) Where the response goes once it has begun differs from seed to seed, with centring and without.
#
# Why does late matter? Stage 1 ends, after 30 % of the steps, and an encoder that is frozen before it is read stays as it is. (`fit` asks the tokens
# before it freezes, and waits, up to 60 % of the steps.) And the spread would have misled: centred, it is near 1 at step 50, where the tokens read nothing
# yet. That is why the library always centres, **and** trains in two stages, **and** looks at the z response.
#
# ## 6. One fix at a time: the table


# %%
def show(rows):
    """The lines that `measure` collected."""
    print(f"{'fix':<38}{'norm':>7}{'spread':>9}{'z response':>12}{'excess, 1 token step':>23}")
    for r in rows:
        print(
            f"{r['fix']:<38}{r['norm']:>7.2f}{r['spread']:>9.3f}{r['response']:>12.3f}{r['own']:>16.2f} ± {r['se']:.2f}"
        )


show(table)
print(f"{'no latent, exact':<38}{'':>7}{'':>9}{'':>12}{task.score(one_step.tokens)['excess']:>16.2f}")

# %% [markdown]
# **What to see.** (Means over seeds; ±: the standard deviation between them.) Collapsed models are no better than the last line, the exact predictor's single step without a latent. Centring brings the excess down; two
# stages raise the z response further. An excess a little below zero says that samples have less entropy than data, by more than their
# divergence (notebook 03, section 9): the tiny token network is too sure of itself when $z$ is clean.
#
# ## 7. The noise floor
#
# The model's latent variable is not $z_0$ but $z$ at $t_z=0$, whose log-SNR is $\lambda_{\max}$. A continuous, noiseless $z_0$ could hold the whole
# sequence in its digits; the floor decides how finely the shift can be written down. How low may it be? With the exact
# predictors of Binsaw no training blurs the answer.
#
# > **Predict, then run.** The shift on a circle of radius $\sqrt2$, noise $\sigma_0\approx e^{-\lambda_{\max}/2}$. At which $\lambda_{\max}$ would
# > you stop?

# %%
floors = (-2.0, 0.0, 2.0, 4.0, 6.0, 9.0, 12.0)
exact_floor = []
for top in tqdm(floors, desc="exact, by noise floor", leave=False):
    model = ld.LatentDiffusion.exact(task, "shift")
    model.latent_channel = model.denoiser.channel = ld.GaussianChannel(top, -6.0)
    bits = model.sample(2 * N, token_steps=1, latent_steps=16, seed=0).tokens
    exact_floor.append(task.score(bits)["excess"])

trained_floor = (0.0, 3.0, 6.0, 10.0)
learned = []
for top in trained_floor:
    model = build(log_snr_max=top)
    train(model, "training", stage1=0.3, name=f"noise floor {top:g}")
    bound = model.nelbo(task.sample(2 * N, seed=6))
    learned.append((measure("", model, quiet=True)["own"], bound))
    print(f"log_snr_max {top:>4g}: excess {learned[-1][0]:+.2f}, bound {bound.total}, of it latents {bound.latents}")

# %% tags=["figure"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
axes[0].plot(floors, exact_floor, "s-", color=ld.plots.COLOURS["exact"], label="exact, latent = shift")
axes[0].plot(trained_floor, [v for v, _ in learned], "o--", color=ld.plots.COLOURS["co-seq"], label="sandbox, trained")
axes[0].axhline(0, color="#444444", lw=1, ls=":")
axes[0].set_ylabel("excess, 1 token step, nats", fontsize=10)
axes[1].plot(
    trained_floor, [b.total.value for _, b in learned], "o--", color=ld.plots.COLOURS["co-seq"], label="sandbox"
)
axes[1].axhline(task.entropy().value, color="#444444", lw=1, ls=":", label="entropy H")
axes[1].set_ylabel("bound on $-\\log p(x)$, nats", fontsize=10)
for ax in axes:
    ax.set_xlabel(r"noise floor $\lambda_{\max}$", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False), ax.tick_params(labelsize=9), ax.legend(fontsize=9, frameon=False)

# %% [markdown]
# **What to see.** Left: a floor near 0 blurs the shift, and no predictor can repair that; from about 4 on nothing more is to be had, since the data
# themselves do not determine the shift more finely. Right: a *higher* floor costs the trained model. Its latents carry ever finer digits,
# which the tokens do not need, which the latent network must nevertheless predict, and which (M7) weighs by $e^\lambda$. Note that the bound is the
# *tightest* where the latent is the least useful: **a good bound does not show an informative latent**. The library's default of 6 lies between.
#
# ## 8. Discrete latents
#
# Take the same features, on the same sphere, and replace each by the nearest of $K$ *codes*: **vector quantisation**. The latent channel is then
# a masked one, like the tokens'. `nearest` below is all of the encoder that is new; in training the gradient is passed straight through
# (`y + (q - y).detach()`), a commitment loss keeps features near their codes, and each code follows the mean of the features
# that chose it.


# %%
def nearest(features, codebook):
    """Codes [B, m] of features [B, m, d]: the smallest distance to a row of the codebook [K, d]."""
    return torch.cdist(features, codebook.expand(len(features), -1, -1)).argmin(-1)


probe = build("di-seq", codes=16).eval()
with torch.no_grad():
    assert torch.equal(nearest(probe.encoder.features(x), probe.encoder.codebook), probe.encode(x))
print("on a sphere, the nearest code is the one at the smallest angle: the library agrees")

# %% [markdown]
# **Perplexity** is the gauge of a codebook: $\exp$ of the entropy of code use, the number of codes *effectively* in use. A code that no feature
# chooses gets no update, so it is never chosen: it is **dead**. The library re-seeds codes that are used for less than a tenth of their
# share, from the features at hand. We switch that off, to see.
#
# > **Predict, then run.** 64 random codes on a sphere in 8 dimensions; the features lie near a closed curve on it. How many codes will stay in use?


# %% tags=["setup"]
def fit_codes(codes, seed=0, late=False, reseed=True):
    """A small di-seq model, trained by the library's own `fit`."""
    model = build("di-seq", codes=codes, seed=seed)
    if not reseed:
        model.encoder.dead_share = 0.0
    ld.fit(model, task, steps=ld.course.shrunk(800), late_codes=late, few_step1=0.0, seed=seed)
    return model.eval()


# %%
vq = {"no re-seeding": fit_codes(64, reseed=False), "re-seeding": fit_codes(64), "late codes": fit_codes(64, late=True)}
vq_rows = {name: measure(f"64 codes, {name}", model, quiet=True) for name, model in vq.items()}
for name, r in vq_rows.items():
    print(
        f"{name:<15} perplexity {r['perplexity']:5.1f} of 64   z response {r['response']:.3f}   excess {r['own']:+.2f} ± {r['se']:.2f}"
    )

# %% tags=["figure"]
many, tops = task.sample(4 * N, seed=8), []
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (name, model) in zip(axes, vq.items()):
    with torch.no_grad():
        ld.plots.codebook_use(model.encode(many), 64, ax=ax)
    ax.set_title(f"{name}: {ax.get_title().split(' (')[0]}", fontsize=10)
    ax.set_xlabel("codes, most used first")
    tops.append(ax.get_ylim()[1])
for ax in axes:
    ax.set_ylim(0, max(tops))
for ax in axes[1:]:
    ax.set_ylabel("")

# %% [markdown]
# **What to see.** Without re-seeding most of the codebook is dead. Re-seeding brings it to life. **Late codes** (`late_codes=True`) avoid the problem
# altogether: stage 1 trains *continuous* features, unhindered by quantisation, and the codebook is made once, when the encoder is frozen, by
# $k$-means of the finished features. The excess hardly tells the three apart here, for one hidden number needs few codes. How few?
#
# Again the task knows: cut the period of the shift into $K$ equal parts, let the code be the part, and use the exact predictors.

# %%
sizes, exact_sizes = (1, 2, 4, 8, 16, 32, 64), []
for codes in tqdm(sizes, desc="exact, by codebook size", leave=False):
    part = (task.shift / task.period * codes).long().clamp_max(codes - 1)  # [G], the code of each shift
    channel = ld.MaskedChannel(codes)
    config = ld.Config(task.length, task.vocab, system="exact", latent="discrete", codes=max(2, codes))
    model = ld.LatentDiffusion(config, ld.ExactDenoiser(task, part.unsqueeze(1), channel), None, task.labels)
    model.latent_channel = channel
    exact_sizes.append(task.score(model.sample(2 * N, token_steps=1, latent_steps=1, seed=0).tokens)["excess"])

by_size = [{"codes": k, **measure("", fit_codes(k, late=True), quiet=True)} for k in (2, 4, 16)]
by_size.append({"codes": 64, **vq_rows["late codes"]})

# %% tags=["figure"]
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.plot(sizes, exact_sizes, "s-", color=ld.plots.COLOURS["exact"], label="exact, shift in K equal parts")
ax.errorbar(
    [r["codes"] for r in by_size], [r["own"] for r in by_size], yerr=[2 * r["se"] for r in by_size],
    fmt="^--", capsize=3, color=ld.plots.COLOURS["di-seq"], label="trained, late codes (± 2 s.e.)",
)  # fmt: skip
for r in by_size:
    ax.annotate(f"{r['perplexity']:.1f}", (r["codes"], r["own"]), (5, 8), textcoords="offset points", fontsize=9)
ax.set_xscale("log", base=2), ax.set_xticks(sizes, sizes)
ax.axhline(0, color="#444444", lw=1, ls=":")
ax.set_xlabel("codebook size K (numbers at the points: perplexity)", fontsize=10)
ax.set_ylabel("excess, 1 + 1 network calls, nats", fontsize=10)
ax.spines[["top", "right"]].set_visible(False), ax.legend(fontsize=9, frameon=False);
# %% [markdown]
# **What to see.** A code of $K$ values can carry at most $\log K$ nats, and each doubling of $K$ removes about half of what is left, or
# more, until the code is finer than the data determine the shift. After that, more codes buy nothing. What counts is the *perplexity*, not $K$: dead codes are a
# smaller codebook. Two network calls in all, one for the code and one for all the bits.
#
# ## 9. Maps of latents, and how far to trust them
#
# Eight coordinates must be flattened to be seen. **PCA** shows the two directions of largest variance, faithfully but no others. **UMAP** lays the
# points out so that *neighbours stay neighbours*, and promises little else. (UMAP compiles itself on first use: half a minute.)

# %%
points = task.sample(800, seed=9)
shift = task.find_shift(points) / task.period  # in [0, 1), a circle
with torch.no_grad():
    z = both.encode(points)
maps = {"PCA": LatentMap.fit(z, method="pca"), "UMAP": LatentMap.fit(z, progress=True)}  # PCA, too, without umap-learn
print(maps["UMAP"])

# %% tags=["figure"]
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
cyclic = plt.matplotlib.colors.LinearSegmentedColormap.from_list("cycle", [*ld.plots.CYCLE, ld.plots.CYCLE[0]])
for ax, (name, m) in zip(axes, maps.items()):
    dots = ax.scatter(*m.coords.T, c=shift, cmap=cyclic, vmin=0, vmax=1, s=9, lw=0)
    ax.set_title(f"{name} of z, 8 numbers", fontsize=11)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.set_xlabel(f"{name} axis 1", fontsize=10), ax.set_ylabel(f"{name} axis 2", fontsize=10)
fig.colorbar(dots, ax=axes, label="hidden shift, in periods (a circle)");

# %% [markdown]
# **What to see.** Nobody told the encoder about the shift, yet the colours run around once, on both maps: the latent *is* the shift, plus some noise of
# its own. Now ask what each map kept. Take the ten nearest neighbours of each point before and after, and the rank correlation of all
# distances:


# %% tags=["setup"]
def kept(z, coords, k=10):
    """(share of the k nearest neighbours that are still among the k nearest on the map, rank correlation of distances)."""
    a, b = (torch.cdist(v, v) for v in (z.flatten(1).double(), torch.as_tensor(coords).double()))
    near_a, near_b = (d.fill_diagonal_(torch.inf).topk(k, largest=False).indices for d in (a.clone(), b.clone()))
    shared = (near_a.unsqueeze(2) == near_b.unsqueeze(1)).any(2).double().mean()
    i, j = torch.triu_indices(len(a), len(a), 1)
    ranks = [d[i, j].argsort().argsort().double() for d in (a, b)]
    return float(shared), float(torch.corrcoef(torch.stack(ranks))[0, 1])


# %%
for name, m in maps.items():
    print(
        f"{name:<5} neighbours kept {kept(z, m.coords)[0]:.0%}   rank correlation of distances {kept(z, m.coords)[1]:.2f}"
    )

# %% [markdown]
# **What to see.** UMAP keeps more neighbours, PCA keeps the distances better. So on a UMAP map: *who is next to whom* is evidence. Sizes of clusters,
# gaps between them, and the shape of the whole are not; they change with the seed and with `n_neighbors`.
#
# The latent of `newswire-di-seq`, a model that ships, is one of 512 codes. Below, each dot is a sentence, coloured by its hidden topic, which
# the model was never told. **Hover** to read, **click two** dots to walk from one to the other: each stop is decoded in a single token step.

# %% tags=["setup"]
news = ld.tasks.ToyNewswire()
writer = ld.load("newswire-di-seq")


def topics(x):
    """The most probable hidden topic of each sentence, by name."""
    return [news.topics[k] for k in news.topic_of[news.posterior(x).argmax(1)].tolist()]


# %%
sentences = news.sample(600, seed=10)
with torch.no_grad():
    codes = writer.encode(sentences)
news_map = LatentMap.fit(codes, codebook=writer.encoder.codebook, progress=True)
print(f"codebook perplexity {writer.encoder.perplexity(news.sample(8 * N, seed=11)):.0f} of {writer.config.codes}")
ld.widgets.LatentExplorer(writer, sentences, hue=topics(sentences), map=news_map)

# %% [markdown]
# **What to see.** Sentences of a topic lie together. A walk passes through *sentences*, not through mixtures of words: between two codes there is
# no half-way code, only other codes.
#
# ## 10. Take the latent away
#
# Training is over; is $z$ used? The decisive test is to replace it. **Zeroed**: all coordinates 0, or all codes masked. **Shuffled**: that of another
# sequence. Draw all tokens in one step and look.
#
# > **Predict, then run.** For fresh samples from nothing, will *shuffled* latents be worse than the encoder's own? And when half
# > of the tokens are given?


# %% tags=["setup"]
@torch.no_grad()
def write(model, z, x_t, seed=0):
    """All masked tokens of x_t [n, L] in one step, given finished latents z."""
    g, where = torch.Generator().manual_seed(seed), x_t == model.token_channel.mask_id
    said = model.predict(x_t, z, torch.zeros(len(x_t)), where, need_latents=False)
    return model.token_channel.reverse_step(x_t, said.tokens, where, g)


@torch.no_grad()
def replaced(model, data, n, seed=0):
    """{name: one-step samples [n, L]} with latents of fresh data, shuffled, zeroed; from nothing and from half the tokens."""
    x0 = data.sample(n, seed=seed)
    z = model.encode(x0)
    if z.is_floating_point():
        z = model.latent_channel.corrupt(z, torch.zeros(n), torch.Generator().manual_seed(seed))
        zero = torch.zeros_like(z)
    else:
        zero = torch.full_like(z, model.latent_channel.mask_id)
    g = torch.Generator().manual_seed(seed + 1)
    blank, half = (model.token_channel.corrupt(x0, torch.full((n,), t), g) for t in (1.0, 0.5))
    latents = {"encoder's": z, "shuffled": z.roll(1, 0), "zeroed": zero}
    out = {"data": x0}
    out |= {f"from nothing, z {k}": write(model, v, blank) for k, v in latents.items()}
    return out | {f"half given, z {k}": write(model, v, half) for k, v in latents.items()}


big, bits_model = ld.tasks.Binsaw(), ld.load("binsaw-co-seq")

# %%
runs = {"binsaw-co-seq": (big, replaced(bits_model, big, N)), "newswire-di-seq": (news, replaced(writer, news, N))}
for name, (data, drawn) in runs.items():
    print(f"{name:<30}{'excess, nats':>16}{'mode_tv':>10}{'coherent':>11}")
    for what, tokens in drawn.items():
        s = data.score(tokens)
        print(f"  {what:<28}{s['excess']:>9.2f} ± {s['excess_se']:.2f}{s['mode_tv']:>10.3f}{s['coherent']:>11.1%}")

# %% tags=["figure"]
fig, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
kinds = ("from nothing, z encoder's", "from nothing, z zeroed", "half given, z encoder's", "half given, z shuffled")
for ax, kind in zip(axes, kinds):
    bits = runs["binsaw-co-seq"][1][kind][:256]
    ld.plots.bits(bits, order=big.find_shift(bits), ax=ax, title=kind.replace(", ", ",\n"))
for ax in axes[1:]:
    ax.set_ylabel("")

# %% [markdown]
# **What to see.** From nothing, *shuffled is as good as own*: a latent of another sequence is a fresh draw of the latent, and the samples are simply those
# of the other sequences. **So do not take good samples under shuffling for an ignored $z$**, nor test it that way. Zeroed, the excess is
# that of independent bits: the model has nothing else to agree by. With half of the tokens given, a shuffled $z$ contradicts them, and
# the model believes $z$: that is what an informative latent looks like. Even *zeroed* beside half of the tokens is bad, though these tokens tell the
# story well enough: with the latents said to be clean, $t_z=0$, the model has learned to ask $z$ and not the tokens. `mode_tv` alone would not have told: it is far from 1 for zeroed
# samples, too, which lie between all modes and favour none. Look at both columns.
#
# And in words. The given half is the same in each group:

# %%
drawn = runs["newswire-di-seq"][1]
for row in (0, 1):
    print("data:  ", news.decode(drawn["data"][row]))
    for what in list(drawn)[1:]:
        print(f"   {what:<27}", news.decode(drawn[what][row]))
    print()

# %% [markdown]
# **What to see.** With its own code the sentence keeps its topic, place and people, and only what is free (a day, a number) changes. Zeroed, words are
# drawn each on its own. Shuffled beside given words, two stories run into each other.
#
# The same as numbers, the cost of *real* sentences (M4) in one and in four token steps:

# %%
health = ld.evaluation.latent_health(writer, news, token_steps=(1, 4), n=256, progress=False)
for steps, found in health["token_steps"].items():
    costs = ", ".join(f"{k} {v}" for k, v in found["nll"].items())
    print(f"{steps} token step{'s' * (steps > 1)}, nats per token: {costs}")

# %% [markdown]
# **What to see.** Given its own code, a real sentence costs little. Without one it costs far more, and with a wrong one most of all: it is trusted, also when
# it misleads. In proportion, more token steps help most where $z$ says nothing: the tokens can then agree with the words already there.
#
# ## 11. A response is not enough
#
# Tokens that respond to $z$ need not have learned from it what they **share**. In *parity blocks* every block of four bits has an even number of ones (here each bit is
# then flipped with probability 0.02). Any three bits of a block are independent: what the four share is in no pair and no triple. Let a code simply **copy**
# the first $k$ bits of each block, and give the tokens an exact denoiser.
#
# > **Predict, then run.** For which $k$ do the tokens respond to $z$? For which is one token step enough?


# %% tags=["setup"]
parity = ld.tasks.ParityBlocks(blocks=2, size=4, noise=0.02)


class Copies(nn.Module):
    """A code for the first `count` bits of each block."""

    def __init__(self, count):
        super().__init__()
        self.count, self.config = count, ld.Config.preset("di-seq", parity.length, parity.vocab, codes=4**count)

    def forward(self, x):
        kept = x.unflatten(-1, (parity.blocks, parity.size))[..., : self.count].flatten(1)
        return (kept @ 2 ** torch.arange(kept.shape[1])).unsqueeze(1)


# %%
copied = {k: ld.evaluation.diagnose(ld.LatentDiffusion.exact(parity, Copies(k)), parity, n=N) for k in (1, 2, 3)}
print(f"the tokens share {copied[1].shared:.2f} nats; without z one step has excess {copied[1].excess[1.0]['none']}")
for k, d in copied.items():
    excess = d.excess[1.0]["true"]
    print(f"{k} bits copied: tells {d.told}, z response {d.z_response:5.0f}, left {d.left}, excess {excess}")

# %% [markdown]
# **What to see.** All three codes pass the z response by far: a swapped code makes copied bits certain and wrong. But one or two copied bits leave *all* that the tokens
# share, and one step is as bad as with no $z$; with three of four it is all but perfect. The gauge that tells is the **total correlation left given $z$**: the cost of all
# tokens at once, less their cost one at a time. It is what a single step loses (exercise 8). `ld.evaluation.diagnose` measures it for any model. It is what the *network
# knows* to be left: one that has not learned parity finds next to nothing, whatever $z$. So look at the excess, too.
#
# ## Summary
#
# - *Blow-up*: a latent loss that rewards a large SNR makes the encoder grow. Cure: unit norm per slot, times $\sqrt d$.
# - *Collapse*: as long as $z$ is not read it only costs, so the encoder makes it constant, in place or in direction. Cures: centre by batch
#   statistics before normalising; let the tokens alone train the encoder, under light noise, and freeze it
#   once they respond to $z$. The spread does not show that they do.
# - The noise floor bounds what $z$ can say: too low blurs it, too high makes the latent channel pay for digits that nobody reads.
# - Discrete latents: perplexity counts, not $K$; re-seed dead codes, or make the codes late.
# - A z response shows that $z$ is read, not that it tells what tokens share. The total correlation left given $z$ does.
# - Maps: UMAP for neighbours, never for distances. The test of a latent is to replace it, with something given that it could contradict.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1 (pencil).** *Why $\sqrt d$?* Someone forgets it and puts each slot of $d=8$ coordinates on the sphere of radius 1. The channel still adds
# noise of the same variance to each coordinate. The schedule says that the log-SNR, per coordinate and for unit mean square, is $\lambda_{\max}=6$
# at $t_z=0$. Which log-SNR do these latents really have there?

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = 6 + math.log(1 / 8)  # the mean square of a coordinate is 1/d, and the SNR is proportional to it

# %% [markdown] tags=["solution"]
# The whole axis is shifted down by $\log d$: the floor is 3.92 instead of 6, and the middle of the schedule, where signal and noise are equal, is at another
# time for each $d$. With $\sqrt d$ one schedule fits all $d$, and the network's input and $\hat z=a_tz_t+\sigma_tF$ have unit scale.

# %% tags=["check"]
power = F.normalize(torch.randn(4, 1, 8, generator=torch.Generator().manual_seed(0)), dim=-1).pow(2).mean()
ld.selfcheck(
    1,
    answer,
    float(ld.GaussianChannel().log_snr(torch.tensor(0.0)) + power.log()),
    tol=1e-3,
    mistakes={
        "the SNR goes with the square of the scale": 6 - math.log(8) / 2,
        "the latents have become smaller, so the SNR falls": 6 + math.log(8),
        "log-SNR is a natural logarithm: take the logarithm of the factor": 6 / 8,
    },
);

# %% [markdown]
# **2 (pencil).** *What a code can carry.* A codebook of 64 entries is used like this: one entry by half of the inputs, 32 others by the rest,
# evenly; 31 are dead. What is its perplexity?

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = math.exp(0.5 * math.log(2) + 0.5 * math.log(64))  # the square root of 2 * 64

# %% tags=["check"]
shares = torch.tensor([0.5] + [0.5 / 32] * 32 + [0.0] * 31).double()
surprise = torch.distributions.Categorical(probs=shares).entropy()
ld.selfcheck(
    2,
    answer,
    surprise.exp(),
    tol=1e-3,
    mistakes={
        "that is the entropy in nats; perplexity is its exponential": surprise,
        "that is the entropy in bits": surprise / math.log(2),
        "that counts the codes in use; perplexity weighs them": 33.0,
        "in nats the exponential is e to the entropy, not 2 to it": 2**surprise,
    },
);


# %% [markdown]
# **3 (code).** *Centre, then normalise.* Write the cure for features $y$ of shape $[B, m, d]$ in training: each of the $md$ coordinates minus its batch
# mean, over its batch standard deviation (the biased one), then each slot to norm $\sqrt d$.


# %% tags=["exercise"]
def cure(y):
    return ...


# %% tags=["solution"]
def cure(y):
    y = (y - y.mean(0)) / y.std(0, unbiased=False)
    return math.sqrt(y.shape[-1]) * F.normalize(y, dim=-1)


# %% tags=["check"]
reference = SmallEncoder(ld.Config.preset("co-seq", length=6, vocab=2, slots=2, dim=3)).train()
reference.body = nn.Identity()
g = torch.Generator().manual_seed(0)
y = torch.randn(64, 2, 3, generator=g) * torch.tensor([2.0, 1.0, 0.5]) + 5
want = reference(((y + 1) / 2).flatten(1))
got = cure(y.clone())
on_sphere = y / y.norm(dim=-1, keepdim=True)
ld.selfcheck(
    3,
    got,
    want,
    tol=1e-2,
    mistakes={
        "the slots have norm 1; the square root of d is missing": want / math.sqrt(3),
        "this normalises only; the common part is still there": math.sqrt(3) * on_sphere,
        "first centre, then normalise; the other order leaves the sphere": nn.BatchNorm1d(6, affine=False)(
            on_sphere.flatten(1)
        ).unflatten(1, (2, 3)),
        "coordinates are centred, not yet scaled by their standard deviation": math.sqrt(3)
        * F.normalize(y - y.mean(0, keepdim=True), dim=2),
    },
);


# %% [markdown]
# **4 (code).** *Codebook perplexity.* Write it for codes of shape $[N, m]$ out of $K$: for each slot the exponential of the entropy of its use, then
# the mean over slots. Mind $0\log0$.


# %% tags=["exercise"]
def perplexity(codes, size):
    return ...


# %% tags=["solution"]
def perplexity(codes, size):
    share = torch.stack([torch.bincount(slot, minlength=size) for slot in codes.T]) / len(codes)  # [m, K]
    return torch.special.entr(share.double()).sum(1).exp().mean()


# %% tags=["check"]
held_out = news.sample(2000, seed=12)
with torch.no_grad():
    own_codes = writer.encode(held_out)
right = writer.encoder.perplexity(held_out)
first = perplexity(own_codes, writer.config.codes)
ld.selfcheck(
    4,
    first,
    right,
    tol=1e-3,
    mistakes={
        "that is the entropy, in nats": math.log(right),
        "that is the number of codes that occur": float(len(own_codes.unique())),
        "the sign: entropy is minus the sum of p log p": 1 / right,
    },
)
if first is not ...:  # two slots: one uses two codes evenly, the other one code only
    two = torch.tensor([[0, 3], [1, 3]])
    ld.selfcheck("4, two slots", perplexity(two, 4), 1.5, mistakes={"each slot has a perplexity of its own": 2.83})


# %% [markdown]
# **5 (code).** *The z response.* Write it for a model with continuous latents and bits $x_0$: the one-step token loss
# $\sum_i-\log p(x_0^i\mid z)$ with all tokens masked, $z$ at the noise floor; then the same with $z$ rolled by one sequence; return the relative
# rise of the mean. `model.encode`, `model.latent_channel.corrupt`, `model.predict` and `model.token_channel.rate` are all you need; see `write` above.


# %% tags=["exercise"]
def response(model, x0):
    return ...


# %% tags=["solution"]
@torch.no_grad()
def response(model, x0):
    n = len(x0)
    masked, now = torch.full_like(x0, model.token_channel.mask_id), torch.zeros(n)
    z = model.latent_channel.corrupt(model.encode(x0), now, torch.Generator().manual_seed(0))
    loss = []
    for latent in (z, z.roll(1, 0)):
        log_probs = model.predict(masked, latent, now, masked == model.token_channel.mask_id, need_latents=False).tokens
        loss.append(model.token_channel.rate(x0, masked, log_probs, torch.ones(n)).mean())
    return (loss[1] - loss[0]) / loss[0]


# %% tags=["check"]
trial = big.sample(256, seed=13)
r = ld.evaluation.z_response(bits_model, trial)
ld.selfcheck(
    5,
    response(bits_model, trial),
    r,
    tol=0.03,  # the noise at the floor is another draw
    mistakes={
        "relative to the loss with its own z, not with the other's": r / (1 + r),
        "that is the ratio of the losses; the rise is one less": 1 + r,
        "nothing changes when z is rolled: is it rolled along the sequences (dimension 0)?": 0.0,
    },
);

# %% [markdown]
# **6 (experiment).** *No stage 1.* Train `build(seed=0)` by `ld.fit(model, task, steps=ld.course.shrunk(800), stage1=0.0)`. Answer with the trained model.
# How much has any weight in `model.encoder.body` changed? Look at the spread and the z response (`measure`), and explain.

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = model = build(seed=0)
ld.fit(model, task, steps=ld.course.shrunk(800), stage1=0.0)
unlearned = measure("stage1=0", model, quiet=True)
print(f"spread {unlearned['spread']:.3f}, z response {unlearned['response']:.3f}, excess {unlearned['own']:+.2f}")

# %% [markdown] tags=["solution"]
# In stage 2 no gradient reaches the encoder, so with `stage1=0` it never learns: it stays the random projection that it was. Such a projection is not
# collapsed (random features differ between inputs), and the tokens read something from it, but it was not chosen to carry what the tokens
# share. **Neither a healthy spread nor a z response makes a latent good**: the excess tells. That is why the table has more than one column.

# %% tags=["check"]
changes = answer
if isinstance(answer, ld.LatentDiffusion):
    begun = build(seed=0)
    halves = ((answer.encoder.body, begun.encoder.body), (answer.denoiser, begun.denoiser))
    largest = [max(float((p - q).abs().max()) for p, q in zip(a.parameters(), b.parameters())) for a, b in halves]
    print(f"largest change of a weight: encoder {largest[0]:.3f}, denoiser {largest[1]:.3f}")
    changes = [float(v > 0) for v in largest]
ld.selfcheck(
    6, changes, [0.0, 1.0],
    mistakes={
        "this model has not been trained": [0.0, 0.0],
        "its encoder has learned, in a stage 1": [1.0, 1.0],
    },
);  # fmt: skip

# %% [markdown]
# **7 (experiment).** *Slots and dimensions.* Train the sandbox with both cures (`train(model, "training", stage1=0.3)`) for
# $(m,d)=(1,2),(1,8),(4,2)$, at `build(slots=m, dim=d, seed=0)`. Answer with the three models, compare their
# *spreads* (`gauges(model, task.sample(512, seed=98))`) and excesses (`measure`). Does the same total of eight numbers do the same as one slot of eight?

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = []
for m, d in ((1, 2), (1, 8), (4, 2)):
    model = build(slots=m, dim=d, seed=0)
    train(model, "training", stage1=0.3, name=f"m={m}, d={d}")
    answer.append(model)
    spread, r = gauges(model, task.sample(512, seed=98))["spread"], measure("", model, quiet=True)
    print(f"m={m} d={d}: spread {spread:.3f}, z response {r['response']:.3f}, excess {r['own']:+.2f} ± {r['se']:.2f}")

# %% [markdown] tags=["solution"]
# All three have unit spread: centring sees to that, whatever the size, so the spread does not decide. The z response and the excess do. Two numbers on a
# circle are enough to *hold* the shift; more coordinates are easier to predict well in few latent steps, and average their noise. Look at the numbers
# above, then repeat with other seeds before you believe a small difference.

# %% tags=["check"]
found = answer
if isinstance(answer, list | tuple) and all(isinstance(m, ld.LatentDiffusion) for m in answer):
    found = [(m.config.slots, m.config.dim, gauges(m, task.sample(512, seed=98))["spread"]) for m in answer]
ld.selfcheck(
    7, found, [[1, 2, 1.0], [1, 8, 1.0], [4, 2, 1.0]], tol=0.1,
    mistakes={"these are as they were built, not trained": [
        [m.config.slots, m.config.dim, gauges(m, task.sample(512, seed=98))["spread"]]
        for m in (build(slots=1, dim=2, seed=0), build(slots=1, dim=8, seed=0), build(slots=4, dim=2, seed=0))
    ]},
);  # fmt: skip

# %% [markdown]
# **8 (code).** *What is left.* Write the total correlation that masked-token costs leave: the nats of all $L$ tokens in one step, less those of revealing them one by one in random order.
# The costs are those of the exact denoiser without latents: `masked_nats(x, k)` [B] is what $k$ bits of each row, masked at random, cost together. Estimate `left(x)`, nats per
# sequence (a mean over the batch), with one count for each $k=1,\dots,L$.


# %% tags=["setup"]
def masked_nats(x, k, seed=0):
    """Nats [B] of k bits of each row, masked at random, given the others."""
    plain, g = ld.LatentDiffusion.exact(parity), torch.Generator().manual_seed(seed + k)
    x_t = x.masked_fill(torch.rand(x.shape, generator=g).argsort(-1).argsort(-1) < k, parity.vocab)
    said = plain.predict(x_t, None, None, x_t == parity.vocab).tokens
    return plain.token_channel.rate(x, x_t, said, torch.ones(len(x)))


# %% tags=["exercise"]
def left(x):
    return ...


# %% tags=["solution"]
def left(x):
    length = x.shape[1]
    one_at_a_time = sum(masked_nats(x, k) / k for k in range(1, length + 1))  # a token's cost with k masked
    return (masked_nats(x, length) - one_at_a_time).mean()


# %% tags=["check"]
trial_8, share_8 = parity.sample(4096, seed=3), parity.total_correlation()
nats_8 = {k: float(masked_nats(trial_8, k).mean()) for k in range(1, 9)}
ld.selfcheck(
    8,
    left(trial_8),
    share_8,
    tol=0.1,  # 4,096 sequences: a standard error of 0.02 nats
    mistakes={
        "that is the mean over counts; each of the L tokens is revealed once: sum them": nats_8[8]
        - sum(v / k for k, v in nats_8.items()) / 8,
        "masked_nats is of all k masked tokens; a single token costs a k-th of it": nats_8[8] - sum(nats_8.values()),
        "that is the entropy: what they cost one at a time": float(parity.entropy()),
    },
);
