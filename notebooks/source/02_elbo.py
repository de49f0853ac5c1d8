# %% [markdown]
# # The bound, term by term
#
# **After this notebook you can** derive every term of the bound on $-\log p(x)$ that the library trains with and reports, for masked tokens, Gaussian latents and codes, with
# encoders that draw and encoders that do not; say why in continuous time the order of denoising cannot change it; and say what a few-step sampler loses, and why there the order
# decides.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebook 01; entropy, KL divergence, conditional expectation | 45 minutes | about 2 minutes, both cores busy otherwise | the same: none is used | 2 GB |
#
# Nothing is trained. The argument is on the page; the **appendix** holds its proofs by number, folded: each identity once more, as two sums that must agree, on a task so small that
# all expectations can be listed. A cell that found them apart would stop the notebook.
#
# | symbol | meaning |
# |---|---|
# | $x$, $L$, $V$ | tokens $x\in\{0..V-1\}^L$; the mask is the extra symbol $M=V$ |
# | $z_0$, $z_t$ | latent $z_0=E(x_0)$, an encoding of the clean tokens, and the same noised |
# | $y_t=(x_t,z_t)$ | both channels at their noise times $t_x,t_z\in[0,1]$: 0 clean, 1 pure noise |
# | $t\to s$, $s<t$ | one reverse step, from more noise to less |
# | $a_t,\sigma_t,\lambda_t$, SNR | signal, noise, log-SNR of the Gaussian channel; $\mathrm{SNR}_t=e^{\lambda_t}=a_t^2/\sigma_t^2$ |
# | $p(x_0^i\mid\cdot)$, $\hat z$ | predictions of a masked token, and of $z_0$ |
# | $q$, $p$ | the noising process, given the data; the model's reverse process |
# | $p^*$, $H$ | law of the data, and its entropy |
# | $\rho_x,\rho_z$ | the two rates: nats per unit of $t_x$, $t_z$ |
# | $\delta$ | lead: how far the latent runs ahead of the tokens, $0\le\delta\le\frac12$ |
# | (M1) … (M12) | the equations, numbered as in docstrings and in [METHOD.md](METHOD.md), which says of each where it is computed and which tests check it |
#
# All losses are in **nats per sequence**.

# %% tags=["setup"]
import functools
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from tqdm.auto import tqdm

import lddm_lite as ld

torch.set_num_threads(1)  # small tensors: one thread is the fastest
torch.set_grad_enabled(False)
# %config InlineBackend.figure_formats = ["retina"]
F64 = torch.float64
INK, TERMS = ld.plots.GROUPS, ld.plots.style.TERMS  # colours that colour-blind readers can tell apart


def same(what, left, right, tol=1e-9):
    """Print both sides of an identity; stop if they differ by more than tol."""
    left, right = float(left), float(right)
    print(f"{what:<58} {left:10.6f} = {right:10.6f}   (within {tol:.0e})")
    assert abs(left - right) <= tol, f"{what}: {left} and {right}"


def near(what, draws, truth):
    """The same for a Monte Carlo mean: it may be off by 4 standard errors, as one seed in 16,000 is."""
    mean = draws if isinstance(draws, ld.Estimate) else ld.Estimate.of(draws)
    print(f"{what:<58} {mean.value:10.4f} = {float(truth):10.4f}   (s.e. {mean.stderr:.4f})")
    assert abs(mean.value - float(truth)) <= 4 * mean.stderr, f"{what}: {mean} and {float(truth)}"

# %% [markdown]
# ## 1. The picture that needs explaining
#
# 128 bits of Binsaw, the latent is the hidden shift, all predictors are **exact**: nothing is left to be learned. Each sample gets 16 steps for the latent and 2 for the tokens. One
# thing differs: how far the latent runs *ahead*.
#
# > **Predict, then run.** The bound on $-\log p(x)$ of these samplers in infinitely many steps: is it the same for all leads, or lowest for one of them? And in 2 + 16 steps?

# %% tags=["folded"]
saw, n = ld.tasks.Binsaw(), ld.course.shrunk(1024, 128)
grid = ld.widgets.PathExplorer().grids[1]  # both rates of its exact predictors, measured beforehand
exact_saw = ld.LatentDiffusion.exact(saw, "shift")
opening = {}  # lead: (samples, their excess, the bound's excess of the tokens)
for lead in (0.0, 0.25, 0.5):
    drawn = exact_saw.sample(n, 2, latent_steps=16, path=ld.Path(lead), seed=3).tokens
    opening[lead] = drawn, saw.score(drawn), grid.bound(ld.Path(lead), 2, 16).excess_tokens

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 4, figsize=(11.5, 3.6), layout="constrained", width_ratios=[1, 1, 1, 1.5])
    for ax, (lead, (drawn, score, lost)) in zip(axes, opening.items()):
        title = f"lead {lead:g}: 2 token steps\nlose {lost:.2f} nats"
        ld.plots.bits(drawn[:200], order=saw.find_shift(drawn[:200]), ax=ax, title=title)
        ax.set(xlabel=f"samples: {score['excess']:+.2f} ± {score['excess_se']:.2f}", ylabel="")
    leads = np.linspace(0, 0.5, 51)
    ax = ld.plots.style.axes(axes[3], None)
    ax.plot(leads, [grid.bound(ld.Path(v)).total for v in leads], color=INK[0], lw=2.2)
    few = [grid.bound(ld.Path(v)).total + grid.bound(ld.Path(v), 2, 16).excess_tokens for v in leads]
    ax.plot(leads, few, color=INK[1], lw=2.2)
    ax.text(
        0.49, 69.3, "infinitely many steps:\nthe same for every lead", color=INK[0], ha="right", va="bottom", fontsize=9
    )
    ax.text(0.13, 71.5, "what 2 token steps\nadd to it", color=INK[1], fontsize=9)
    ax.set(
        xlabel="lead (0 joint, 0.5 sequential)", ylabel="bound on $-\\log p(x)$ (nats)", xlim=(0, 0.5), ylim=(68, 76.2)
    )
for lead, (_, score, lost) in opening.items():
    print(
        f"lead {lead:4.2f}: tokens lose {lost:.2f} nats of the bound; samples {score['excess']:.2f} ± {score['excess_se']:.2f}"
    )
assert opening[0.5][2] < opening[0.25][2] < opening[0.0][2] / 20
assert opening[0.25][1]["excess"] < opening[0.0][1]["excess"] / 4

# %% [markdown]
# **What to see.** Blue: the bound does not care about the order. Orange, and the pictures: two token steps lose 6.5 nats of it when both channels move together, and 0.01 when the latent
# goes first; of the samples, the first are spoilt and the last are clean. Nobody learned anything in between. The rest of this notebook derives both facts, each from one line:
#
# - *order cannot matter* (M11), for the cost of an infinitesimal step is the differential of one function;
# - *order must matter* (M12), for the cost of a finite step is that, plus a KL divergence from what the step should have known.
#
# The setting is the sampler with exact predictors, where the excess has no other cause. A trained one adds its errors of prediction (section 9 says what they do).
#
# ## 2. Two clocks
#
# Each channel has a clock of its own, and a sampler winds both from 1 to 0.

# %% tags=["figure"]
display(ld.plots.drawing("two_clocks"))

# %% [markdown]
# A **path** says how the clocks go together. The library's have one parameter, the **lead** $\delta\in[0,\frac12]$ of the latent:
#
# $$t_x=\mathrm{clip}\big(\tfrac u{1-\delta},0,1\big),\qquad t_z=\mathrm{clip}\big(\tfrac{u-\delta}{1-\delta},0,1\big),\qquad u\in[0,1].\tag{M10}$$
#
# $\delta=0$ is the diagonal (*joint*). $\delta=\frac12$ is *sequential*: read from noise to data, first $t_z$ falls to 0 while all tokens are masked, then $t_x$. Where both move,
# $t_x-t_z=\frac{\delta}{1-\delta}$. ([M10](METHOD.md#m10); [numbers](#A5.-Paths))

# %% tags=["figure"]
display(ld.plots.drawing("sampler_paths"))

# %% [markdown]
# ## 3. One bound for every chain
#
# A diffusion model goes through states $y_{t_T},\dots,y_{t_0}$ at times $1=t_T>\dots>t_0=0$. It starts from noise and steps back with
# $p(y_s\mid y_t)$. For *any* law $q$ of those states given the data, Jensen's inequality bounds the likelihood:
#
# $$-\log p(x_0)\;\le\;\mathbb E_q\Big[\log\frac{q(y_{t_0:t_T}\mid x_0)}{p(x_0,y_{t_0:t_T})}\Big]
# =\underbrace{\mathrm{KL}\big(q(y_1\mid x_0)\,\|\,p(y_1)\big)}_{\text{prior}}
# +\sum_{t\to s}\mathbb E_q\,\underbrace{\mathrm{KL}\big(q(y_s\mid y_t,x_0)\,\|\,p(y_s\mid y_t)\big)}_{\text{cost of one step}}.$$
#
# The equality is only the chain rule: $q$ is Markov, so read backwards it is $q(y_1\mid x_0)\prod q(y_s\mid y_t,x_0)$, and the model is
# $p(y_1)\prod p(y_s\mid y_t)$. Pair the factors. (The last step ends at clean tokens, known to $q$; that pair is the reconstruction.)
#
# So **everything below is the KL of one step**, for one channel, then another, then both. The numbers come from a world that can be listed: three prototypes of five bits; pick
# one, flip each bit with probability 5 %. There are 32 sequences, and $2^5$ ways to mask each. The latent is which prototype is the nearest: as a number, one of
# $-\sqrt{1.5},\,0,\,\sqrt{1.5}$ (mean square about 1), or as a code.

# %% tags=["setup"]
task = ld.tasks.MixtureOfProducts(length=5, modes=3, noise=0.05, seed=1)
L, M, H = task.length, task.mask_id, task.entropy().value
x = task.all_sequences()  # [N, L]
p = task.log_prob(x).exp()  # [N], the law p*


class Nearest(torch.nn.Module):
    """The encoder: the number of the nearest prototype (the first, if several are) as a point on a line."""

    def forward(self, x):
        distance = (x[:, None] != task.prototypes).sum(-1)
        code = (3 * distance + torch.arange(3)).argmin(1)
        return math.sqrt(1.5) * (code.float() - 1).reshape(-1, 1, 1)  # [B, m=1, d=1]


z0 = Nearest()(x).double().flatten()  # [N]
hidden = torch.cartesian_prod(*[torch.tensor([False, True])] * L)  # [K, L]: all sets of masked positions
count = hidden.sum(1).double()  # [K]: how many are masked
prototypes = ["".join(map(str, row)) for row in task.prototypes.tolist()]
print(f"{len(x)} sequences, {len(hidden)} masks each; prototypes", *prototypes)
print(f"H(X) = {H:.4f} nats of at most {L * math.log(2):.4f}")

# %% tags=["setup"]
x_masked = x[:, None].masked_fill(hidden, M)  # [N, K, L]
seen_right = task.predict(x_masked.flatten(0, 1)).unflatten(0, (len(x), -1))  # [N, K, L, V]
surprise = -seen_right.gather(-1, x[:, None, :, None].expand(-1, len(hidden), -1, -1)).squeeze(-1).log()
# for each mask [K]: E sum over masked i of -log p(x_i | visible); visible ones add log 1
surprise = p @ surprise.sum(-1)


def mask_weight(t, power=0):
    """Probability of each mask at time t over t^power: [K]. No 1/t is left for a mask that hides something."""
    return torch.where(count >= power, t ** (count - power).clamp_min(0) * (1 - t) ** (L - count), 0.0)


def rho(t):
    """(M3) without latents, averaged over everything."""
    return float(mask_weight(t, 1) @ surprise)


def m4_sum(steps):
    """The sum of (M4) over equal steps: each costs its length times the rate at its noisier end."""
    return sum(rho(k / steps) / steps for k in range(1, steps + 1))

# %% [markdown]
# ## 4. The masked channel
#
# **Forward ([M1](METHOD.md#m1)).** Each position is masked independently with probability $t$. A visible position at time $s$ must then be masked on the
# way to $t$ with probability $\frac{t-s}{1-s}$, since $1-(1-s)\big(1-\frac{t-s}{1-s}\big)=t$.
#
# **One step back ([M2](METHOD.md#m2)).** By Bayes, a position masked at $t$ was still visible at $s$ with probability
#
# $$q(x_s^i\ne M\mid x_t^i=M)=\frac{(1-s)\,\frac{t-s}{1-s}}{t}=\frac{t-s}{t}.$$
#
# **Cost of one step ([M4](METHOD.md#m4)).** The model's step has the same form, with a prediction in place of the truth: a masked position stays masked with
# probability $\frac st$ and becomes $v$ with probability $\frac{t-s}t\,p(v\mid\cdot)$. For one masked position,
#
# $$\mathrm{KL}=\frac st\log\frac{s/t}{s/t}+\frac{t-s}t\log\frac{\frac{t-s}t}{\frac{t-s}t\,p(x_0^i\mid\cdot)}=\frac{t-s}{t}\,\big(-\log p(x_0^i\mid\cdot)\big).$$
#
# Visible positions never change and cost 0; positions are independent given $(x_t,x_0)$, and so KLs add:
#
# $$\text{cost}(t\to s)=\frac{t-s}{t}\sum_{i\text{ masked}}-\log p(x_0^i\mid\cdot).\tag{M4}$$

# %%
t, s, guess = 0.8, 0.5, torch.tensor([0.3, 0.7], dtype=F64)  # a prediction p(v | .) of one masked bit, which is 1
truth = torch.tensor([0, (t - s) / t, s / t], dtype=F64)  # q of the symbols 0, 1, mask
model = torch.cat([(t - s) / t * guess, truth[2:]])
same(
    "(M4) KL over all symbols",
    torch.where(truth > 0, truth * (truth / model).log(), 0.0).sum(),
    (t - s) / t * -guess[1].log(),
)

# %% [markdown]
# **Continuous time ([M3](METHOD.md#m3)).** (M4) is the step's length times a rate, taken at the noisier end of the step:
#
# $$\rho(t)=\frac1t\,\mathbb E\sum_{i\text{ masked}}-\log p(x_0^i\mid x_t),\qquad \sum_{t\to s}(t-s)\,\rho(t)\;\longrightarrow\;\int_0^1\rho(t)\,dt .\tag{M3}$$
#
# **With the exact predictor the integral is $H$.** In continuous time positions are revealed one at a time, in a uniformly random order, each
# at the cost $-\log p(x_0^i\mid\text{those before})$. By the chain rule, such a sum is $-\log p^*(x_0)$ for *every* order. With finitely many
# steps some positions are revealed together, each at its marginal's cost: the sum exceeds $H$. ([numbers](#A1.-The-masked-channel))
#
# > **Predict, then run.** At which end of time is the rate the highest: when all is masked, or when little is? Is the staircase of a
# > few steps above or below the curve? How does its excess fall if you double the steps?

# %% tags=["figure"]
with ld.plots.look():
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
    left, right = (ld.plots.style.axes(ax, None) for ax in (left, right))
    grid = np.linspace(0, 1, 101)
    left.fill_between(grid, 0, [rho(v) for v in grid], color=INK[0], alpha=0.15, lw=0)
    left.plot(grid, [rho(v) for v in grid], color=INK[0], lw=2, label=f"rate ρ(t): area {H:.2f} = H")
    for T, colour in ((1, INK[1]), (4, INK[2])):
        stairs = [rho(k / T) for k in range(1, T + 1)]
        label = f"{T} step{'s' * (T > 1)}: area {m4_sum(T):.2f}"
        left.stairs(stairs, np.arange(T + 1) / T, baseline=None, color=colour, lw=1.8, label=label)
    left.set(xlabel="noise time t (0 clean, 1 all masked)", ylabel="rate (nats per unit of time)")
    left.set(xlim=(0, 1), ylim=(0, 4.9))
    left.legend(loc="upper left")
    steps = 2 ** np.arange(10)
    excess = np.array([m4_sum(int(T)) - H for T in steps])
    right.loglog(steps, excess, "o-", color=INK[1], lw=1.8, label="excess of the bound")
    right.loglog(steps, excess[-1] * steps[-1] / steps, ":", color="#444444", label="proportional to 1/T")
    right.set(xlabel="steps T", ylabel="excess over H (nats)")
    right.set_xticks(steps[::2], [str(v) for v in steps[::2]])
    right.minorticks_off()
    right.legend()
assert (np.diff([rho(v) for v in grid]) > 0).all() and (np.diff(excess) < 0).all()

# %% [markdown]
# **What to see.** Left: the rate rises with $t$, because what is visible helps to predict what is not. Each stair takes the rate at its
# noisier end, so it lies above the curve; the area between is what finite steps cost. Right: doubling the steps halves the excess,
# eventually.

# %% [markdown]
# ## 5. Codes: the masked channel once more
#
# A **discrete** latent is $m$ codes out of $K$. Its noise is masks, on its own clock: put $z$ for $x$ and $t_z$ for $t$ in section 4, and nothing else changes. A step $t\to s$ costs
#
# $$\frac{t-s}{t}\sum_{j\text{ masked}}-\log p(z_0^j\mid x_t,z_t),\qquad\rho_z=\frac1{t_z}\,\mathbb E\sum_{j\text{ masked}}-\log p(z_0^j\mid x_t,z_t).$$
#
# **No prior term.** At $t_z=1$ every slot is a mask, whatever the data: $q(z_1\mid x_0)=p(z_1)$, and their KL is 0.
#
# **One slot loses nothing.** The step that reveals it draws from the *whole* distribution $p(z_0\mid x_t)$. There is no second slot that it could contradict, so with the exact predictor its
# cost is exactly what it tells: one call is as good as any number. With $m$ slots, those revealed together are drawn independently, and the step loses their total correlation, as tokens
# do. This is the reason why `di-seq` with one code needs a single latent step, and why many slots are not free ([METHOD 6](METHOD.md#s6)).
#
# ## 6. The Gaussian channel
#
# **Forward ([M5](METHOD.md#m5)).** $z_t=a_tz_0+\sigma_t\varepsilon$ with $a_t^2=\mathrm{sigmoid}(\lambda_t)$, $\sigma_t^2=\mathrm{sigmoid}(-\lambda_t)$, so
# that $a_t^2+\sigma_t^2=1$ and $a_t^2/\sigma_t^2=e^{\lambda_t}$. The log-SNR $\lambda_t$ falls linearly. The model's own latent is $z$ at
# $t_z=0$, where a little noise is left: the *noise floor*. Our channel runs from $\lambda=4$ to $-2$, so that both ends are visible in the
# numbers.
#
# **One step back ([M6](METHOD.md#m6)).** For $s<t$, $z_t=\frac{a_t}{a_s}z_s+\text{noise}$. Multiply two Gaussians and complete the square; with
# $r=e^{\lambda_t-\lambda_s}$,
#
# $$q(z_s\mid z_t,z_0)=\mathcal N\Big(a_s\big(\tfrac r{a_t}z_t+(1-r)z_0\big),\;\sigma_s^2(1-r)\Big).\tag{M6}$$
#
# **Cost of one step ([M7](METHOD.md#m7)).** The model steps with (M6) and its guess $\hat z$ for $z_0$: the same variance, another mean. The KL of two such
# Gaussians is half the squared distance of means over the variance, and the noise cancels:
#
# $$\frac{a_s^2(1-r)^2\|z_0-\hat z\|^2}{2\sigma_s^2(1-r)}=\tfrac12\,\mathrm{SNR}_s(1-r)\|z_0-\hat z\|^2
# =\tfrac12\,(\mathrm{SNR}_s-\mathrm{SNR}_t)\,\|z_0-\hat z\|^2,\tag{M7}$$
#
# exactly, for a step of any size. In the limit, $\rho_z(t)=\tfrac12\big(-\tfrac{d\,\mathrm{SNR}}{dt}\big)\|z_0-\hat z\|^2$. As long as the
# error is the same, step costs telescope: only the two ends of the SNR count.

# %% tags=["setup"]
channel = ld.GaussianChannel(log_snr_max=4.0, log_snr_min=-2.0)


def at(value):
    """A time as the library takes it, [1] in float64."""
    return torch.tensor([value], dtype=F64)


def snr(t):
    """The signal-to-noise ratio at time t."""
    return float(channel.log_snr(at(t)).exp())

# %%
gen = torch.Generator().manual_seed(1)
clean, guess, noisy = (torch.randn(1, 2, 3, generator=gen, dtype=F64) for _ in range(3))  # 2 slots of 3 numbers
(true_mean, var), (mean, _) = (channel.posterior(noisy, target, at(0.7), at(0.4)) for target in (clean, guess))
kl = ((true_mean - mean) ** 2 / (2 * var)).sum()
same("(M7) KL of the two Gaussians", kl, 0.5 * (snr(0.4) - snr(0.7)) * (clean - guess).pow(2).sum())

# %% [markdown]
# **Prior ([M8](METHOD.md#m8)).** At $t_z=1$ the model starts from $\mathcal N(0,I)$, but $q(z_1\mid x)=\mathcal N(a_1z_0,\sigma_1^2I)$ still knows a little:
#
# $$\mathrm{KL}\big(q(z_1\mid x)\,\|\,\mathcal N(0,I)\big)=\tfrac12\sum_j\big(a_1^2z_{0,j}^2+\sigma_1^2-1-\log\sigma_1^2\big).\tag{M8}$$
#
# Where $\lambda_{\min}$ is low enough, (M8) is next to nothing.
#
# **What exact Gaussian denoising costs.** The best $\hat z$ is the posterior mean, whose mean squared error is called mmse. Then (M7) at
# best costs $\tfrac12\Delta\mathrm{SNR}\cdot\mathrm{mmse}$. How much is *learned* about $z_0$ in that step? $I(z_0;z_s)-I(z_0;z_t)$ nats.
# In the limit they are equal:
#
# $$\frac{d}{d\,\mathrm{SNR}}\,I(z_0;z)=\tfrac12\,\mathrm{mmse}(\mathrm{SNR})\qquad\text{(I-MMSE)}.$$
#
# Why: cost and information are $\mathbb E\,\mathrm{KL}\big(q(z_s\mid z_t,z_0)\,\|\,\cdot\big)$ to the model's Gaussian and to the true
# $q(z_s\mid z_t)$; so they differ by $\mathbb E\,\mathrm{KL}\big(q(z_s\mid z_t)\,\|\,p(z_s\mid z_t)\big)$. In a small step $q(z_s\mid z_t)$
# mixes Gaussians of variance $\propto\Delta$ whose means differ by $O(\Delta)$: almost one Gaussian, off by a KL of order $\Delta^2$.
# Summed over $1/\Delta$ steps, that vanishes. ([numbers](#A2.-The-Gaussian-channel))

# %% tags=["setup"]
values, inverse = z0.unique(return_inverse=True)
share = torch.zeros(len(values), dtype=F64).index_add_(0, inverse, p)  # P(z_0 = value)
nodes, node_weight = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(64))
node_weight = node_weight / node_weight.sum()  # Gauss-Hermite: sum_q w_q f(u_q) = E f(standard normal)


def scalar(log_snr):
    """(mmse, I(z_0; z)) of the three-valued z_0 seen through Gaussian noise, at a log-SNR: by quadrature."""
    root = math.exp(log_snr / 2)
    seen = root * values[:, None] + nodes  # [3, Q]: z over sigma
    log_w = share.log() - (seen[..., None] - root * values) ** 2 / 2 + nodes[:, None] ** 2 / 2  # [3, Q, 3]
    error = (values[:, None] - log_w.softmax(-1) @ values) ** 2
    return tuple(float(share @ v @ node_weight) for v in (error, -log_w.logsumexp(-1)))

# %% tags=["setup"]
code_entropy = -float(share @ share.log())
nodes_20, w_20 = np.polynomial.legendre.leggauss(40)
area = sum(w * math.exp(v) * scalar(v)[0] / 2 for v, w in zip(-2 + 3 * (1 + nodes_20), 3 * w_20))

# %% tags=["figure"]
def gaussian_cost(steps):
    """The sum of (M7) with the posterior mean, steps equal in log-SNR."""
    knots = np.linspace(-2, 4, steps + 1)
    return sum((math.exp(b) - math.exp(a)) * scalar(a)[0] / 2 for a, b in itertools.pairwise(knots))


with ld.plots.look():
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
    left, right = (ld.plots.style.axes(ax, None) for ax in (left, right))
    axis = np.linspace(-2, 4, 121)
    left.plot(axis, [scalar(v)[1] for v in axis], color=INK[0], lw=2, label="I(z₀; z)")
    left.axhline(code_entropy, color="#444444", ls="--", lw=1.2, label="H(z₀)")
    left.plot(axis, [scalar(v)[0] for v in axis], color=INK[1], lw=2, ls="-.", label="mmse")
    left.set(xlabel="log-SNR λ", ylabel="nats; squared error")
    left.legend(loc="center left")
    curve = [math.exp(v) * scalar(v)[0] / 2 for v in axis]
    right.fill_between(axis, 0, curve, color=INK[0], alpha=0.2, lw=0)
    right.plot(axis, curve, color=INK[0], lw=2, label=f"rate: area {area:.2f} nats, learned about z₀")
    edges = np.linspace(-2, 4, 9)
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        piece = np.linspace(a, b, 20)
        label = f"8 steps: area {gaussian_cost(8):.2f} nats" if k == 0 else None
        right.plot(piece, np.exp(piece) * scalar(a)[0] / 2, color=INK[1], lw=1.8, label=label)
    right.set(xlabel="log-SNR λ (reverse time runs to the right)", ylabel="rate (nats per unit of λ)", ylim=(0, None))
    right.set_ylim(top=right.get_ylim()[1] * 1.25)
    right.legend(loc="upper left")
assert gaussian_cost(8) > area

# %% [markdown]
# **What to see.** Left: information rises while the error falls; between $\lambda\approx0$ and 2 the latent decides for one of its three
# values. Right: the area under the blue curve is the information gained. Each of 8 steps keeps using the prediction it began with, whose
# error is too large by the step's end: Gaussian steps cost nats of their own, *although nothing is factorised here* ($z$ has one
# coordinate). A code has no such cost (section 5). The exercises return to it.
#
# ## 7. Both channels: a line integral
#
# The **product process** noises the two channels independently, given the data, and the model's step factorises over positions and channels ([METHOD 3](METHOD.md#s3)):
#
# $$q(x_t,z_t\mid x_0)=q(x_t\mid x_0)\,q(z_t\mid z_0),\qquad p(x_s,z_s\mid x_t,z_t)=\prod_ip(x_s^i\mid x_t,z_t)\cdot p(z_s\mid x_t,z_t).$$
#
# Given $x_0$, which for now fixes $z_0$, also $q(y_s\mid y_t,x_0)$ is a product. The KL of two products is the sum of KLs, so **a step costs (M4) for the tokens plus (M7), or (M4) again,
# for the latent**; but each prediction now sees both channels. That is what the network is for:

# %% tags=["figure"]
display(ld.plots.drawing("architecture"))

# %% [markdown]
# A sampler's knots $(t_x,t_z)$ go from $(1,1)$ to $(0,0)$, and a step costs, on average, $(t_x-s_x)\,\rho_x(t_x,t_z)$ plus $(t_z-s_z)\,\rho_z$, up to second order. Refine the
# knots along a path, and the sum becomes ([M9](METHOD.md#m9))
#
# $$-\log p(x)\;\le\;\mathrm{KL}_\text{prior}+\mathbb E\int_\text{path}\big(\rho_x\,dt_x+\rho_z\,dt_z\big).\tag{M9}$$
#
# ## 8. An encoder that draws
#
# So far $z_0=E(x_0)$. Let the encoder *draw* it, $z_0\sim e(z_0\mid x_0)$. The bound of section 3 holds for $q(\cdot\mid x_0)=\int e(z_0\mid x_0)\,q(\cdot\mid x_0,z_0)\,dz_0$; but its KLs
# are between mixtures, and nobody can compute them. What we can compute, and the library does, takes the draw as known: $q(y_s\mid y_t,x_0,z_0)$ is again a product of simple factors.
# The price of that, over the whole chain, is
#
# $$\mathbb E\log\frac{q(y_{t_0:t_T}\mid x_0,z_0)}{q(y_{t_0:t_T}\mid x_0)}=I(z_0;\,y_{t_0:t_T}\mid x_0)=I(z_0;z\mid x_0)\ \ge\ 0 .$$
#
# The last step: given $x_0$ the masks of the tokens tell nothing about $z_0$, and of the noised latents $z$ at $t_z=0$ is the cleanest; the others are noisier copies of it. So (M9) stays a bound,
# and lies $I(z_0;z\mid x_0)$ nats above the one that it could be:
#
# - a deterministic encoder pays 0;
# - a code that is drawn, $z=z_0$, pays $H(z_0\mid x_0)$, the entropy of the draw. It is what a variational autoencoder subtracts as $\mathbb E\log e(z_0\mid x_0)$;
# - a Gaussian $z_0$ pays what the noise floor lets through of its randomness.
#
# All encoders of the library that learn are deterministic. `ShiftEncoder`, which draws Binsaw's shift from its posterior, is not; `nelbo` leaves its term in, and the rates of section 1
# list it apart ([METHOD 4](METHOD.md#s4), *Random encoders*).
#
# ## 9. Why the order cannot matter
#
# > **Predict, then run.** Exact predictors, continuous time. Sequential pays the whole of $z$ first, then tokens that are nearly
# > independent; joint pays for both at once. Which bound is lower? For a Gaussian latent, a code, and a code that is drawn at random from the three prototypes' posterior?

# %% tags=["setup"]
exact = ld.LatentDiffusion.exact(task, Nearest())  # Bayes-optimal predictions from both channels
exact.latent_channel = exact.denoiser.channel = channel

# %% tags=["setup"]
agree = (x[:, None] == x).double()  # [N, N', L]
fits = ((x[:, None] == x)[:, None] | hidden[:, None]).all(-1)  # [N, K, N']: x' is what x is, wherever it is visible


@functools.cache
def table(t_z):
    """For each mask [K], averaged over x and z_t: token cost, |z_0 - z_hat|^2 / 2, and information about the data."""
    a, sigma = channel.coefficients(torch.tensor(t_z, dtype=F64))
    z_t = a * z0[:, None] + sigma * nodes  # [N, Q]
    log_lik = nodes[:, None] ** 2 / 2 - (z_t[..., None] - a * z0) ** 2 / (2 * sigma**2)  # [N, Q, N'], own: 0
    log_w = (log_lik + p.log())[:, None].masked_fill(~fits[:, :, None], -math.inf)  # [N, K, Q, N']
    post = log_w.softmax(-1)
    tokens = -torch.einsum("nkqm,nml->nkql", post, agree).log().mul(hidden[:, None]).sum(-1)
    half_error = (z0[:, None, None] - post @ z0) ** 2 / 2
    return [torch.einsum("n,q,nkq->k", p, node_weight, v) for v in (tokens, half_error, -log_w.logsumexp(-1))]


def rates(t_x, t_z):
    """(rho_x, rho_z) at a point of the square: (M3) and (M7), averaged over everything."""
    tokens, half_error, _ = table(round(float(t_z), 12))
    slope = 6 * snr(t_z)  # -dSNR/dt
    return np.array([float(mask_weight(t_x, 1) @ tokens), slope * float(mask_weight(t_x) @ half_error)])

# %% tags=["setup"]
def line_integral(lead, rate=rates, order=16):
    """(M9) without the prior: (tokens, latents), by Gauss-Legendre on each straight piece of the path."""
    path, total = ld.Path(lead), np.zeros(2)
    for low, high in itertools.pairwise(sorted({0.0, lead, 1 - lead, 1.0})):
        for v, w in zip(*np.polynomial.legendre.leggauss(order)):
            middle = low + (high - low) * (v + 1) / 2
            speed = np.array([middle < 1 - lead, middle > lead]) / (1 - lead)  # dt_x/du, dt_z/du
            total += w * (high - low) / 2 * speed * rate(*(float(c) for c in path.at(torch.tensor(middle, dtype=F64))))
    return total


def step_costs(path, token_steps, latent_steps):
    """(tokens, latents) of every step of a sampler, (M4) and (M7), averaged over everything: [steps, 2]."""
    out = []
    for a, b in itertools.pairwise(path.knots(token_steps, latent_steps)):
        tokens, half_error, _ = table(round(a.t_z, 12))
        token_cost = (a.t_x - b.t_x) * float(mask_weight(a.t_x, 1) @ tokens)
        latent_cost = (snr(b.t_z) - snr(a.t_z)) * float(mask_weight(a.t_x) @ half_error)
        out.append([token_cost, latent_cost])
    return np.array(out)

# %% tags=["setup"]
def phi(t_x, t_z):
    """Phi of (M11), from the definition of mutual information: no rate is used."""
    return -float(mask_weight(t_x) @ table(round(float(t_z), 12))[2])

# %% tags=["setup"]
u, weight = np.polynomial.legendre.leggauss(12)
LEADS = (0.0, 0.2, 0.4, 0.5)
middle = torch.linspace(0, 1, 1001, dtype=F64)
normal = torch.distributions.Normal
prior = float(p @ channel.prior_kl(z0.reshape(-1, 1, 1)))
line_z = torch.linspace(-8, 8, 40_001, dtype=F64)
a1, sigma1 = (float(v) for v in channel.coefficients(at(1.0)))
log_q1 = (normal(a1 * values, sigma1).log_prob(line_z[:, None]) + share.log()).logsumexp(1)  # of the mixture q(z_1)
log_n = normal(0.0, 1.0).log_prob(line_z)
marginal_kl = float(torch.trapezoid(log_q1.exp() * (log_q1 - log_n), line_z))  # KL(q(z_1) || N(0, 1))


def code_costs(law):
    """Of a code drawn from `law` [N, C] given x, for each mask [K]: token costs with and without it, and its own cost."""
    joint, fit = p[:, None] * law, fits.double()
    seen = torch.einsum("nkm,mc->nkc", fit, joint)  # p(visible, code)
    right = torch.einsum("nkm,mc,nml->nkcl", fit, joint, agree)  # p(visible, code, bit i is the true one)
    bits = -(right / seen[..., None]).nan_to_num(1.0).clamp_min(1e-300).log().mul(hidden[:, None]).sum(-1)
    own = -(seen / seen.sum(-1, keepdim=True)).clamp_min(1e-300).log()  # an impossible code has weight 0
    return [torch.einsum("nc,nkc->k", joint, v) for v in (bits, own)]


def code_rates(law):
    """The function (t_x, t_z) -> (rho_x, rho_z) of sections 4 and 5 for one code, averaged over everything."""
    known, own = code_costs(law)
    return lambda t_x, t_z: np.array([
        float(mask_weight(t_x, 1) @ (t_z * surprise + (1 - t_z) * known)), float(mask_weight(t_x) @ own),
    ])  # fmt: skip


nearest = torch.nn.functional.one_hot(inverse, 3).double()  # the code of the nearest prototype
drawn_code = torch.softmax(((x[:, None] == task.prototypes).double() * math.log(0.95 / 0.05)).sum(-1), 1)  # posterior
spread = -float((p[:, None] * drawn_code * drawn_code.clamp_min(1e-300).log()).sum())  # H(code | x)

# %%
parts = {lead: line_integral(lead) for lead in LEADS}
codes = {lead: line_integral(lead, code_rates(nearest)) for lead in LEADS}
random = {lead: line_integral(lead, code_rates(drawn_code)) for lead in LEADS}
print(f"H {H:.4f}, KL(q(z_1) || N) {marginal_kl:.4f}, H(code | x) of the code that is drawn {spread:.4f}")
print("lead    Gaussian: tokens latents  prior   total    code: total    drawn code: total")
for lead, (a, b) in parts.items():
    print(
        f"{lead:4.1f} {a:17.4f} {b:7.4f} {prior:6.4f} {a + b + prior:7.4f} {sum(codes[lead]):14.4f} {sum(random[lead]):20.4f}"
    )
    off = np.array([a + b + prior - marginal_kl, sum(codes[lead]), sum(random[lead]) - spread]) - H
    assert abs(off).max() < 1e-4, "each is H, plus what its heading says"

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained", sharex=True, sharey=True)
    kinds = {"Gaussian latent": parts, "code": codes, "code that is drawn": random}
    for ax, (name, found) in zip(axes, kinds.items()):
        bottom, (tokens, latents) = np.zeros(len(LEADS)), np.array(list(found.values())).T
        rest = np.full(4, prior if found is parts else 0.0)
        for label, height in (("tokens", tokens), ("latents", latents), ("prior", rest)):
            ax.barh(range(4), height, left=bottom, color=TERMS[label], label=label, height=0.6)
            bottom += height
        ax.axvline(H, color="#222222", ls="--", lw=1.4, label="entropy H")
        ax.set_yticks(range(4), [f"lead {v}" for v in LEADS])
        ax.set(xlabel="nats per sequence", ylim=(3.6, -0.6), title=name)
        ax.spines[["top", "right"]].set_visible(False)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %% [markdown]
# **What to see.** The split moves: with more lead, latents pay more and tokens less. The total does not move, in any of the three. The latent channel costs
# *nothing*, and gains nothing: every path pays $H$. On top of it the Gaussian one has a trace, $\mathrm{KL}(q(z_1)\|\mathcal N)$, for a start that is not quite noise, and the drawn code the entropy of
# its draw (section 8).
#
# **Why ([M11](METHOD.md#m11)).** Let $\Phi(t_x,t_z)=-I\big((X_0,Z_0);(X_{t_x},Z_{t_z})\big)$, minus what the noisy pair tells about the data. Move one
# clock, the other at rest:
#
# - $t_x\to t_x-dt$ reveals each masked position with probability $dt/t_x$, two at once with probability $O(dt^2)$. Revealing $i$ tells
#   $I(X_0;X_0^i\mid x_t,z_t)=\mathbb E[-\log p(X_0^i\mid x_t,z_t)]$. So $\partial\Phi/\partial t_x=\rho_x$.
# - $t_z\to t_z-dt$ of a Gaussian latent tells $\tfrac12\,d\mathrm{SNR}\cdot\mathrm{mmse}(Z_0\mid x_t,z_t)$, by I-MMSE; of codes, by the same argument as for tokens,
#   $\frac{dt}{t_z}\,\mathbb E\sum_{j\text{ masked}}-\log p(Z_0^j\mid x_t,z_t)$. So $\partial\Phi/\partial t_z=\rho_z$ in both.
#
# The integrand of (M9) is the differential of $\Phi$; its integral is $\Phi(1,1)-\Phi(0,0)$ on every path. At $(0,0)$ the tokens are known, and of the latent $z$:
# $\Phi=-H-I(Z_0;z\mid X_0)$, where the second is section 8's. At $(1,1)$ codes tell nothing, $\Phi=0$; a Gaussian $z_1$ still says something, $\Phi=-I(Z_0;z_1)$. Add its prior term, which is
# $I(Z_0;z_1)+\mathrm{KL}(q(z_1)\|\mathcal N)$: the bound is $H+I(Z_0;z\mid X_0)+\mathrm{KL}(q(z_1)\|\mathcal N)$, without the last for codes.
#
# One consequence is worth a sentence. Since both rates come from one $\Phi$, $\partial\rho_x/\partial t_z=\partial\rho_z/\partial t_x$: *more noise on the latent makes tokens dearer by exactly
# as much as hiding tokens makes the latent dearer.* What one channel saves by knowing the other, the other would have saved by knowing it. ([numbers](#A3.-Every-path-costs-the-same))

# %% tags=["figure"]
with ld.plots.look():
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained", sharey=True)
    ticks = np.linspace(0, 1, 25)
    surfaces = [[[-phi(a, b), *rates(a, b)] for a in ticks] for b in tqdm(ticks, leave=False)]
    surfaces = np.array(surfaces)  # [t_z, t_x, 3]
    titles = (
        r"$-\Phi$: nats known about the data",
        r"$\rho_x$: nats per unit of $t_x$",
        r"$\rho_z$: nats per unit of $t_z$",
    )
    for ax, k, title in zip(axes, range(3), titles):
        filled = ax.contourf(ticks, ticks, surfaces[..., k], levels=12, cmap="cividis")
        fig.colorbar(filled, ax=ax, shrink=0.85)
        for lead, dash in zip(LEADS, ["-", "--", "-.", ":"]):
            ax.plot(*ld.Path(lead).at(middle), color="white", lw=1.6, ls=dash, clip_on=False)
        ax.set(xlabel="$t_x$", title=title, aspect="equal")
    axes[0].set_ylabel("$t_z$")

# %% [markdown]
# **What to see.** The left map is a hill: the data at its top $(0,0)$, noise at its foot $(1,1)$. Every white path climbs the same height.
# The other two maps are its slopes in the two directions: steep in $t_x$ (middle) where the latent is still noise, at the top edge; low
# where it is resolved.
#
# **It takes exact predictors.** Let the token head ignore the latent, everything else exact. Its rate depends on $t_x$ alone, the two rates
# no longer come from one $\Phi$, and the latents' nats are paid without any return. By how much depends on the path:

# %%
blind = {v: line_integral(v, lambda t_x, t_z: np.array([rho(t_x), rates(t_x, t_z)[1]])).sum() + prior for v in LEADS}
for lead, total in blind.items():
    print(f"lead {lead}: bound {total:.4f} with a token head that ignores z, {parts[lead].sum() + prior:.4f} if exact")
assert blind[0.0] > H + 0.1 and all(a < b - 0.01 for a, b in itertools.pairwise(blind.values()))
paid = H + scalar(4.0)[1] - scalar(-2.0)[1] + prior
same("sequential and blind: H(X) + all that z tells + prior", blind[0.5], paid, tol=1e-3)

# %% [markdown]
# ## 10. Why it matters in few steps
#
# Take a step $t\to s$ of any size, with exact predictors. Its cost compares $q(y_s\mid y_t,x_0)$ with the model's factorised
# $p(y_s\mid y_t)$. Put the *true* reverse step $q(y_s\mid y_t)$ between them:
#
# $$\underbrace{\mathbb E\,\mathrm{KL}\big(q(y_s\mid y_t,x_0)\|p(y_s\mid y_t)\big)}_{\text{cost of the step}}
# =\underbrace{I(X_0;y_s\mid y_t)}_{\Phi(t)-\Phi(s)}+\underbrace{\mathbb E\,\mathrm{KL}\big(q(y_s\mid y_t)\|p(y_s\mid y_t)\big)}_{\text{excess}\;\ge\;0}.\tag{M12}$$
#
# The first terms add up to $\Phi(1,1)-\Phi(0,0)$ as in (M11), whatever the steps. The excess of the bound is the sum of the second.
# $p(y_s\mid y_t)$ is a product. For tokens it has the right marginals, so its KL is their **total correlation**, the dependence that the
# step ignores: if $A$ is visible and $R$ is revealed,
#
# $$\sum_{i\in R}H(X^i\mid A,z_t)-H(X^R\mid A,z_t).$$
#
# If latents move too, there is more: what tokens and latents, revealed together, should have known of each other; and, of the Gaussian step
# itself, that $q(z_s\mid y_t)$ is a *mixture* of Gaussians where $p$ is one.

# %% tags=["setup"]
@functools.cache
def joint_entropy(positions):
    """H of the bits at a tuple of positions, nats."""
    if not positions:
        return 0.0
    key = (x[:, positions] * 2 ** torch.arange(len(positions))).sum(1)
    law = torch.zeros(2 ** len(positions), dtype=F64).index_add_(0, key, p)
    return -float(law @ law.log())

# %% tags=["setup"]
def excess_of(path, token_steps, latent_steps):
    """(M12): what each step costs beyond the information it reveals, nats [steps]."""
    costs, knots = step_costs(path, token_steps, latent_steps), path.knots(token_steps, latent_steps)
    climbed = np.array([phi(a.t_x, a.t_z) - phi(b.t_x, b.t_z) for a, b in itertools.pairwise(knots)])
    return costs.sum(1) - climbed

# %% [markdown]
# ($p(y_s\mid y_t)$ of codes is exact for one slot. [M12](METHOD.md#m12); [numbers](#A4.-What-few-steps-lose): the ignored total correlations, summed set by set from entropies of subsets, are the
# bound's excess; so is the mean KL of one Gaussian step; and, for both channels on any path, the mean of $\log q(y_s\mid y_t)/p(y_s\mid y_t)$.)

# %% [markdown]
# **Where the order enters.** How many tokens are revealed together is the same on every path; what is *known* then is not. If the latent
# leads, it is resolved before tokens are drawn, and the total correlation *given it* is small. Below, the tokens' part of the excess: step
# costs minus the tokens' share of the line integral along the same steps.
#
# > **Predict, then run.** 16 latent steps, and 1, 2, 4, 8 token steps. With the latent in the lead, how many token steps are needed? And
# > what happens to the *latents'* part of the excess?

# %% tags=["setup"]
def split_excess(lead, token_steps, latent_steps, order=4):
    """(tokens, latents): what steps lose in each channel; the line integral is taken along each step."""
    total, (v, w) = np.zeros(2), np.polynomial.legendre.leggauss(order)
    knots = ld.Path(lead).knots(token_steps, latent_steps)
    for a, b in itertools.pairwise(knots):
        move = np.array([a.t_x - b.t_x, a.t_z - b.t_z])
        for c, weight in zip((1 + v) / 2, w / 2):
            total -= weight * move * rates(b.t_x + c * move[0], b.t_z + c * move[1])
    return total + step_costs(ld.Path(lead), token_steps, latent_steps).sum(0)

# %%
counts = (1, 2, 4, 8)
lost = {v: np.array([split_excess(v, k, 16) for k in counts]) for v in tqdm((0.0, 0.25, 0.5), leave=False)}
alone = [m4_sum(k) - H for k in counts]
known = code_costs(nearest)[0]  # one code, drawn first in one call; then k token steps
given_code = [sum(float(mask_weight(j / k, 1) @ known) / k for j in range(1, k + 1)) - codes[0.5][0] for k in counts]
print("token steps               " + "".join(f"{k:9d}" for k in counts))
print("no latent: tokens' excess " + "".join(f"{v:9.4f}" for v in alone))
for lead, values_ in lost.items():
    print(f"lead {lead:4.2f}: tokens' excess " + "".join(f"{v:9.4f}" for v in values_[:, 0]))
    print("          latents' excess " + "".join(f"{v:9.4f}" for v in values_[:, 1]))
print("one code first: tokens'   " + "".join(f"{v:9.4f}" for v in given_code))
assert lost[0.5][0, 0] < alone[0] / 5 and lost[0.5][1, 0] < lost[0.25][1, 0] + 1e-3 < lost[0.0][1, 0]
assert 0 < given_code[0] < alone[0] / 5

# %% tags=["figure"]
with ld.plots.look():
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.5), layout="constrained")
    left, right = (ld.plots.style.axes(ax, None) for ax in (left, right))
    left.plot(counts, alone, "s--", color="#222222", lw=1.8, label="no latent")
    for k, (lead, values_) in enumerate(lost.items()):
        style = dict(color=INK[k + 2], marker="ovD"[k], lw=1.8, label=f"lead {lead:g}, 16 latent steps")
        left.plot(counts, values_[:, 0], **style)
    left.set_xscale("log", base=2)
    left.set_xticks(counts, counts)
    left.set(xlabel="token steps", ylabel="tokens' part of the excess (nats)", ylim=(0, None))
    left.legend()
    some = np.linspace(0, 0.5, 11)
    shown = np.array([split_excess(v, 2, 16, order=3) for v in tqdm(some, leave=False)])
    names = ["latents' part", "tokens' part"]
    colours = [TERMS["latents"], TERMS["tokens"]]
    right.stackplot(some, shown[:, 1], shown[:, 0], colors=colours, alpha=0.45, labels=names)
    right.set(xlabel="lead (0 joint, 0.5 sequential)", ylabel="excess of the bound (nats)", xlim=(0, 0.5))
    right.set_ylim(0, shown.sum(1).max() * 1.35)
    right.legend(loc="upper right", title="2 token + 16 latent steps")

# %% [markdown]
# **What to see.** Left: without a latent the tokens need many steps. With the latent well ahead, a *single* token step loses next to
# nothing. At lead 0 the tokens are drawn from a half-resolved latent, and lose almost as much as without one as soon as there are several
# steps. (With one token step even lead 0 waits: a token move comes after the latent moves before it, so all tokens are drawn at
# $t_z=\frac1{16}$. Which latent moves come before which token move also explains the small ups and downs.)
#
# Right: the **latents' part does not vanish**, and it is largest where the latent leads. It is the price of 16 Gaussian steps (section 6).
# Judge by the total excess of the bound, and the latent seems hardly worth its keep. A single code, drawn first in one call, has no such part (section 5): its last line is all it loses.
#
# ## 11. The bound is not the sampler
#
#
# A sampler's law $p_T(x)=\sum_\text{trajectories}p$ does not know in which order *we* revealed $x_0$, so
# $\mathrm{KL}(p^*\|p_T)\le$ excess of the bound. Without a latent both are sums over trajectories here. With one, take a sequential sampler with one token step: push the
# density of $z$ through the Gaussian steps on a fine grid, then weigh $\prod_ip(x^i\mid z)$. Nobody looks at the route that $z$ took, so
# errors of the route do not count, and an error of $z$ counts only as far as tokens feel it.

# %% tags=["folded"]
def trajectories(steps):
    """(ELBO of the chain, cross-entropy of what its sampler draws), summed over all trajectories."""
    when = torch.cartesian_prod(*[torch.arange(1, steps + 1)] * L)  # [T^L, L]: the step that reveals each position
    log_model = 0
    for k in range(steps, 0, -1):
        masked_now, revealed = when <= k, when == k
        x_t = x[:, None].masked_fill(masked_now, M)  # [N, T^L, L]
        log_p = task.predict(x_t.flatten(0, 1)).unflatten(0, (len(x), -1))
        log_p = log_p.gather(-1, x[:, None, :, None].expand(-1, len(when), -1, -1)).squeeze(-1).log()
        stay = math.log((k - 1) / k) if k > 1 else 0.0
        log_model = log_model + torch.where(revealed, log_p - math.log(k), stay * masked_now.double()).sum(-1)
    log_q = -L * math.log(steps)
    return float(p @ (log_q - log_model).mean(1)), float(-(p @ log_model.logsumexp(1)))


chain = {T: trajectories(T) for T in (1, 2, 3, 4)}
print("no latent, token steps   excess of the bound   KL(p* || law of the sampler)")
for T, (elbo, cross) in chain.items():
    print(f"{T:22d} {elbo - H:21.4f} {cross - H:30.4f}")
    assert 0 < cross - H <= elbo - H + 1e-12

# %% tags=["folded"]
def sampler_law(latent_steps):
    """p_T(x) [N] of the sequential sampler with one token step: exact up to the grid in z."""
    z = torch.linspace(-6, 6, 1501, dtype=F64)
    dz = float(z[1] - z[0])
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    for a, b in itertools.pairwise(ld.Path(0.5).knots(1, latent_steps)[:-1]):
        a_t, sigma_t = channel.coefficients(at(a.t_z))
        guess = (share.log() - (z[:, None] - a_t * values) ** 2 / (2 * sigma_t**2)).softmax(1) @ values
        mean, v = channel.posterior(z.reshape(-1, 1, 1), guess.reshape(-1, 1, 1), at(a.t_z), at(b.t_z))
        density = density @ normal(mean[:, 0], v.flatten().sqrt()).log_prob(z).exp() * dz
    a_0, sigma_0 = channel.coefficients(at(0.0))
    post = (p.log() - (z[:, None] - a_0 * z0) ** 2 / (2 * sigma_0**2)).softmax(1)  # [G, N]
    one = post @ (x == 1).double()  # [G, L]: probability of a 1
    given = torch.where(x[None] == 1, one[:, None], 1 - one[:, None]).prod(-1)  # [G, N]
    return density @ given * dz


print("\nlatent steps   excess of the bound: tokens  latents    KL(p* || law of the sampler)")
for T in (1, 2, 4, 16, 64):
    law, excess = sampler_law(T), split_excess(0.5, 1, T)
    kl = float(p @ (p / law).log())
    print(f"{T:12d} {excess[0]:28.4f} {excess[1]:8.4f} {kl:31.4f}")
    assert abs(float(law.sum()) - 1) < 1e-4 and 0 <= kl <= excess.sum() + marginal_kl + 1e-3
    assert T < 4 or kl < excess.sum() / 5
    assert (kl > alone[0] / 2) == (T == 1)  # against one step without a latent

# %% [markdown]
# From a few latent steps on, what the *sampler* loses is a small part of what the *bound* loses. (A single Gaussian
# step helps little or not at all: it puts $z$ somewhere about the mean of all three values.) Three things must be kept apart: the
# bound in continuous time, blind to the order; its excess in finite steps, an upper limit of what the sampler loses; and the law of the
# samples.
#
# ## 12. Explore
#
#
# The explorer shows the same quantities for Binsaw (32 or 128 bits; the latent is the hidden shift as a point on a circle; exact
# predictors, measured beforehand).
#
# It starts with 128 bits, 2 token steps, 16 latent steps, lead 0. Its table has a row *excess: lost to the steps*, with the columns tokens,
# latents, bound.
#
# 1. Drag **lead** from 0 to 0.5. *See:* the row *in infinitely many steps* changes in its parts, not in its sum (M11).
# 2. Drag it again, and watch the excess under **tokens**. *See:* nearly all of it is gone at lead 0.25 (M12).
# 3. Watch the excess under **latents**. *See:* it does not go away; it is larger in the end than at lead 0. So the total falls to that
#    floor and no further. The total does *not* tell what the latent is worth; the tokens' column does.
# 4. At lead 0.5, raise **latent steps** from 16 to 128. *See:* now the latents' excess melts, by about half with each doubling.
# 5. Let the square show the **latent rate**. *See:* where along $t_z$ the nats arise. Steps equal in log-SNR are not placed with that in
#    mind (exercise 7).

# %% tags=["figure"]
explorer = ld.widgets.PathExplorer(lead=0.0, token_steps=2, latent_steps=16)
explorer.which = 1  # 128 bits; 0 is 32 bits
explorer

# %% [markdown]
# The same claims, asserted from the explorer's numbers:

# %% tags=["folded"]
wide = explorer.grids[1]
whole = [wide.bound(ld.Path(v)).total for v in LEADS]
few = {v: wide.bound(ld.Path(v), 2, 16) for v in (0.0, 0.25, 0.5)}
melting = [wide.bound(ld.Path(0.5), 2, k).excess_latents for k in (16, 32, 64, 128)]
print("1. bound in infinitely many steps, leads 0, 0.2, 0.4, 0.5:", *[f"{v:.3f}" for v in whole])
print("2. tokens' excess, leads 0, 0.25, 0.5:", *[f"{c.excess_tokens:.2f}" for c in few.values()])
print("3. latents' excess, the same leads:   ", *[f"{c.excess_latents:.2f}" for c in few.values()])
print("4. latents' excess, lead 0.5, 16 to 128 latent steps:", *[f"{v:.2f}" for v in melting])
assert max(whole) - min(whole) < 4 * wide.bound_se
assert few[0.25].excess_tokens < few[0.0].excess_tokens / 20 and few[0.5].excess_latents > few[0.0].excess_latents
assert all(0.4 < b / a < 0.6 for a, b in itertools.pairwise(melting))

# %% [markdown]
# And the samples of section 1 again, their excess ($\mathbb E_\text{model}[-\log p^*(x)]-H$; with $q$ the law of the samples it is $\mathrm{KL}(q\,\|\,p^*)+H(q)-H$, no divergence by itself: where
# samples are too much alike it can fall below 0) beside all three columns of the explorer.
#
# > **Predict, then run.** Which of the three columns of the bound does the samples' column follow?

# %% tags=["folded"]
print("Binsaw, 128 bits, 2 token + 16 latent steps")
print(f"{'':11} bound's excess: tokens  latents   total   samples' excess")
for lead, (_, score, _) in opening.items():
    cost = wide.bound(ld.Path(lead), 2, 16)
    numbers = f"{cost.excess_tokens:22.2f} {cost.excess_latents:8.2f} {cost.excess:7.2f}"
    print(f"lead {lead:4.2f} {numbers} {score['excess']:14.2f} ± {score['excess_se']:.2f}")
without = saw.score(ld.LatentDiffusion.exact(saw).sample(n, 2, seed=3).tokens)
print(f"no latent {'':40} {without['excess']:12.2f} ± {without['excess_se']:.2f}")
assert opening[0.25][1]["excess"] < without["excess"] / 4

# %% [markdown]
# **What to see.** Going down the leads, samples follow the *tokens'* column: they improve as it falls. The latents' column, which in the
# bound outweighs it once the latent leads, is hardly felt by the samples: what 16 Gaussian steps get wrong about the shift is little beside
# what 128 bits reveal of it. A bound compares joint routes of tokens and latents; a reader sees tokens.
#
# ## Summary
#
# - Any chain: the bound is the prior term plus a KL per step. Masked, tokens or codes: $\frac{t-s}t\sum-\log p$ (M4). Gaussian:
#   $\frac12\Delta\mathrm{SNR}\|z_0-\hat z\|^2$ (M7). Both channels: their sum. An encoder that draws adds $I(z_0;z\mid x_0)$.
# - In continuous time it is a line integral (M9). With exact predictors the integrand is the differential of
#   $-I(\text{data};\text{noisy pair})$; every path costs $H$ (M11).
# - In few steps the excess is the KL from the true reverse step to the factorised Gaussian one: total correlations, and the Gaussian form
#   (M12). What is known when tokens are drawn decides the first, and that is decided by the order.
# - The bound's excess limits what a sampler loses; it does not measure it.

# %% [markdown] tags=["appendix"]
# ## Appendix: the proofs by number
#
# Nothing here is needed further on. Each folded cell computes both sides of identities of the text, one by sums over everything, the other by the formula or the library, prints them, and stops the
# notebook if they differ. Open one by a click at its left.

# %% [markdown]
# ### A1. The masked channel
#
# (M1) to (M3): two moves mask as one does; a step back reveals with probability $(t-s)/t$; the bound of a chain, literally as a sum over all its trajectories, is the sum of (M4); one position at a time costs $H$ in any order.

# %% tags=["proof"]
t, s, m = 0.8, 0.5, 200_000
gen = torch.Generator().manual_seed(0)
masked = ld.MaskedChannel(vocab=2)
start = torch.zeros(m, 1, dtype=torch.long)
x_s = masked.corrupt(start, torch.full((m,), s), gen)
more = masked.corrupt(x_s, torch.full((m,), (t - s) / (1 - s)), gen)  # masks stay masks
was_masked, is_masked = (v.flatten() == masked.mask_id for v in (x_s, more))
near("(M1) masked at t, in two moves", is_masked.double(), t)
near("(M2) visible at s, given masked at t", (~was_masked[is_masked]).double(), (t - s) / t)
again = masked.to_reveal(more[is_masked], t, s, gen).double()
near("(M2) revealed by the library's step", again, (t - s) / t)

# %% tags=["proof"]
guess = torch.tensor([0.3, 0.7], dtype=F64)  # a prediction p(v | .) of one masked bit
truth = 1
q = torch.tensor([0, (t - s) / t, s / t], dtype=F64)  # over the symbols 0, 1, mask
model = torch.cat([(t - s) / t * guess, q[2:]])
kl = torch.where(q > 0, q * (q / model).log(), 0.0).sum()
same("(M4) KL over all symbols, one position", kl, (t - s) / t * -guess[truth].log())
times = (torch.tensor([v], dtype=F64) for v in (t, s))
cost = masked.step_cost(torch.tensor([[truth]]), torch.tensor([[M]]), guess.log()[None], *times)
same("(M4) the library's step_cost", cost[0], kl)

# %% tags=["proof"]
for T, (elbo, _) in chain.items():
    same(f"T={T}: ELBO over {T**L} trajectories = sum of (M4)", elbo, m4_sum(T))

# %% tags=["proof"]
integral = sum(w / 2 * rho((1 + v) / 2) for v, w in zip(u, weight))  # exact: rho is a polynomial of degree L - 1
same("(M3) integral, exact predictor = H", integral, H)
for order in ((0, 1, 2, 3, 4), (4, 2, 0, 1, 3)):
    mask_of = [[i not in order[:k] for i in range(L)] for k in range(L)]  # what is masked before the k-th is revealed
    total = 0
    for k, mask in enumerate(mask_of):
        prediction = task.predict(x.masked_fill(torch.tensor(mask), M))[:, order[k]]  # [N, V]
        total -= float(p @ prediction.gather(1, x[:, order[k], None])[:, 0].log())
    same(f"one position at a time, order {order} = H", total, H)
T = 4096
same(f"T={T}: sum of (M4) tends to the integral", m4_sum(T), integral, tol=1e-3)
plain = ld.LatentDiffusion.exact(task)
data = task.sample(ld.course.shrunk(32_768, 2048), seed=1)
near("(M3) the library's estimate", plain.nelbo(data, draws=4).total, -task.log_prob(data).mean())

# %% [markdown]
# ### A2. The Gaussian channel
#
# (M5) to (M8) and I-MMSE: Bayes on a line; the KL of a step by torch, by Monte Carlo, by the library; telescoping; the prior term; the derivative of information.

# %% tags=["proof"]
t, s = 0.7, 0.4
(a_t, sigma_t), (a_s, sigma_s) = ((float(v) for v in channel.coefficients(at(v))) for v in (t, s))
same("(M5) a^2 + sigma^2", a_t**2 + sigma_t**2, 1)
same("(M5) log of a^2 / sigma^2", math.log(a_t**2 / sigma_t**2), 4 - 6 * t)
clean, noisy = 1.2, -0.3
step_noise = math.sqrt(sigma_t**2 - (a_t / a_s * sigma_s) ** 2)
joint = -((line_z - a_s * clean) ** 2) / (2 * sigma_s**2) - (noisy - a_t / a_s * line_z) ** 2 / (2 * step_noise**2)
density = joint.softmax(0)  # q(z_s | z_0) q(z_t | z_s), normalised on the line
mean = float(density @ line_z)
got_mean, got_var = channel.posterior(*(torch.full((1, 1, 1), v, dtype=F64) for v in (noisy, clean)), at(t), at(s))
same("(M6) mean: Bayes on a line, library", mean, got_mean, tol=1e-6)
same("(M6) variance", density @ (line_z - mean) ** 2, got_var, tol=1e-6)

# %% tags=["proof"]
gen = torch.Generator().manual_seed(1)
clean, guess, noisy = (torch.randn(1, 2, 3, generator=gen, dtype=F64) for _ in range(3))  # 2 slots of 3 numbers
(m_q, v), (m_p, _) = (channel.posterior(noisy, target, at(t), at(s)) for target in (clean, guess))
kl = torch.distributions.kl_divergence(normal(m_q, v.sqrt()), normal(m_p, v.sqrt())).sum()
error = (clean - guess).pow(2).sum()
same("(M7) KL of the two Gaussians", kl, 0.5 * (snr(s) - snr(t)) * error)
draw = m_q + v.sqrt() * torch.randn(20_000, 2, 3, generator=gen, dtype=F64)
ratio = normal(m_q, v.sqrt()).log_prob(draw) - normal(m_p, v.sqrt()).log_prob(draw)
near("(M7) the same by Monte Carlo", ratio.sum((1, 2)), channel.step_cost(clean, noisy, guess, at(t), at(s)))
knots = [0.0, 0.1, 0.4, 0.7, 1.0]
steps = sum(float(channel.step_cost(clean, noisy, guess, at(b), at(a))) for a, b in itertools.pairwise(knots))
rates_sum = sum(w / 2 * float(channel.rate(clean, noisy, guess, at((1 + v) / 2))) for v, w in zip(u, weight))
same("(M7) uneven steps of a constant error telescope", steps, 0.5 * (snr(0) - snr(1)) * error, tol=1e-6)
same("(M7) integral of the rate", rates_sum, steps, tol=1e-4)

# %% tags=["proof"]
for low in (-1.0, -2.0, -6.0):
    other = ld.GaussianChannel(4.0, low)
    a1, sigma1 = (v.squeeze() for v in other.coefficients(at(1.0)))
    noisy_end, start = normal(a1 * clean, sigma1), normal(torch.zeros_like(clean), torch.ones_like(clean))
    truth = torch.distributions.kl_divergence(noisy_end, start).sum()
    same(f"(M8) smallest log-SNR {low:g}: library, torch", other.prior_kl(clean), truth)

# %% tags=["proof"]
h = 1e-3
for log_snr in (-2.0, 0.0, 1.0, 2.5):
    slope = (scalar(log_snr + h)[1] - scalar(log_snr - h)[1]) / (math.exp(log_snr + h) - math.exp(log_snr - h))
    same(f"(I-MMSE) log-SNR {log_snr:g}: dI/dSNR = mmse/2", slope, scalar(log_snr)[0] / 2, tol=2e-3)
same("at high SNR all of H(z_0) is known", scalar(8.0)[1], code_entropy, tol=1e-6)
gain = scalar(4.0)[1] - scalar(-2.0)[1]
same("cost in infinitely many steps = information gained", area, gain, tol=1e-3)

# %% [markdown]
# ### A3. Every path costs the same
#
# One step of both channels costs the sum; rates and finite-step bounds of the library beside sums over everything; (M11) for the library's own `nelbo`, Gaussian and code; the two derivatives of $\Phi$, and the mixed identity.

# %% tags=["proof"]
gen = torch.Generator().manual_seed(2)
x_0, m = x[13:14], 40_000
z_0 = exact.encode(x_0).double()
(t_x, t_z), (s_x, s_z) = (0.8, 0.6), (0.5, 0.3)
x_t, z_t = torch.tensor([[M, 1, M, M, 1]]), channel.corrupt(z_0, at(t_z), gen)
seen = exact.predict(x_t, z_t, at(t_z), x_t == M)  # log p of the masked tokens [3, V], z_hat [1, 1, 1]
cost = (
    exact.token_channel.step_cost(x_0, x_t, seen.tokens, at(t_x), at(s_x)),
    channel.step_cost(z_0, z_t, seen.latents, at(t_z), at(s_z)),
)

# draws from q(x_s | x_t, x_0): which of the three masked positions are revealed, [n, 3]
reveal = exact.token_channel.to_reveal(x_t.expand(m, -1), t_x, s_x, gen)[:, x_t[0] == M]
right = seen.tokens.gather(1, x_0[x_t == M][:, None])[:, 0]  # the model's log p of the true tokens
token_part = -(reveal * right).sum(1)  # log q - log p: the chance of revealing cancels
(m_q, v), (m_p, _) = (channel.posterior(z_t, target, at(t_z), at(s_z)) for target in (z_0, seen.latents))
z_s = m_q + v.sqrt() * torch.randn(m, 1, 1, generator=gen, dtype=F64)
latent_part = (normal(m_q, v.sqrt()).log_prob(z_s) - normal(m_p, v.sqrt()).log_prob(z_s)).flatten()
near("one step of both: E log q/p = (M4) + (M7)", token_part + latent_part, sum(cost))

# %% [markdown]
# *Both rates without noise.* For every sequence, every mask, and 64 quadrature nodes for $z_t$, Bayes' rule gives the posterior over all
# 32 sequences: $p(x'\mid x_t,z_t)\propto p^*(x')\,\mathbf 1[x'\text{ fits }x_t]\;\mathcal N(z_t;a_tE(x'),\sigma_t^2)$. From it come the
# predictions of both channels, their costs, and (for section 7) how much the pair tells about the data. `table` averages these over
# sequences and $z_t$; what is left, times $t_x$, are weights of masks.

# %% tags=["proof"]
path, m = ld.Path(0.25), ld.course.shrunk(16_384, 2048)
rows = ld.along_path(exact, task.sample(m, seed=3), path, points=5, draws=4, seed=0)  # the library: Monte Carlo
for row in rows[1:4]:
    t = row["t"]
    for k, (name, t_x, t_z) in enumerate((("tokens", t, max(0, t - path.gap)), ("latents", min(1, t + path.gap), t))):
        found = ld.Estimate(row[name], row[f"{name}_se"])
        near(f"rate of {name} at t_x={t_x:.2f}, t_z={t_z:.2f}", found, rates(t_x, t_z)[k])

# %% tags=["proof"]
whole = line_integral(0.2).sum()
print("(M9) lead 0.2, without the prior: the sum over steps tends to the line integral, with an error like 1/steps")
for T in (4, 16, 64):
    total = step_costs(ld.Path(0.2), T, T).sum()
    gap = total - whole
    print(f"  {T:3d} steps of each channel: {total:.4f}, integral {whole:.4f}, difference times steps {gap * T:.2f}")
assert 0 < total - whole < 0.05
found = exact.nelbo(data, ld.Path(0.2), token_steps=4, latent_steps=4, draws=4)
near("finite steps: the library's nelbo, tokens", found.tokens, step_costs(ld.Path(0.2), 4, 4)[:, 0].sum())
near("finite steps: the library's nelbo, latents", found.latents, step_costs(ld.Path(0.2), 4, 4)[:, 1].sum())

# %% tags=["proof"]
for lead in tqdm(LEADS, leave=False):  # through the library, with sampled noise
    bound = exact.nelbo(data, ld.Path(lead), draws=4, seed=7).total
    near(f"(M11) lead {lead}: nelbo of the library", bound, -float(task.log_prob(data).mean()) + marginal_kl)


class NearestCode(Nearest):
    """The same as a code."""

    config = ld.Config.preset("di-seq", L, 2, codes=3, slots=1)

    def forward(self, x):
        return (super().forward(x).flatten(1) / math.sqrt(1.5) + 1).round().long()  # [B, 1]


coded = ld.LatentDiffusion.exact(task, NearestCode())
for lead in (0.0, 0.5):
    bound = coded.nelbo(data, ld.Path(lead), draws=4, seed=7)
    near(f"(M11) lead {lead}: nelbo of the library, a code", bound.total, -float(task.log_prob(data).mean()))
    near("        ... its tokens' part", bound.tokens, codes[lead][0])

# %% tags=["proof"]
h = 1e-3
for t_x, t_z in ((0.3, 0.6), (0.7, 0.7), (0.9, 0.4)):
    where = f"at t_x={t_x}, t_z={t_z}"
    rho_x, rho_z = rates(t_x, t_z)
    same(f"(M11) d Phi/dt_x = rho_x {where}", (phi(t_x + h, t_z) - phi(t_x - h, t_z)) / (2 * h), rho_x, tol=1e-4)
    same(f"(M11) d Phi/dt_z = rho_z {where}", (phi(t_x, t_z + h) - phi(t_x, t_z - h)) / (2 * h), rho_z, tol=5e-3)
    over_z = (rates(t_x, t_z + h)[0] - rates(t_x, t_z - h)[0]) / (2 * h)
    over_x = (rates(t_x + h, t_z)[1] - rates(t_x - h, t_z)[1]) / (2 * h)
    same(f"mixed identity d rho_x/dt_z = d rho_z/dt_x {where}", over_z, over_x, tol=5e-3)
same("Phi(0, 0) = -H", phi(0.0, 0.0), -H)
same("Phi(1, 1) = -I(Z_0; z_1)", phi(1.0, 1.0), -scalar(-2.0)[1])
same("prior = I(Z_0; z_1) + KL(q(z_1) || N)", prior, scalar(-2.0)[1] + marginal_kl, tol=1e-6)

# %% [markdown]
# ### A4. What few steps lose
#
# (M12) for tokens alone, set by set; for one Gaussian step from $\lambda_t$ to $\lambda_s$, nothing visible: cost minus information is the mean KL from the true $q(z_s\mid z_t)$, a mixture of three Gaussians, to the one Gaussian of the model; for both channels by draws from the forward process.

# %% tags=["proof"]
def ignored(steps):
    """Sum over steps of E[ sum_{i in R} H(x_i | A) - H(x_R | A) ], over all sets A (visible) and R (revealed)."""
    total = 0.0
    for k in range(steps, 0, -1):
        t, s = k / steps, (k - 1) / steps
        for state in itertools.product("arm", repeat=L):  # already visible, revealed now, masked still
            a, r = (tuple(i for i in range(L) if state[i] == c) for c in "ar")
            base = joint_entropy(a)
            alone = sum(joint_entropy(tuple(sorted((*a, i)))) - base for i in r)
            together = joint_entropy(tuple(sorted(a + r))) - base
            total += (1 - t) ** len(a) * (t - s) ** len(r) * s ** state.count("m") * (alone - together)
    return total


for T in (1, 2, 4, 8):
    same(f"(M12) {T} token steps: excess = ignored total correlation", m4_sum(T) - H, ignored(T))

# %% tags=["proof"]
t, s = 0.75, 0.5  # a large step, in the middle of the decision
(a_t, sigma_t), (a_s, sigma_s) = ((float(v) for v in channel.coefficients(at(v))) for v in (t, s))
lam_t, lam_s = (float(channel.log_snr(at(v))) for v in (t, s))
var = sigma_s**2 * (1 - math.exp(lam_t - lam_s))
z_t = (a_t * values[:, None] + sigma_t * nodes).reshape(-1, 1)  # [3 Q, 1]
own = (share[:, None] * node_weight).flatten()  # weights of those nodes
post = (share.log() - (z_t - a_t * values) ** 2 / (2 * sigma_t**2)).softmax(1)  # [3 Q, 3]
means, _ = channel.posterior(z_t[:, :, None], values.reshape(1, 3, 1), at(t), at(s))
means = means.squeeze(-1)  # [3 Q, 3]: of q(z_s | z_t, z_0), for each z_0
single = (post * means).sum(1, keepdim=True)  # the model's: (M6) at the posterior mean
spot = means[:, :, None] + math.sqrt(var) * nodes  # z_s: [3 Q, 3, Q]
kernel = -((spot[..., None] - means[:, None, None]) ** 2) / (2 * var)
log_q = (post.log()[:, None, None] + kernel).logsumexp(-1)
log_p = -((spot - single[:, :, None]) ** 2) / (2 * var)
not_gaussian = float(torch.einsum("n,na,q,naq->", own, post, node_weight, log_q - log_p))
cost = 0.5 * (snr(s) - snr(t)) * scalar(lam_t)[0]
learned = scalar(lam_s)[1] - scalar(lam_t)[1]
same("(M12) one Gaussian step: cost - information = KL", cost - learned, not_gaussian, tol=2e-4)

# %% tags=["proof"]
def excess_by_draws(path, token_steps, latent_steps, n, seed=0):
    """E log q(y_s | y_t) / p(y_s | y_t), summed over the steps, one value per draw: [n]."""
    g, total = torch.Generator().manual_seed(seed), torch.zeros(n, dtype=F64)
    for a, b in itertools.pairwise(path.knots(token_steps, latent_steps)):
        pick = ld._common.randomness.draw_categorical(p.log().expand(n, -1), g)
        level = torch.rand(n, L, generator=g, dtype=F64)  # a position is masked when its level is below t_x
        x_t, was = x[pick].masked_fill(level < a.t_x, M), level < b.t_x
        now = (level < a.t_x) & ~was  # revealed by this step
        fit_t = ((x_t[:, None] == x) | (x_t == M)[:, None]).all(-1)  # [n, N]
        fit_now = ((x[pick][:, None] == x) | ~now[:, None]).all(-1)
        (a_t, sigma_t), (a_s, sigma_s) = (channel.coefficients(at(v.t_z)) for v in (a, b))
        z_s = a_s * z0[pick] + sigma_s * torch.randn(n, generator=g, dtype=F64)
        extra = (sigma_t**2 - (a_t / a_s * sigma_s) ** 2).clamp_min(0).sqrt()
        z_t = a_t / a_s * z_s + extra * torch.randn(n, generator=g, dtype=F64)
        log_w = p.log() - (z_t[:, None] - a_t * z0) ** 2 / (2 * sigma_t**2)
        post = log_w.masked_fill(~fit_t, -math.inf).softmax(1)  # p(x' | y_t): [n, N]
        kernel, log_p = torch.zeros(n, len(x), dtype=F64), torch.zeros(n, dtype=F64)
        if b.t_z < a.t_z:
            mean, v = channel.posterior(z_t[:, None, None], z0.reshape(1, -1, 1), at(a.t_z), at(b.t_z))
            kernel = -((z_s[:, None] - mean[..., 0]) ** 2) / (2 * v.squeeze())
            log_p = -((z_s - (post * mean[..., 0]).sum(1)) ** 2) / (2 * v.squeeze())
        log_q = (post.log() + kernel).masked_fill(~fit_now, -math.inf).logsumexp(1)
        single = (torch.einsum("nm,nml->nl", post, (x[pick][:, None] == x).double())).log()  # log p(x_i | y_t)
        total += log_q - log_p - (single * now).sum(1)
    return total

# %% tags=["proof"]
for lead in tqdm((0.0, 0.25, 0.5), leave=False):
    draws = excess_by_draws(ld.Path(lead), 2, 4, n=ld.course.shrunk(40_000, 4000))
    steps = excess_of(ld.Path(lead), 2, 4)
    assert (steps > -1e-5).all()  # each step loses, or at best nothing
    near(f"(M12) lead {lead}: 2 token + 4 latent steps", draws, steps.sum())

# %% tags=["proof"]
for lead in (0.25, 0.5):
    whole = excess_of(ld.Path(lead), 2, 16).sum()
    same(f"lead {lead}, 2 + 16 steps: the parts add up to (M12)", lost[lead][1].sum(), whole, tol=1e-3)
same("without latents: one step, KL(p* || product)", chain[1][1] - H, alone[0])

# %% [markdown]
# ### A5. Paths
#
# (M10): the library's times are the clipped lines, monotone, from clean to noise.

# %% tags=["proof"]
for lead in LEADS:
    t_x, t_z = ld.Path(lead).at(middle)
    both = (middle > lead) & (middle < 1 - lead)
    clipped = (middle / (1 - lead)).clamp(0, 1), ((middle - lead) / (1 - lead)).clamp(0, 1)
    same(f"(M10) lead {lead}: the library's times", sum((a - b).abs().max() for a, b in zip(clipped, (t_x, t_z))), 0)
    if both.any():
        same(f"(M10) lead {lead}: t_x - t_z, both moving, at its largest", (t_x - t_z)[both].max(), lead / (1 - lead))
        same(f"(M10) lead {lead}: ... and smallest", (t_x - t_z)[both].min(), lead / (1 - lead))
    assert (t_x.diff() >= 0).all() and (t_z.diff() >= 0).all() and t_x[-1] == t_z[-1] == 1 and t_x[0] == t_z[0] == 0

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# Put your answer in place of the dots, then run its cell and the check below it.
#
# **1 (pencil).** A position is masked at $t=0.9$. With which probability does the step to $s=0.6$ reveal it? Derive (M4)'s weight from (M1)
# by Bayes before you put numbers in.

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = (0.9 - 0.6) / 0.9

# %% [markdown] tags=["solution"]
# It was visible at $s$ with probability $1-s$, and if so it became masked on the way with probability $\frac{t-s}{1-s}$: together $t-s$. It
# is masked at $t$ with probability $t$. The quotient is $\frac{t-s}t$. The last step, to $s=0$, reveals all that is left.

# %% tags=["check"]
g = torch.Generator().manual_seed(0)
level = torch.rand(4_000_000, generator=g)  # a position is masked at t when its level is below t
want = float((level[level < 0.9] >= 0.6).double().mean())
ld.selfcheck(
    1,
    answer,
    want,
    tol=2e-3,
    mistakes={
        "that is the chance to be masked between s and t; you know already that it is masked at t": 0.9 - 0.6,
        "that is the chance that it stays masked": 0.6 / 0.9,
        "that is the forward chance, of a visible position to become masked": (0.9 - 0.6) / (1 - 0.6),
    },
);

# %% [markdown]
# **2 (pencil).** *The bound of a single step.* For any task, write the bound of the exact model at $T=1$ in terms of entropies. What is it
# for Binsaw with 32 bits, in nats? (Over the hidden shift, each bit is 0 or 1 equally often.) And the excess over $H$: which quantity of
# section 10 is it?

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = 32 * math.log(2)

# %% [markdown] tags=["solution"]
# At $t=1$ nothing is visible, so each prediction is the marginal: $\sum_iH(X^i)=32\log2\approx22.18$. The excess $\sum_iH(X^i)-H(X)$ is the
# total correlation of all bits. A sampler with one step has exactly this law, so here the bound's excess *is* the sampler's KL.

# %% tags=["check"]
saw = ld.tasks.Binsaw(length=32)
want = ld.LatentDiffusion.exact(saw).nelbo(saw.sample(64), token_steps=1).total.value
ld.selfcheck(
    2,
    answer,
    want,
    mistakes={
        "that is in bits; a coin has log 2 nats": 32.0,
        "that is one bit's share; the bound is per sequence": math.log(2),
        "that is the entropy; one step cannot reach it": ld.widgets.PathExplorer().grids[0].entropy.value,
    },
    unit="nats",
);

# %% [markdown]
# **3 (code).** *The prior term.* Write (M8) from the KL of two normal distributions, without the library. `z0` is [B, m, d]; the result is
# [B], in nats.

# %% tags=["exercise"]
def my_prior_kl(z0, log_snr_min):
    return ...

# %% tags=["solution"]
def my_prior_kl(z0, log_snr_min):
    a2 = 1 / (1 + math.exp(-log_snr_min))
    sigma2 = 1 - a2
    return (0.5 * (a2 * z0**2 + sigma2 - 1 - math.log(sigma2))).sum((1, 2))

# %% tags=["check"]
some = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(5), dtype=F64)
a2 = torch.tensor(-1.0, dtype=F64).sigmoid()
each = torch.distributions.Normal(a2.sqrt() * some, (1 - a2).sqrt())
unit = torch.distributions.Normal(torch.zeros_like(some), torch.ones_like(some))
full, reverse = (torch.distributions.kl_divergence(*pair).sum((1, 2)) for pair in ((each, unit), (unit, each)))
ld.selfcheck(
    3,
    my_prior_kl(some, -1.0),
    full,
    mistakes={
        "that is the mean over coordinates; nats per sequence are their sum": full / 6,
        "the KL is the other way round: q comes first": reverse,
        "the means alone; the variance is not 1 either": 0.5 * (a2 * some**2).sum((1, 2)),
    },
    unit="nats",
);

# %% [markdown]
# **4 (code).** *What a Gaussian step costs.* Write (M7) for one step, from the log-SNRs at its two ends. `z0` and `z_hat` are [B, m, d].

# %% tags=["exercise"]
def my_step_cost(z0, z_hat, log_snr_t, log_snr_s):
    return ...

# %% tags=["solution"]
def my_step_cost(z0, z_hat, log_snr_t, log_snr_s):
    gain = math.exp(log_snr_s) - math.exp(log_snr_t)
    return 0.5 * gain * ((z0 - z_hat) ** 2).sum((1, 2))

# %% tags=["check"]
g = torch.Generator().manual_seed(6)
one, two, noisy = (torch.randn(3, 2, 2, generator=g, dtype=F64) for _ in range(3))
back, ahead = torch.full((3,), 0.8, dtype=F64), torch.full((3,), 0.3, dtype=F64)
(m1, var), (m2, _) = (channel.posterior(noisy, v, back, ahead) for v in (one, two))
want = ((m1 - m2) ** 2 / (2 * var)).sum((1, 2))
ld.selfcheck(
    4,
    my_step_cost(one, two, *(float(channel.log_snr(v)[0]) for v in (back, ahead))),
    want,
    mistakes={
        "one half is missing": 2 * want,
        "SNRs are wanted, not their logarithms": 0.5 * 6 * 0.5 * ((one - two) ** 2).sum((1, 2)),
        "the error is not squared": 0.5 * (snr(0.3) - snr(0.8)) * (one - two).abs().sum((1, 2)),
    },
    unit="nats",
);

# %% [markdown]
# **5 (code).** *Total correlation, in blocks.* A sampler for our five bits takes two steps and does not choose at random: first it reveals
# the positions `first`, all at once; then all others, at once. Compute its excess $\mathrm{KL}(p^*\|p_T)$ with `joint_entropy(positions)`
# (a sorted tuple). Which positions should be first? Guess, then try them all.

# %% tags=["exercise"]
def block_excess(first):
    return ...

# %% tags=["solution"]
def block_excess(first):
    rest = tuple(i for i in range(L) if i not in first)
    in_first = sum(joint_entropy((i,)) for i in first) - joint_entropy(first)
    base = joint_entropy(first)
    in_rest = sum(joint_entropy(tuple(sorted((*first, i)))) - base for i in rest) - (H - base)
    return in_first + in_rest


ranked = sorted((block_excess(c), c) for k in range(L) for c in itertools.combinations(range(L), k))
print("best ", *[f"{c}: {v:.3f}" for v, c in ranked[:4]])
print("worst", *[f"{c}: {v:.3f}" for v, c in ranked[-4:]])
print(f"random times, two steps (section 4): bound's excess {m4_sum(2) - H:.3f}")

# %% [markdown] tags=["solution"]
# It pays to reveal first a few positions that depend little on each other and together tell the prototype: they do what a latent would do.
# Position 1 is the same bit in all prototypes. Revealed alone, or left alone, it helps nobody: that is the one-step sampler.

# %% tags=["check"]
blocks = [(0,), (0, 1), (1, 3, 4), (0, 2)]
want, only_first = [], []
for first in blocks:
    rest = [i for i in range(L) if i not in first]
    blank = torch.full_like(x, M)
    shown = blank.clone()
    shown[:, list(first)] = x[:, list(first)]
    marginal, conditional = (task.predict(v).gather(-1, x[..., None]).squeeze(-1).log() for v in (blank, shown))
    log_law = marginal[:, list(first)].sum(1) + conditional[:, rest].sum(1)
    want.append(float(p @ (p.log() - log_law)))
    only_first.append(sum(joint_entropy((i,)) for i in first) - joint_entropy(first))
got = [block_excess(v) for v in blocks]
at_once = [m4_sum(1) - H] * 4
ld.selfcheck(
    5,
    ... if got[0] is ... else got,
    want,
    mistakes={
        "that is the first step's part; the second step ignores something too": only_first,
        "that is the second step's part; the first step ignores something too": np.subtract(want, only_first),
        "that is the one-step sampler's; the second step knows what the first revealed": at_once,
    },
    unit="nats",
);

# %% [markdown]
# **6 (experiment).** *How many Gaussian steps?* For the three-valued latent of section 6 (`scalar(log_snr)` gives its mmse and information)
# write the excess of $T$ steps that are **equal in log-SNR**, from $-2$ to 4: what the steps cost by (M7), less the information gained.
# Plot it against $T$. Which power of $T$ does it follow? How many steps until it is below 0.05 nats?

# %% tags=["exercise"]
def gaussian_excess(steps):
    return ...

# %% tags=["solution"]
def gaussian_excess(steps):
    knots = np.linspace(-2, 4, steps + 1)
    cost = sum((math.exp(b) - math.exp(a)) * scalar(a)[0] / 2 for a, b in itertools.pairwise(knots))
    return cost - (scalar(4.0)[1] - scalar(-2.0)[1])


for k in (1, 4, 16, 32, 64, 128):
    print(f"{k:4d} steps: excess {gaussian_excess(k):7.4f} nats, times T {k * gaussian_excess(k):6.3f}")

# %% [markdown] tags=["solution"]
# Like $1/T$: a stale prediction costs $\propto\Delta^2$ in each step, and there are $1/\Delta$ of them. With one step it is absurd, since
# an error made at $\lambda=-2$ is charged at the price of $\lambda=4$.

# %% tags=["check"]
tried = (1, 3, 8, 20)
want = [excess_of(ld.Path(0.5), 1, k)[:k].sum() for k in tried]  # the library's knots and step costs less information
information = scalar(4.0)[1] - scalar(-2.0)[1]
got = [gaussian_excess(k) for k in tried]
ld.selfcheck(
    6,
    ... if got[0] is ... else got,
    want,
    tol=1e-3,
    mistakes={
        "that is the cost; take off what is learned": np.add(want, information),
        "what is learned is I at the end less I at the start": np.add(want, information - scalar(4.0)[1]),
    },
    unit="nats",
);

# %% [markdown]
# **7 (experiment).** *Better knots.* Eight steps, but where? Find nine log-SNRs, rising from $-2$ to 4, whose excess is at most 90 % of the
# even ones'. Hint: near $\lambda$, a step of length $\Delta$ loses about $c(\lambda)\Delta^2$ with
# $c=\frac14e^\lambda\,|d\,\mathrm{mmse}/d\lambda|$ to leading order. Which density of knots minimises the sum?

# %% tags=["exercise"]
my_knots = ...

# %% tags=["solution"]
fine = np.linspace(-2, 4, 241)
slope = -np.gradient([scalar(v)[0] for v in fine], fine)
density = np.sqrt(np.exp(fine) * slope.clip(1e-9))  # minimises the integral of c / density: the square root of c
travelled = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
my_knots = np.interp(np.linspace(0, travelled[-1], 9), travelled, fine)
print("knots:", np.round(my_knots, 2))

# %% [markdown] tags=["solution"]
# With $n(\lambda)$ knots per unit, $\Delta=1/n$ and the loss is $\int c\,\Delta^2\,n\,d\lambda=\int c/n\,d\lambda$ at fixed
# $\int n\,d\lambda$. By Cauchy–Schwarz $n\propto\sqrt c$. Few knots are needed where nothing is decided: at the start, and after the latent
# has been resolved. Eight steps are few for a leading-order rule: with more of them its share falls further, and a numerical search over
# knots does better still.

# %% tags=["check"]
def excess_at(log_snrs):
    """The excess of Gaussian steps between given log-SNRs, through the library's step_cost."""
    total, zero = scalar(-2.0)[1] - scalar(4.0)[1], torch.zeros(1, 1, 1, dtype=F64)
    for a, b in itertools.pairwise(log_snrs):
        root = torch.full((1, 1, 1), math.sqrt(scalar(float(a))[0]), dtype=F64)
        total += float(channel.step_cost(root, None, zero, at((4 - float(a)) / 6), at((4 - float(b)) / 6)))
    return total


even = excess_at(np.linspace(-2, 4, 9))
if ld.course.numbers(my_knots) is None:
    ld.selfcheck(7, my_knots, 1.0)
else:
    k = ld.course.numbers(my_knots).numpy()
    fits_in = k.shape == (9,) and abs(k[0] + 2) < 1e-6 and abs(k[-1] - 4) < 1e-6 and (np.diff(k) > 0).all()
    ratio = excess_at(k) / even if fits_in else float("nan")
    print(f"even knots lose {even:.4f} nats; yours, as a share of that: {ratio:.3f}")
    ld.selfcheck(
        7,
        1.0 if ratio <= 0.9 else 0.0 if fits_in else -1.0,
        1.0,
        mistakes={
            "nine rising numbers from -2 to 4 are wanted": -1.0,
            "that is not yet 10 % less; where does the mmse fall the fastest, weighed by the SNR?": 0.0,
        },
    )
