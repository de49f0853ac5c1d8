# %% [markdown]
# # The latent method by hand
#
# **After this notebook you can** write a latent discrete diffusion model from nothing, with a continuous latent and with a discrete one: an
# encoder, two noise channels, a bound, a sampler. Each part is a screen of plain PyTorch, and each is held against `lddm_lite`, number by number.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebook 01, whose sixty lines go on here | 40 minutes | about 1 minute | the same: none is used | 1 GB |
#
# Symbols:
#
# | symbol | meaning |
# |---|---|
# | $x_0$, $x_t$ | clean tokens, partly masked tokens; $L$ of them, of $V$ kinds, and id $V$ is the mask |
# | $z_0=E(x_0)$, $z_t$ | what the encoder $E$ makes of them, and the same with noise |
# | $t$, $s$ | noise times: 0 is clean, 1 is pure noise; $s\lt t$ is a later moment of sampling |
# | $a_t$, $\sigma_t$, $\lambda_t$ | how much of $z_0$ and of the noise is in $z_t$, and $\log(a_t^2/\sigma_t^2)$ |
#
# All losses are in **nats per sequence**. (M1) to (M9) are the equation numbers of the library's docstrings and of [METHOD.md](METHOD.md).
#
# **The idea.** Masked diffusion draws all tokens of a step independently of each other. That is wrong as long as they share
# something unknown. So let a second variable $z$ say what they share, draw *it* first, by a diffusion of its own, and then the tokens, which
# are nearly independent given $z$: one or two steps will do. Nobody tells us what $z$ should be. An encoder learns it.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

import lddm_lite as ld
from lddm_lite.diffusion.prediction import Prediction

torch.set_num_threads(1)  # small tensors: one thread is the fastest
torch.manual_seed(0)
# %config InlineBackend.figure_formats = ["retina"]

task = ld.tasks.Binsaw(length=32)  # 32 bits that share one hidden shift; everything about it is known exactly
N = ld.course.shrunk(4096, 512)  # sequences in a measurement


def agree(what, a, b, error=0.0):
    """Print two numbers and fail unless they are equal, or within four standard errors."""
    a, b = torch.as_tensor(a).detach().double(), torch.as_tensor(b).detach().double()
    assert ((a - b).abs() <= 4 * error + 1e-4 * (1 + b.abs())).all(), (what, a, b)
    print(
        f"{what:<44} by hand {a.flatten()[0]:9.4f}     library {b.flatten()[0]:9.4f}"
        + f"   ± {error:.2f}" * (error > 0)
    )


# %% tags=["figure"]
from IPython.display import display

display(ld.plots.drawing("two_clocks"))

# %% [markdown]
# # A continuous latent
#
# ## 1. Two channels
#
# Tokens are masked, each with probability $t$ (M1), as in notebook 01. The latent is *drowned*: $z_t=a_tz_0+\sigma_t\varepsilon$ (M5). With
# $a_t^2=\mathrm{sigmoid}(\lambda_t)$ and $\sigma_t^2=\mathrm{sigmoid}(-\lambda_t)$ the variance stays 1, and one number says how much is left, the
# log signal-to-noise ratio $\lambda_t$. It falls from 6 to −6. Even at $t=0$ a little noise is left, the *noise floor*: it is what makes a bound
# possible, for a real number without noise would hold infinitely many nats.

# %% tags=["setup", "continuous", "shared"]
L, V, D, TOP = 32, 2, 2, 6.0  # tokens, their kinds, numbers in the latent, log-SNR at t = 0


def mask(x, t, masked=V):
    """(M1): each entry of x [B, ...] becomes the mask with probability t [B]."""
    return x.masked_fill(torch.rand(x.shape) < t[:, None], masked)


# %% tags=["setup", "continuous"]
def log_snr(t):
    return TOP - 2 * TOP * t[:, None]


def signal(t):
    """(M5): a_t and sigma_t, [B, 1]."""
    return log_snr(t).sigmoid().sqrt(), (-log_snr(t)).sigmoid().sqrt()


def noise(z, t):
    """(M5): z_t for z [B, D] at times t [B]."""
    a, sigma = signal(t)
    return a * z + sigma * torch.randn(z.shape)


# %% tags=["check"]
channel, t = ld.GaussianChannel(), torch.tensor([0.3])
for mine, theirs, name in zip(signal(t), channel.coefficients(t), ("a at t = 0.3", "sigma at t = 0.3")):
    agree(name, mine, theirs)
x = task.sample(N)
share = (mask(x, torch.full((N,), 0.3)) == V).float()
agree("share of masks at t = 0.3", share.mean(), 0.3, share.std() / share.numel() ** 0.5)

# %% [markdown]
# ## 2. Three small networks
#
# The **encoder** maps tokens to $z_0$. Two lines keep it honest, and notebook 04 shows what happens without them: batch statistics, so that it
# cannot give all sequences the same $z_0$; a sphere, so that it cannot outgrow the noise. The **denoiser** has two halves: tokens given
# $(x_t,z)$, and the latent given $z_t$. We draw the latent *before* any token, so that its half need not see tokens at all. That is
# the sequential system, SEQ-LDDM, and `co-seq` in the library. A joint one would show both halves both.


# %% tags=["continuous", "shared"]
def mlp(inputs, outputs, width=128):
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)  # the first guess is "no idea"
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), last)


def log_probs(net, x_t, z):
    """log p(x_0 | x_t, z) for all positions, [B, L, V]; a masked token is (0, 0)."""
    seen = F.one_hot(x_t, V + 1)[..., :V].flatten(1)
    return net(torch.cat([seen, z.flatten(1)], 1)).view(-1, L, V).log_softmax(-1)


# %% tags=["continuous"]
class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(L, 128), nn.GELU(), nn.Linear(128, D))
        self.norm = nn.BatchNorm1d(D, affine=False)

    def forward(self, x):
        """Tokens [B, L] -> z_0 [B, D], spread over the batch, on the circle of radius sqrt(D)."""
        return math.sqrt(D) * F.normalize(self.norm(self.body(2.0 * x - 1)), dim=-1)


def guess(net, z_t, t):
    """z_0 as the latent half sees it: a_t z_t, the best linear guess, and what the network corrects."""
    a, sigma = signal(t)
    return a * z_t + sigma * net(torch.cat([z_t, 4 * t[:, None] - 2], 1))


# %% [markdown]
# ## 3. The bound
#
# Who gets $x_0$ told by somebody who owns the same model pays three bills, each an expectation over noise:
#
# $$-\log p(x_0)\ \le\ \underbrace{\int_0^1\frac1t\sum_{i\text{ masked}}-\log p(x_0^i\mid x_t,z)\,dt}_{\text{tokens, given the finished latent (M3)}}\ +\ \underbrace{\int_0^1\frac12\Big(-\frac{d}{dt}e^{\lambda_t}\Big)\lVert z_0-\hat z(z_t)\rVert^2dt}_{\text{the latent (M7)}}\ +\ \underbrace{\mathrm{KL}\big(q(z_1\mid z_0)\,\Vert\,\mathcal N(0,I)\big)}_{\text{what is left at the start (M8)}}$$
#
# The first is the loss of notebook 01 with a $z$ to look at. The second is what any Gaussian diffusion pays. With our $\lambda_t$,
# $-\frac{d}{dt}e^{\lambda_t}=12\,e^{\lambda_t}$. Notebook 02 derives all three.


# %% tags=["continuous", "shared"]
def spread(n):
    """n times in (0, 1], evenly spread, with one random offset: each uniform, their mean steadier."""
    return 1 - (torch.rand(1) + torch.randperm(n) / n) % 1


def rate(log_p, x, x_t, t, masked=V):
    """(M3): minus log-probabilities of what is masked in x_t, over t. Nats [B]."""
    cost = -log_p.gather(-1, x[..., None])[..., 0]
    return (cost * (x_t == masked)).sum(1) / t


# %% tags=["continuous"]
def latent_rate(z0, z_hat, t):
    """(M7), nats [B]."""
    return TOP * log_snr(t).exp()[:, 0] * (z0 - z_hat).pow(2).sum(1)


def prior(z0):
    """(M8): KL of N(a_1 z_0, sigma_1^2) from N(0, 1), summed over the numbers. Nats [B]."""
    a, sigma = signal(torch.ones(len(z0)))
    return 0.5 * (a**2 * z0**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)


def bound(encoder, tokens, latent, x):
    """(M9) on the sequential path: one draw of each of its three terms, nats [3, B]."""
    z0, t, s = encoder(x), spread(len(x)), spread(len(x))
    x_t = mask(x, t)
    told = rate(log_probs(tokens, x_t, noise(z0, 0 * t)), x, x_t, t)
    return torch.stack([told, latent_rate(z0, guess(latent, noise(z0, s), s), s), prior(z0)])


# %% tags=["check"]
untrained, x_t = mlp(L * V + D, L * V), mask(x, torch.full((N,), 0.5))
at, z = torch.full((N,), 0.5), torch.randn(N, D)
said = log_probs(untrained, x_t, z)
agree("rate of the tokens (M3)", rate(said, x, x_t, at), ld.MaskedChannel(V).rate(x, x_t, said, at))
shaped = z[:, None]  # the library has [B, slots, numbers]
agree("rate of the latent (M7)", latent_rate(z, 0 * z, at), channel.rate(shaped, None, 0 * shaped, at))
agree("the prior term (M8)", prior(z), channel.prior_kl(shaped))

# %% [markdown]
# ## 4. Training, in two stages
#
# **First** the encoder and the token half, together, by the token loss alone: the gradient goes through $z$ into the encoder, which
# thus learns what is worth telling. Half of the times are $t=1$: all tokens masked, as a one-step sampler finds them. **Then** the encoder is frozen, and
# the latent half learns the law of what it says. In one go the encoder would be rewarded for latents that are easy to predict, and the easiest
# one says nothing.
#
# The latent loss is weighed by $\mathrm{sigmoid}(\lambda)$ in place of $e^\lambda$, or the finest details, weighed by $e^6$, would drown the rest. The bound keeps $e^\lambda$.


# %% tags=["continuous", "shared"]
def teacher(parts, steps, peak=3e-3):
    """A function that takes one step on a loss, with Adam, for the networks `parts`; warm up, then fade out."""
    optimiser = torch.optim.Adam([p for part in parts for p in part.parameters()])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, pct_start=0.05)

    def learn(loss):
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()

    return learn


def early(n):
    """Times of tokens in training: half of them 1, where all is masked."""
    return torch.where(torch.rand(n) < 0.5, 1.0, spread(n))


# %% tags=["continuous"]
def train(draw, steps, batch=128):
    encoder, tokens, latent = Encoder(), mlp(L * V + D, L * V), mlp(D + 1, D)
    learn = teacher((encoder, tokens, latent), steps)
    for step in tqdm(range(steps), leave=False):
        first, x, t = step < steps // 2, draw(batch), early(batch)
        encoder.train(first)
        z0 = encoder(x) if first else encoder(x).detach()
        floor = 0.3 * torch.rand(batch) if first else torch.zeros(batch)  # stage 1 also sees more noise
        x_t, z = mask(x, t), noise(z0, floor)
        loss = rate(log_probs(tokens, x_t, z), x, x_t, t).mean()
        if not first:
            s = spread(batch)
            rates = latent_rate(z0, guess(latent, noise(z0, s), s), s)
            loss = loss + (rates * (-log_snr(s)).sigmoid()[:, 0]).mean()  # e^l sigmoid(-l) = sigmoid(l)
        learn(loss)
    return encoder, tokens, latent


# %% [markdown]
# ## 5. The sampler
#
# The latent goes from noise to clean in steps of (M6): the law of $z_s$ given $z_t$ and $z_0$ is a Gaussian, and the guess stands in for
# $z_0$. Then tokens, from masks to words in steps of (M2). Each step is one call of a network, and their number is the price: NFE.


# %% tags=["setup", "continuous"]
def back(z_t, z_hat, t, s):
    """(M6): mean and standard deviation of z_s given z_t, with the guess for z_0."""
    (a_t, _), (a_s, sigma_s) = signal(t), signal(s)
    r = (log_snr(t) - log_snr(s)).exp()
    return a_s * (r / a_t * z_t + (1 - r) * z_hat), sigma_s * (1 - r).sqrt()


# %% tags=["continuous"]
@torch.no_grad()
def draw_latent(latent, n, steps):
    z, times = torch.randn(n, D), torch.linspace(1, 0, steps + 1)
    for t, s in zip(times[:-1], times[1:]):
        mean, deviation = back(z, guess(latent, z, t.expand(n)), t.expand(n), s.expand(n))
        z = mean + deviation * torch.randn(n, D)
    return z


# %% tags=["continuous", "shared"]
@torch.no_grad()
def unmask(predict, x, steps, masked=V):
    """(M2): from masks x, reveal each with probability (t-s)/t in a step, and draw it from predict(x)."""
    times = torch.linspace(1, 0, steps + 1)
    for t, s in zip(times[:-1], times[1:]):
        drawn = torch.distributions.Categorical(logits=predict(x)).sample()
        x = torch.where((x == masked) & (torch.rand(x.shape) < (t - s) / t), drawn, x)
    return x


# %% tags=["continuous"]
def sample(tokens, latent, n, token_steps, latent_steps):
    z = draw_latent(latent, n, latent_steps)
    return unmask(lambda x: log_probs(tokens, x, z), torch.full((n, L), V), token_steps)


# %% tags=["check"]
t, s = torch.full((N,), 0.7), torch.full((N,), 0.4)
mean, deviation = back(z, torch.ones(N, D), t, s)
their_mean, their_variance = channel.posterior(shaped, torch.ones(N, 1, D), t, s)
agree("mean of a step back (M6)", mean, their_mean[:, 0])
agree("its standard deviation", deviation[0], their_variance[0, 0].sqrt())

# %% [markdown]
# That was the continuous method. Train it, and draw: one token step after 1, 3, 7 or 15 latent steps.
#
# > **Predict, then run.** The exact predictor without latents has an excess of 8.0 nats in one step, and at its very best 3.3, 1.3, 0.4 and 0.1
# > nats in 2, 4, 8 and 16 calls. What will a network of 128 numbers do with a latent of two numbers, after some seconds of training?

# %%
def data(seed=0):
    """A function that draws n sequences, other ones each time."""
    g = torch.Generator().manual_seed(seed)
    return lambda n: task.sample(n, g)


torch.manual_seed(0)
encoder, tokens, latent = train(data(), steps=ld.course.shrunk(2000))
parts = bound(encoder, tokens, latent, task.sample(N, seed=7)).detach()
told, drowned, start = parts.mean(1)
print(
    f"bound {parts.sum(0).mean():.2f} nats = tokens {told:.2f} + latent {drowned:.2f} + prior {start:.2f}; entropy {task.entropy().value:.2f}"
)
by_hand = {}
for steps in (1, 3, 7, 15):
    score = by_hand[1 + steps] = task.score(sample(tokens, latent, N, 1, steps))
    print(f"{steps:2d} latent steps + 1 token step: excess {score['excess']:5.2f} ± {score['excess_se']:.2f}")

# %% [markdown]
# The bound is about 2 nats *above* the entropy: the latent says things that the bits do not need, and is
# charged for them. Samples do not care. What counts in few steps is what the tokens share *given* $z$, and that is nearly nothing.
#
# The latent has learned the task's secret, too: nobody told it of the shift.

# %% tags=["figure"]
x = task.sample(N, seed=8)
with torch.no_grad():
    z0, drawn = encoder(x), draw_latent(latent, N, 7)
shift = task.posterior(x).argmax(1)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
axes[0].scatter(*z0.T, c=shift, cmap="twilight", s=6)
axes[0].set(title="encoder's $z_0$, coloured by the hidden shift", aspect="equal")
axes[1].scatter(*drawn.T, s=6, color="C0")
axes[1].set(title="drawn by the model, 7 latent steps", aspect="equal")
ld.plots.bits(x[shift.argsort()][:: max(1, N // 128)], ax=axes[2], title="data, sorted by the shift");

# %% [markdown]
# ## 6. The same networks in the library
#
# `ld.LatentDiffusion` takes anybody's encoder and denoiser. So the hand-made networks go in, and its bound and its sampler are compared with
# ours: the same numbers, within the error of the samples.


# %% tags=["check"]
class Ours(nn.Module):
    """Networks made by hand, with the calls that the library makes."""

    def __init__(self, tokens, latent):
        super().__init__()
        self.tokens, self.latent = tokens, latent

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        said = None if where is None else log_probs(self.tokens, x_t, z_t)[where]
        return Prediction(said, guess(self.latent, z_t[:, 0], t_z)[:, None] if need_latents else None)


class Lifted(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.inner = encoder

    def forward(self, x):
        return self.inner(x)[:, None]


config = ld.Config.preset("co-seq", L, V, dim=D)
model = ld.LatentDiffusion(config, Ours(tokens, latent), Lifted(encoder), task.labels, task.spec())
theirs = model.nelbo(task.sample(N, seed=7), draws=4)
errors = [
    math.hypot(float(mine.std()) / N**0.5, e.stderr)
    for mine, e in zip(parts, (theirs.tokens, theirs.latents, theirs.prior))
]
for mine, e, error, name in zip(
    parts, (theirs.tokens, theirs.latents, theirs.prior), errors, ("tokens", "latent", "prior")
):
    agree(f"bound: {name}", mine.mean(), e.value, error)
again = task.score(model.sample(N, token_steps=1, latent_steps=7, seed=1).tokens)
error = math.hypot(again["excess_se"], by_hand[8]["excess_se"])
agree("excess, 7 latent steps + 1 token step", by_hand[8]["excess"], again["excess"], error)

# %% [markdown]
# # A discrete latent
#
# ## 7. Codes are tokens of another alphabet
#
# Now $z$ is a *word of $m$ letters*, each one of $K$ codes. Its channel is the one that tokens have: letters are masked (M1), pay the
# rate (M3) and come back by (M2). So three functions serve both channels, and what is left to write is the encoder. It makes vectors as before;
# when stage 1 is over, **k-means** finds $K$ centres for each slot, and from then on the nearest centre is the code. (The library can also learn codes all along; `late_codes`
# does it this way.)


# %% tags=["discrete"]
class Codes(nn.Module):
    """Tokens [B, L] -> m vectors, each of D numbers; with a codebook, m codes out of K."""

    def __init__(self, m, k):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(L, 128), nn.GELU(), nn.Linear(128, m * D))
        self.norm = nn.BatchNorm1d(m * D, affine=False)
        self.register_buffer("book", torch.zeros(m, k, D))

    def forward(self, x):
        y = self.norm(self.body(2.0 * x - 1)).view(len(x), -1, D)
        return math.sqrt(D) * F.normalize(y, dim=-1)

    def codes(self, x):
        return (self(x)[:, :, None] - self.book).pow(2).sum(-1).argmin(-1)

    def vectors(self, codes):
        return self.book[torch.arange(len(self.book)), codes]

    @torch.no_grad()
    def make_book(self, x, rounds=20):
        """k-means of the vectors of x, slot by slot."""
        z, k = self(x), self.book.shape[1]
        self.book.copy_(z[torch.randperm(len(x))[:k]].transpose(0, 1))
        for _ in range(rounds):
            mine = F.one_hot(self.codes(x), k).float()  # [n, m, K]
            count = mine.sum(0)[..., None]
            mean = torch.einsum("nmk,nmd->mkd", mine, z) / count.clamp_min(1)
            self.book.copy_(torch.where(count > 0, mean, self.book))


def code_probs(net, c_t, k):
    """log p(codes | codes not masked), [B, m, K]."""
    seen = F.one_hot(c_t, k + 1).float().flatten(1)
    return net(seen).view(*c_t.shape, k).log_softmax(-1)


def discrete_bound(encoder, tokens, letters, x):
    """(M9): the rate (M3) twice, nats [2, B]. No prior term: all masked is all masked."""
    c, k, t, s = encoder.codes(x), encoder.book.shape[1], spread(len(x)), spread(len(x))
    x_t, c_s = mask(x, t), mask(c, s, k)
    told = rate(log_probs(tokens, x_t, encoder.vectors(c)), x, x_t, t)
    return torch.stack([told, rate(code_probs(letters, c_s, k), c, c_s, s, k)])


def train_discrete(draw, steps, m, k, batch=128):
    encoder, tokens, letters = Codes(m, k), mlp(L * V + m * D, L * V), mlp(m * (k + 1), m * k)
    learn = teacher((encoder, tokens, letters), steps)
    for step in tqdm(range(steps), leave=False):
        first, x, t = step < steps // 2, draw(batch), early(batch)
        if step == steps // 2:
            encoder.eval().make_book(draw(2048))
        x_t, z = mask(x, t), encoder(x)
        if first:  # noise in the place of rounding
            z, letters_loss = z + 0.2 * torch.rand(batch, 1, 1) * torch.randn(z.shape), 0.0
        else:
            c, s = encoder.codes(x), spread(batch)
            z, c_s = encoder.vectors(c), mask(c, s, k)
            letters_loss = rate(code_probs(letters, c_s, k), c, c_s, s, k).mean()
        learn(rate(log_probs(tokens, x_t, z), x, x_t, t).mean() + letters_loss)
    return encoder, tokens, letters


def sample_discrete(encoder, tokens, letters, n, token_steps, code_steps):
    m, k, _ = encoder.book.shape
    c = unmask(lambda c: code_probs(letters, c, k), torch.full((n, m), k), code_steps, k)
    return unmask(lambda x: log_probs(tokens, x, encoder.vectors(c)), torch.full((n, L), V), token_steps)


# %% [markdown]
# Two alphabets: **two letters of 16 codes**, which depend on each other, so that the code's own diffusion has something to do; and **one letter of
# 64**, which a single call draws from a table.
#
# > **Predict, then run.** Two letters, drawn in one step, are drawn independently of each other. What will their excess be, beside that of two code steps?

# %%
found = {}
for m, k in ((2, 16), (1, 64)):
    torch.manual_seed(0)
    made = found[m, k] = train_discrete(data(), ld.course.shrunk(2000), m, k)
    own = discrete_bound(*made, task.sample(N, seed=7)).detach()
    print(f"{m} x {k} codes: bound {own.sum(0).mean():.2f} = tokens {own[0].mean():.2f} + codes {own[1].mean():.2f}")
    for steps in (1, 2, 4)[: 1 if m == 1 else 3]:
        score = by_hand[m, 1 + steps] = task.score(sample_discrete(*made, N, 1, steps))
        print(f"{steps:2d} code steps + 1 token step: excess {score['excess']:5.2f} ± {score['excess_se']:.2f}")


# %% tags=["check"]
class OurCodes(Ours):
    """Reads numbers of codes, the mask being -1, as the library hands them on."""

    def __init__(self, encoder, tokens, letters):
        super().__init__(tokens, letters)
        self.book, self.mask_vector = encoder, nn.Parameter(torch.tensor([-1.0, 0.0]))

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        k = self.book.book.shape[1]
        c = z_t[..., 0].round().long()
        c = torch.where(c < 0, k, c)
        said = None if where is None else log_probs(self.tokens, x_t, self.book.vectors(c.clamp_max(k - 1)))[where]
        return Prediction(said, code_probs(self.latent, c, k) if need_latents else None)


class LiftedCodes(nn.Module):
    def __init__(self, encoder, k):
        super().__init__()
        self.inner = encoder
        self.register_buffer("codebook", torch.stack([torch.arange(k), torch.zeros(k)], 1))

    def forward(self, x):
        return self.inner.codes(x)


made = found[2, 16]
config = ld.Config.preset("di-seq", L, V, slots=2, codes=16, dim=2)
coded = ld.LatentDiffusion(config, OurCodes(*made), LiftedCodes(made[0], 16), task.labels, task.spec())
own, theirs = discrete_bound(*made, task.sample(N, seed=7)).detach(), coded.nelbo(task.sample(N, seed=7), draws=4)
for mine, e, name in zip(own, (theirs.tokens, theirs.latents), ("tokens", "codes")):
    agree(f"bound: {name}", mine.mean(), e.value, math.hypot(float(mine.std()) / N**0.5, e.stderr))
again = task.score(coded.sample(N, token_steps=1, latent_steps=1, seed=1, order="ancestral").tokens)
error = math.hypot(again["excess_se"], by_hand[2, 2]["excess_se"])
agree("excess, 1 code step + 1 token step", by_hand[2, 2]["excess"], again["excess"], error)

# %% [markdown]
# ## 8. What it was for

# %% tags=["figure"]
calls = (2, 4, 8, 16)
limits = {s: ld.evaluation.exact_limit(task, calls, n=N, schedule=s) for s in ("even", "best")}
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for (s, rows), style in zip(limits.items(), ("--", ":")):
    ax.plot(calls, [r["excess"] for r in rows], style, color="0.4", label=f"exact predictor, no latents, {s} steps")
lines = {
    "continuous": [(k, v) for k, v in by_hand.items() if isinstance(k, int)],
    "2 letters of 16 codes": [(k[1], v) for k, v in by_hand.items() if isinstance(k, tuple) and k[0] == 2],
    "1 letter of 64 codes": [(k[1], v) for k, v in by_hand.items() if isinstance(k, tuple) and k[0] == 1],
}
for (name, points), mark in zip(lines.items(), "osD"):
    ax.errorbar(
        [k for k, _ in points],
        [v["excess"] for _, v in points],
        [2 * v["excess_se"] for _, v in points],
        marker=mark,
        label=name,
    )
ax.axhline(0, color="0.8", lw=1, zorder=0)
ax.set(
    xscale="log",
    xticks=calls,
    xticklabels=calls,
    xlabel="network calls in all (NFE)",
    ylabel="excess, nats",
    title="Binsaw, 32 bits",
)
ax.minorticks_off()
ax.legend(fontsize=8);

# %% [markdown]
# **What to see.** One letter of 64 codes and one token step, two calls, are below *both* limits of the exact predictor without latents: a small network
# with a latent beats a perfect one without. Two letters drawn at once lose what the letters share, and get it back with more code steps: the problem of
# few steps has moved to the latent, where it is smaller (it differs from seed to seed: from nothing to a nat). The continuous latent needs some steps of its own: with one it is no better than nothing, with three
# it is below both limits. A little below 0 is no merit: such samples have lost entropy (00, section 4).
#
# Everything else in the library is this, made general: transformers in place of MLPs, several slots, any path between joint and sequential,
# averages of weights, exact resume, text. [METHOD.md](METHOD.md) has the equations, notebook 04 the ways in which the encoder fails.

# %% tags=["check"]
if N == 4096:  # trained in full
    even, best = ({r["nfe"]: r["excess"] for r in rows} for rows in limits.values())
    assert by_hand[1, 2]["excess"] < best[2] - 2 and abs(by_hand[1, 2]["excess"]) < 0.6
    assert best[2] - 1 > by_hand[2, 2]["excess"] > by_hand[2, 3]["excess"] + 0.2 > by_hand[2, 5]["excess"] + 0.3
    assert by_hand[2]["excess"] > even[2] and by_hand[4]["excess"] < best[4] - 0.3 and by_hand[8]["excess"] < best[8]
    assert 1.3 < parts.sum(0).mean() - task.entropy().value < 3

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1. Code.** The step (M6) draws fresh noise. *DDIM* keeps the noise that the guess implies, $\hat\varepsilon=(z_t-a_t\hat z)/\sigma_t$, and adds none. Write it:
# $z_s=a_s\hat z+\sigma_s\hat\varepsilon$.


# %% tags=["exercise"]
def ddim(z_t, z_hat, t, s):
    """z_s, with no new noise: [B, D]."""
    return ...


# %% tags=["solution"]
def ddim(z_t, z_hat, t, s):
    (a_t, sigma_t), (a_s, sigma_s) = signal(t), signal(s)
    return a_s * z_hat + sigma_s * (z_t - a_t * z_hat) / sigma_t


# %% tags=["check"]
torch.manual_seed(1)
z_t, z_hat, t, s = torch.randn(6, D), torch.randn(6, D), torch.full((6,), 0.8), torch.full((6,), 0.5)
want = ld.GaussianChannel().reverse_step(z_t[:, None], z_hat[:, None], t, s, g=torch.Generator(), eta=0.0)[:, 0]
(a_t, sigma_t), (a_s, sigma_s) = signal(t), signal(s)
ld.selfcheck(
    1, ddim(z_t, z_hat, t, s), want, tol=1e-4,
    mistakes={
        "that is the mean of (M6), which also forgets a part of the noise": back(z_t, z_hat, t, s)[0],
        "the noise is that of time t, and must be scaled to time s": a_s * z_hat + (z_t - a_t * z_hat),
    },
);  # fmt: skip

# %% [markdown]
# **2. Pencil.** One letter of $K$ codes, all equally frequent, that the encoder finds from $x$ without doubt. What does the second term of the
# discrete bound cost, in nats, for $K=64$? (The best network is meant.)

# %% tags=["exercise"]
answer = ...  # nats

# %% tags=["solution"]
answer = math.log(64)  # masked with probability t, weighed by 1/t: once, on average, and each time log K

# %% tags=["check"]
ld.selfcheck(
    2, answer, math.log(64), tol=6e-3, unit="nats",
    mistakes={"those are bits; nats are log, not log2": 6.0, "that is the cost at one time; the mean over t of t·(1/t)": math.log(64) / 2},
);  # fmt: skip

# %% [markdown]
# **3. Code.** One letter and one token step: the law of the samples is an explicit mixture, $q(x)=\sum_c p(c)\prod_ip(x^i\mid c)$. So its divergence
# from the data, $\mathrm{KL}(p^*\Vert q)=\mathbb E[\log p^*(x)-\log q(x)]$, is no riddle. Write $\log q(x)$ from `code_law`, $\log p(c)$ [K], and `token_law`, $\log p(x^i\mid c)$ [K, L, V].


# %% tags=["exercise"]
def log_q(x, code_law, token_law):
    """log q(x) of sequences x [B, L]: [B]."""
    return ...


# %% tags=["solution"]
def log_q(x, code_law, token_law):
    each = torch.stack([token_law[:, i, x[:, i]] for i in range(x.shape[1])]).sum(0)  # [K, B]
    return torch.logsumexp(code_law[:, None] + each, 0)


# %% tags=["check"]
torch.manual_seed(2)
toy_code, toy_token = torch.randn(5).log_softmax(0), torch.randn(5, 4, V).log_softmax(-1)
toy = ld.tasks.MixtureTask(toy_code, toy_token)
toy_x = toy.sample(50)
product = torch.stack(
    [(toy_code.exp()[:, None] * toy_token[:, i, toy_x[:, i]].exp()).sum(0).log() for i in range(4)]
).sum(0)
ld.selfcheck(
    3, log_q(toy_x, toy_code, toy_token), toy.log_prob(toy_x), tol=1e-4, unit="nats",
    mistakes={"that is the product of the marginals; the code is the same for all positions": product},
);  # fmt: skip
