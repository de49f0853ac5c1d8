# %% [markdown]
# # Take it further: larger runs, and parts of your own
#
# **After this notebook you can** say what a run will cost before you start it; train on several processes or GPUs and know why the loss curve
# must not change; stop a run and go on with it; and put your own path, channel, task, encoder and network into the library, each with a
# check that tells you whether it is right and a number that tells you whether it was worth it.
#
# | you need | reading | computing on 2 CPU cores | on a GPU | memory |
# |---|---|---|---|---|
# | notebooks 00 to 04 | 25 minutes | about 4 minutes of CPU time on one core | the same: none is used | 2 GB |
#
# Symbols:
#
# | symbol | meaning |
# |---|---|
# | $N$ | number of weights; $D$: tokens seen in a run, steps × batch × length |
# | $t_x, t_z$ | noise times of tokens and latents, 0 clean, 1 noise; $t_x$ *is* the share of masked tokens (M1) |
# | $u\mapsto(t_x,t_z)$ | a path from $(0,0)$ to $(1,1)$; samplers walk it backwards |
# | $\rho_x,\rho_z$ | the rates of the bound (M3), (M7) |
# | $\lambda_t$ | log-SNR of the latent channel; $\mathrm{SNR}=e^{\lambda}$ |
# | $z_0=E(x_0)$ | the latent that the encoder $E$ gives a sequence |
# | excess | $\mathbb E_\text{model}[-\log p^*(x)]-H$, how much less likely samples are than data |
# | NFE | network calls that a sample costs |
#
# All losses are in **nats per sequence**. (M1) to (M12) are the equation numbers of notebook 02 and of the docstrings.

# %% tags=["setup"]
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from tqdm.auto import tqdm

import lddm_lite as ld
from lddm_lite._common.checkpoint import CheckpointError

torch.set_num_threads(1)  # small tensors: one thread is the fastest
# %config InlineBackend.figure_formats = ["retina"]

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by all eyes
n = ld.course.shrunk(4096, 512)  # samples in a measurement

# %% [markdown]
# ## 1. What will it cost?
#
# Three numbers decide: weights $N$, tokens $D$, and the FLOP/s that your machine really reaches. Start with $N$. On PyTorch's `meta` device a
# model has shapes and no memory, so that even `base` can be counted on a laptop. The data here are shaped like text: 4,000 words, 64 a sentence.


# %% tags=["setup"]
class Shaped:
    """Random tokens in the shape of a text: for counting and timing, not for learning."""

    length, vocab, labels = 64, 4000, [str(v) for v in range(4000)]

    def spec(self):
        return {}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return torch.randint(self.vocab, (n, self.length), generator=g)


words = Shaped()


def count(system, size):
    """Weights of the denoiser, and of the encoder."""
    with torch.device("meta"):
        model = ld.LatentDiffusion.preset(system, words, size=size)
    parts = model.denoiser, model.encoder or nn.Identity()
    return [sum(p.numel() for p in part.parameters()) for part in parts]


def hours(weights, tokens, flops):
    """6 N D over FLOP/s, in hours."""
    return 6 * weights * tokens / flops / 3600


# %%
print("size   system  denoiser     encoder     weights, gradients, AdamW, averages")
for size in ("tiny", "small", "base"):
    for system in ("mdlm", "co-seq"):
        d, e = count(system, size)
        print(f"{size:<6} {system:<7} {d:>11,}  {e:>10,}     {5 * 4 * (d + e) / 1e9:.2f} GB")

# %% [markdown]
# The last column is arithmetic: training keeps five float32 numbers for each weight (itself, its gradient, AdamW's two moments, its running
# average), $5\times4$ bytes. Activations come on top. They grow with the batch, and how much they take depends on the code, so they are measured.
# `forecast.estimate` does that, takes a few steps to time them, and leaves the model as it was:

# %%
tiny = ld.LatentDiffusion.preset("mdlm", words, size="tiny")
plan = ld.TrainConfig(steps=10_000, batch=ld.course.shrunk(16, 4))
forecast = ld.training.estimate(tiny, words, plan)
print(forecast)

# %% [markdown]
# The same in a terminal, for any command that you are about to type: add `--dry-run`. Nothing is written.
#
#     python -m lddm_lite train --text FILE.txt --system co-seq --size small --batch 256 --steps 100000 --dry-run
#
# **By hand.** In a matrix product each weight meets each token once: one multiplication and one addition. The backward pass costs twice as much
# again, once for the inputs' and once for the weights' gradients. Hence the rule: $6\,N\,D$ FLOPs, $N$ without the embedding, which is a table.
#
# > **Predict, then run.** PyTorch can count the FLOPs of its matrix products. Will the count be above or below $6ND$? Think of what a masked
# > diffusion loss does not need.

# %%
from torch.utils.flop_counter import FlopCounterMode

batch, asked_for = words.sample(8), []
handle = tiny.denoiser.register_forward_hook(lambda module, given, said: asked_for.append(len(said.tokens)))
with FlopCounterMode(display=False) as counter:
    tiny.loss(batch, 0).total.backward()
handle.remove(), tiny.zero_grad(set_to_none=True)
counted, tokens = counter.get_total_flops(), batch.numel()

c = tiny.config
weights = count("mdlm", "tiny")[0] - (c.vocab + 1) * c.width  # without the embedding
print(f"rule of thumb 6 N D      {6 * weights * tokens / 1e9:.3f} GFLOP")
print(f"counted                  {counted / 1e9:.3f} GFLOP, {counted / (6 * weights * tokens):.0%} of it")

# a block has 12 W² weights: 3 W² for queries, keys, values, and 9 W² after attention
everywhere = (12 * c.blocks - 9) * c.width**2
where_masked = 9 * c.width**2 + c.width * c.vocab  # last block after attention, and the head
by_hand = 6 * (everywhere * tokens + where_masked * asked_for[0])
print(f"by hand, {asked_for[0] / tokens:.0%} masked      {by_hand / 1e9:.3f} GFLOP")
assert abs(by_hand / counted - 1) < 0.05

# %% [markdown]
# **What to see.** Below: visible tokens are not predicted, so the head and the end of the last block skip them. The rule is right to tens of per
# cent, and that is what it is for. (Attention's own products, $12LW$ FLOPs for each token and block, come on top and are small while $2L\ll W\cdot 6$;
# `co-seq` adds latent-only passes, four vectors a sequence.)
#
# Now the third number. Divide the counted FLOPs by the seconds of a step, and you have what this machine reaches. With it, or with that of a
# machine you want to rent, the rule gives hours:

# %%
here = counted / tokens * forecast.tokens_per_step / forecast.seconds_per_step[1]
print(f"this machine, now, on one thread: {here / 1e9:.1f} GFLOP/s")

seen = 100_000 * 256 * 64  # 100,000 steps of 256 sentences
for size in ("tiny", "small", "base"):
    w = count("mdlm", size)[0]
    print(
        f"mdlm {size:<6} {seen:.1e} tokens: {hours(w, seen, here):>9,.0f} h here, {hours(w, seen, 1e14):>6.2f} h at 1e14"
    )

# %% [markdown]
# 100 TFLOP/s is an assumption, not a measurement: put in what `--dry-run` reaches on *your* GPU, and your price an hour. A small batch reaches far less
# than the data sheet says.
#
# ## 2. Several processes: the curve must not change
#
# **Data parallel** means: each process holds the whole model, takes its share of the batch, and before the optimiser steps all gradients are averaged.
# Since the loss is a mean over sequences, the mean of the shares' gradients *is* the gradient of the batch:
#
# $$\nabla\frac1B\sum_{b=1}^{B}\ell_b=\frac1P\sum_{p=1}^{P}\nabla\frac PB\sum_{b\in\text{share }p}\ell_b .$$
#
# So nothing may change but the time. In this library `--batch` is the **global** batch, of all processes together; it is dealt out in `accumulate` pieces, each with
# noise of its own. One process that works on two pieces in turn, and two processes with a piece each, compute the same sum in another order. If somebody's
# loss curve changes with the number of GPUs, then the global batch changed, or the learning rate was rescaled, or all processes drew the same noise.
#
# Hugging Face Accelerate starts the processes and carries the sums (NCCL between GPUs, gloo between CPUs):
#
#     accelerate launch --multi_gpu --num_processes 4 -m lddm_lite train --text FILE.txt --size small --lr 3e-4 --batch 256 --out runs/d
#
# Here it is in earnest, with two processes on the CPU and a tiny model. `--device cpu` stands for the GPUs. Starting Python twice takes longer
# than the training.

# %% tags=["setup"]
STEPS = ld.course.shrunk(120, 40)
coins = ld.tasks.MixtureOfProducts(length=8)
small = dict(width=16, blocks=1, heads=2)
how = dict(steps=STEPS, batch=64, lr=5e-3, warmup=10, log_every=1)


def alone(accumulate=1, data=coins, **more):
    """Train in this process: (model, history)."""
    model = ld.LatentDiffusion.preset("mdlm", coins, seed=0, **small)
    return model, ld.fit(model, data, **how, accumulate=accumulate, progress=False, **more)


def watched(command, **options):
    """Run a command to its end, with a bar of the seconds; its output."""
    with tempfile.TemporaryFile("w+") as out, tqdm(desc="processes", unit=" s") as bar:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, **options)
        try:
            while process.poll() is None:
                time.sleep(1), bar.update(1)
        finally:
            process.kill()
        out.seek(0)
        said = out.read()
    assert process.returncode == 0, said
    return said


# %%
folder = Path(tempfile.mkdtemp())
launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
launch += " --dynamo_backend no --main_process_port 0 -m lddm_lite"
train = "train --task mixture --length 8 --system mdlm --width 16 --blocks 1 --heads 2 --batch 64 --lr 5e-3 --warmup 10"
train += f" --log-every 1 --steps {STEPS} --device cpu --threads 1 --quiet"
launchers = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # nobody launched this notebook
given = {k: v for k, v in os.environ.items() if k not in launchers}
command = [sys.executable, *launch.split(), *train.split(), "--out", str(folder / "two")]
watched(command, env={**given, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, cwd=folder)

two = json.loads((folder / "two" / "config.json").read_text())["history"]["rows"]
_, pieces = alone(accumulate=2)  # one process, the same two pieces
_, whole = alone()  # one process, one piece: other noise

one, both = (torch.tensor([row["loss"] for row in rows]) for rows in (pieces.rows, two))
gap = float(((one - both).abs() / one).max())
print(f"largest relative difference between 1 and 2 processes in {STEPS} steps: {gap:.1e}")
assert gap < 1e-3

# %% tags=["figure"]
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.plot(range(1, STEPS + 1), [r["loss"] for r in whole.rows], color="#9a9a9a", lw=1.2, label="1 process, 1 piece")
ax.plot(range(1, STEPS + 1), one, color=BLUE, lw=2.2, label="1 process, 2 pieces")
ax.plot(range(1, STEPS + 1, 4), both[::4], "o", color=ORANGE, ms=4, label="2 processes, a piece each")
ax.set_xlabel("step"), ax.set_ylabel("training loss (nats)"), ax.legend(fontsize=9)
ax.spines[["top", "right"]].set_visible(False);

# %% [markdown]
# **What to see.** The dots lie on the blue line: same data, same noise, another order of summation. The grey line is a different draw of the same
# noise, so it wiggles differently around the same course. (`mdlm` was chosen on purpose. An encoder is centred by its batch; at its start all its outputs
# are alike, and centring then blows up rounding errors, so that runs of `co-seq` part sooner, without being worse.)
#
# **Stopped, and gone on.** A cluster kills jobs. `fit` finishes the step it is in, writes the weights, averages, optimiser and random generators, and `resume=True`
# continues. Not roughly: with the same bits. We press Ctrl-C by program:


# %%
class Stopping:
    """The same data, and somebody who presses Ctrl-C at batch k."""

    length, vocab, spec = coins.length, coins.vocab, coins.spec

    def __init__(self, k):
        self.left = k

    def sample(self, n, g):
        self.left -= n == how["batch"]
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return coins.sample(n, g)


through, _ = alone()
_, stopped = alone(data=Stopping(STEPS // 3), out=folder / "stopped")
resumed, history = alone(out=folder / "stopped", resume=True)
same = all(torch.equal(a, b) for a, b in zip(through.state_dict().values(), resumed.state_dict().values()))
print(
    f"stopped after step {stopped.state.meta['step']}, resumed to {history.rows[-1]['step']}; bit for bit the same: {same}"
)
assert same

# %% [markdown]
# From the command line: `python -m lddm_lite train --resume --out runs/d`. The number of processes may change on the way if `--accumulate` is a
# multiple of both. Three options that save time or memory, and how to know whether they do, on your machine:
#
# | option | what it does | measure it |
# |---|---|---|
# | `--precision bf16` | transformer blocks in bfloat16; weights, losses, averages stay float32 | `--dry-run` with and without. meant for GPUs; on a CPU it may cost time |
# | `--compile` | `torch.compile` of the blocks; pays in long runs only | `--dry-run`: its timing begins after the compiler has run |
# | `--accumulate 4` | four pieces in turn: a quarter of the activations, the same gradient | `--dry-run`: the memory line |
#
# ## 3. A new path
#
# The straight paths (M10) lead the latents by a constant. Any monotone curve is a path too, and the public way to one is a function $u\mapsto(t_x,t_z)$:
# `ld.Curve(f)` serves `sample`, `nelbo` and `RateGrid.bound`. **Contract:** $f$ maps a tensor of $u\in[0,1]$ to two tensors that do not fall, from
# $(0,0)$ to $(1,1)$. A sampler's knots are even in $u$, so *how fast* $f$ runs along the curve decides where steps are short.
#
# One knob $p$ turns the diagonal into a bow below it, in which latents lead and tokens start slowly and end fast:


# %% tags=["setup"]
def bow(p):
    """p=1 is the joint path; for large p the latents are finished before the tokens begin."""
    return ld.Curve(lambda u: (1 - (1 - u) ** p, u**p))


task = ld.tasks.Binsaw(length=32)
exact = ld.LatentDiffusion.exact(task, "shift")  # the latent is the hidden shift; all predictors exact
plain = ld.LatentDiffusion.exact(task)  # no latent

# %% [markdown]
# > **Predict, then run.** By (M11) all curves have the same bound in continuous time. Which $p$ has the lowest bound in *eight* steps? Which has the best samples?

# %%
from lddm_lite.widgets.path_explorer import stored_grids

grid = stored_grids()[0]  # the measured rates of this very model over the whole square
powers, nfe = (1, 1.5, 2, 3, 4, 6), 8
limit, finite, excess = [], [], []
for p in tqdm(powers, desc="curves"):
    limit.append(grid.bound(bow(p)).total)  # (M9)
    finite.append(grid.bound(bow(p), nfe, nfe).total)  # (M4), (M7)
    excess.append(task.score(exact.sample(n, nfe, nfe, path=bow(p), seed=0).tokens))
for p, a, b, e in zip(powers, limit, finite, excess):
    print(f"p={p:<4g} bound {a:.3f}, in {nfe} steps {b:6.2f}; excess {e['excess']:+.2f} ± {e['excess_se']:.2f}")
assert max(limit) - min(limit) < 4 * grid.bound_se + 0.02  # (M11), up to the grid's error

direct = exact.nelbo(task.sample(n, seed=3), bow(3), draws=4)  # no grid: (M9) with random u
print(f"bow(3) without the grid: {direct.total}")
assert abs(direct.total.value - limit[3]) < 4 * direct.total.stderr
four = task.score(exact.sample(n, 4, 4, path=ld.Path(0.5), seed=0).tokens)["excess"]
print(f"for comparison, sequential with 4 + 4 calls: {four:+.2f}")

# %% tags=["figure"]
fig, (left, mid, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
shades = plt.cm.viridis(torch.linspace(0, 0.85, len(powers)).numpy())
for p, colour in zip(powers, shades):
    knots = bow(p).corners()
    left.plot([k.t_x for k in knots], [k.t_z for k in knots], color=colour, lw=1.8, label=f"$p={p:g}$")
    few = bow(p).knots(nfe, nfe)
    left.plot([k.t_x for k in few], [k.t_z for k in few], "o", color=colour, ms=3)
left.set_xlabel("token noise $t_x$"), left.set_ylabel("latent noise $t_z$")
left.set_title(f"curves and their {nfe} steps", fontsize=11), left.legend(fontsize=9, ncols=2)
mid.plot(powers, limit, "s--", color="#444444", label="continuous time (M11)")
mid.plot(powers, finite, "o-", color=BLUE, label=f"{nfe} steps (M12)")
mid.set_ylabel("bound (nats)"), mid.set_title("the bound", fontsize=11), mid.legend(fontsize=9)
right.errorbar(powers, [e["excess"] for e in excess], [2 * e["excess_se"] for e in excess], fmt="o-", color=ORANGE)
right.axhline(0, color="#444444", lw=1, ls="--")
right.set_ylabel("excess of samples (nats)"), right.set_title(f"samples of {nfe} steps, ± 2 s.e.", fontsize=11)
for ax in (mid, right):
    ax.set_xlabel("$p$")
for ax in (left, mid, right):
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# **What to see.** In continuous time the bound is flat: (M11). In eight steps it prefers $p$ near 1, and the samples prefer large $p$. No contradiction: the bound also
# pays for errors in $z$, which it must describe exactly, while samples are judged by their tokens alone. **Worth it?** Against the joint path yes; the
# sequential one with the same number of calls is as good and needs no new code.
#
# A *masking schedule* is such a curve too. $t_x$ is the share of masked tokens, so "cosine" or "quadratic" schedules are no new channels but other speeds along
# the same axis. There the gain is real, and free. For tokens alone, with an exact predictor:

# %%
rows = {}
for p in (1, 1.5, 2, 4):
    slow_start = ld.Curve(lambda u, p=p: (1 - (1 - u) ** p, u))
    rows[p] = [task.score(plain.sample(n, steps, path=slow_start, seed=0).tokens)["excess"] for steps in (2, 4, 8)]
    print(f"p={p:<4g} excess in 2, 4, 8 steps:", *(f"{e:5.2f}" for e in rows[p]))
found = ld.evaluation.exact_limit(task, (2, 4, 8), n=n, schedule="best")
print("best   excess in 2, 4, 8 steps:", *(f"{r['excess']:5.2f}" for r in found), [r["counts"] for r in found])

# %% [markdown]
# **What to see.** The first tokens decide the shift for all; a schedule that reveals few of them first ($p$ between 1.5 and 2) loses clearly less than even steps at the same
# NFE. Too slow a start wastes the early calls. No formula is needed: the last row takes the numbers of visible tokens that lose least, found from what a token costs when $k$ others are visible
# (`schedule="best"`, METHOD 8; in equal counts, not ancestral ones). They are the limit to compare with.
#
# ## 4. A new channel
#
# **Contract** (`ld.parts`): a subclass of `GaussianChannel` overrides `log_snr(t)` and `speed(t)` $=-\mathrm d\lambda/\mathrm dt$; everything else, (M5) to (M8), follows from
# them. It is given to a model as `channel=`. Which schedule? One latent step costs $\frac12(\mathrm{SNR}_s-\mathrm{SNR}_t)$ times an error (M7), and SNR grows with $e^{\lambda}$:
# steps above $\lambda=0$ are dear, those below nearly free. So let the log-SNR fall slowly first and fast at the end, with a knob $c$:
#
# $$\lambda_t=\lambda_{\max}-(\lambda_{\max}-\lambda_{\min})\,\frac{t}{1+c\,(1-t)},\qquad-\frac{\mathrm d\lambda}{\mathrm dt}=(\lambda_{\max}-\lambda_{\min})\,\frac{1+c}{(1+c\,(1-t))^2}.$$


# %% tags=["setup"]
class Bent(ld.GaussianChannel):
    """log-SNR that falls slowly near the data: most steps are where they cost most."""

    c = 1.5

    def log_snr(self, t):
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t / (1 + self.c * (1 - t))

    def speed(self, t):
        return (self.log_snr_max - self.log_snr_min) * (1 + self.c) / (1 + self.c * (1 - t)) ** 2


# %% [markdown]
# Three checks that any channel must pass. (1) A step's cost is the KL divergence between the two Gaussians that it compares, (M6) with the true $z_0$ and with the guess: ask
# `torch.distributions`. (2) The rate is the limit of the cost of a short step over its length. (3) The bound of an exact model, a line integral in another parametrisation, is what it was.

# %%
channel = Bent()
g = torch.Generator().manual_seed(0)
z0, guess, z_t = (torch.randn(5, 1, 2, generator=g, dtype=torch.float64) for _ in range(3))
t, s = torch.full((5,), 0.6, dtype=torch.float64), torch.full((5,), 0.45, dtype=torch.float64)


def law(z, t, s):
    mean, variance = channel.posterior(z_t, z, t, s)
    return Independent(Normal(mean, variance.sqrt().expand_as(mean)), 2)


kl = kl_divergence(law(z0, t, s), law(guess, t, s))
torch.testing.assert_close(channel.step_cost(z0, z_t, guess, t, s), kl)
short = channel.step_cost(z0, z_t, guess, t, t - 1e-6) / 1e-6
torch.testing.assert_close(channel.rate(z0, z_t, guess, t), short, rtol=1e-3, atol=1e-6)

warped = ld.LatentDiffusion.exact(task, "shift", channel=channel)
x = task.sample(n, seed=4)
bounds = [model.nelbo(x, seed=1).total for model in (exact, warped)]
print("bound, linear and bent schedule:", *bounds)
assert abs(bounds[0].value - bounds[1].value) < 4 * math.hypot(bounds[0].stderr, bounds[1].stderr)

# %% tags=["figure"]
ks = (2, 3, 4, 6, 8, 12, 16)
cost = {"linear": [], "bent": []}
quality = {"linear": [], "bent": []}
for name, model in (("linear", exact), ("bent", warped)):
    for k in tqdm(ks, desc=name):
        cost[name].append(model.nelbo(x, token_steps=1, latent_steps=k).latents.value)
        quality[name].append(task.score(model.sample(n, 1, k, seed=0).tokens)["excess"])

fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
times = torch.linspace(0, 1, 101)
for name, model, colour in (("linear", exact, BLUE), ("bent", warped, ORANGE)):
    axes[0].plot(times, model.latent_channel.log_snr(times), color=colour, lw=2, label=name)
    axes[1].plot(ks, cost[name], "o-", color=colour, label=name)
    axes[2].plot(ks, quality[name], "o-", color=colour, label=name)
axes[0].set_xlabel("latent time $t_z$"), axes[0].set_ylabel(r"log-SNR $\lambda$"), axes[0].legend(fontsize=9)
axes[1].set_yscale("log"), axes[1].set_ylabel("latent cost (nats)")
axes[1].set_title("(M7) summed over the steps", fontsize=11)
axes[2].axhline(0, color="#444444", lw=1, ls="--"), axes[2].set_ylim(-0.5, 1.5)
axes[2].set_ylabel("excess (nats)"), axes[2].set_title("samples, one token step", fontsize=11)
for ax in axes[1:]:
    ax.set_xlabel("latent steps"), ax.set_xticks((2, 4, 6, 8, 12, 16))
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# **What to see.** In few steps the bent schedule costs clearly fewer nats; given enough of them both approach the same limit. The samples do not care: with an *exact*
# predictor two latent steps suffice, under either schedule. **Worth it?** As a bound, yes; for samples of an exact model, no. A *trained* model is worse at
# pure noise than the exact one, so for it the question is open: exercise 6.
#
# ## 5. A new task
#
# **Contract:** a subclass of `tasks.MixtureTask` says how probable its hidden components are, `log_prior` [G], and how probable each token is given one, `log_probs` [G, L, V].
# Sampling, likelihood, entropy, the Bayes-optimal predictor and all scores follow.
#
# *Bars and stripes:* a square of bits in which either whole rows or whole columns are on, each with probability ½; then each bit is flipped with a small probability.


# %% tags=["setup"]
class Bars(ld.tasks.MixtureTask):
    """Rows or columns of a square of `side` x `side` bits are on, each by a coin; bits are flipped by chance `noise`."""

    name = "bars"

    def __init__(self, side: int = 4, noise: float = 0.02):
        self._arguments = dict(side=side, noise=noise)  # kept with a saved model
        on = (torch.arange(2**side).unsqueeze(1) >> torch.arange(side)) & 1  # [2^side, side], all patterns
        rows = on.unsqueeze(2).expand(-1, side, side).flatten(1)
        both = torch.cat([rows, rows.unflatten(1, (side, side)).mT.flatten(1)])
        pictures, mode_of = both.unique(dim=0, return_inverse=True)
        p_one = pictures[mode_of].double() * (1 - 2 * noise) + noise  # [G, L]; G = 2 * 2^side
        super().__init__(torch.zeros(len(p_one)), torch.stack([1 - p_one, p_one], -1).log(), mode_of, ["0", "1"])


bars = Bars()

# %% [markdown]
# The checks that the built-in tasks pass, too, by brute force over all $2^{16}$ pictures: probabilities sum to 1; the predictor is Bayes' rule; samples have the entropy; true samples score zero.


# %% tags=["setup"]
def check_task(task, seed=0):
    """AssertionError where a small exact task contradicts itself."""
    everything = task.all_sequences()
    p = task.log_prob(everything).exp()
    assert abs(float(p.sum()) - 1) < 1e-9, "the probabilities do not sum to 1"
    x = task.sample(8192, seed)
    g = torch.Generator().manual_seed(seed)
    for row in x[:4]:  # some masks, and what Bayes' rule says of them
        seen = row.masked_fill(torch.rand(task.length, generator=g) < 0.6, task.mask_id)
        w = p * ((everything == seen) | (seen == task.mask_id)).all(1)
        by_sum = torch.stack([(w.unsqueeze(1) * (everything == v)).sum(0) for v in range(task.vocab)], -1) / w.sum()
        torch.testing.assert_close(task.predict(seen.unsqueeze(0))[0], by_sum, rtol=0, atol=1e-8)
    score = task.score(x)
    assert abs(score["excess"]) < 4 * score["excess_se"], "true samples must have excess 0"
    assert abs(score["mode_tv"] - score["mode_tv_fresh"]) < 0.05, "true samples must show all modes"
    model = ld.LatentDiffusion.exact(task)
    bound = model.nelbo(x[:2048], draws=4, seed=seed).total
    assert abs(bound.value - task.entropy().value) < 4 * bound.stderr, "the exact model's bound is the entropy"
    return score


score = check_task(bars)
print(f"{bars}: {bars.modes} pictures, entropy {bars.entropy()} nats")
print(f"excess of true samples {score['excess']:+.3f} ± {score['excess_se']:.3f}")

# %% [markdown]
# > **Predict, then run.** What will the exact predictor, without latents, draw in one step? Think of the marginal of a single bit.

# %% tags=["figure"]
knows = ld.LatentDiffusion.exact(bars)
shows = {"data": bars.sample(24, seed=1)}
for steps in (1, 4, 16):
    shows[f"exact, {steps} step{'s' * (steps > 1)}"] = torch.as_tensor(knows.sample(24, steps, seed=1).tokens)
fig, axes = plt.subplots(1, 4, figsize=(10.5, 2.6), layout="constrained")
for ax, (title, bits) in zip(axes, shows.items()):
    tiles = F.pad(bits.view(4, 6, 4, 4).float(), (0, 1, 0, 1), value=0.5)  # grey seams
    ax.imshow(tiles.permute(0, 2, 1, 3).reshape(20, 30), cmap="cividis", vmin=0, vmax=1)
    ax.set_title(title, fontsize=11), ax.axis("off")

# %%
for steps in ("even", "best"):
    found = ld.evaluation.exact_limit(bars, (1, 2, 4, 8, 16), n=ld.course.shrunk(4096, 512), schedule=steps)
    print(f"exact, {steps} steps:", *(f"{r['nfe']} calls {r['excess']:+.2f}" for r in found), sep="   ")
codes = ld.LatentDiffusion.preset(
    "di-seq", bars, codes=64, width=32, blocks=2, encoder_blocks=1, network="text", seed=0
)
ld.fit(codes, bars, steps=ld.course.shrunk(600), lr=3e-3, few_step1=1.0, late_codes=True, seed=0)
rows = ld.evaluation.frontier(codes, bars, (1, 2), latent_steps=1, n=ld.course.shrunk(2048, 256))
print("di-seq:          ", *(f"{r['nfe']} calls {r['excess']:+.2f} ± {r['excess_se']:.2f}" for r in rows), sep="   ")

# %% [markdown]
# **Worth it?** The task is worth having: what is shared here is one of 30 pictures, a *set* rather than a circle, and a mistake is visible. The small
# `di-seq`, whose latent is one of 64 codes, is below the exact predictor at two calls, in even steps and in the best ones. A third call gains it nothing, and four best steps without any latent are better. 600 steps are few: longer training is your first experiment.
#
# A saved model keeps its task by name. `ld.tasks.TASKS["bars"] = Bars` makes the name known in *this* process, and nowhere else: a command in a terminal
# has never seen `Bars`. Put the class and that line into a file `mine.py`, end it with `from lddm_lite.__main__ import main` and `main()`, and `python mine.py evaluate FOLDER` works
# like `python -m lddm_lite evaluate FOLDER`. (`train --task` takes the built-in names only; train with `ld.fit`.)
#
# ## 6. A new encoder
#
# **Contract:** a module, $x_0$ [B, L] → $z_0$ [B, m, d] of about unit scale. Without weights of its own it needs no stage 1, and `fit` leaves that out. What could one write down by hand for Binsaw? Bits under a
# wave with a hidden shift: the *phase* of that wave. The Fourier mode at the wave's frequency $k$, put on a circle:


# %% tags=["setup"]
class Phase(nn.Module):
    """z_0 = sqrt(2) (cos, sin) of the phase of the bits' Fourier mode `frequency`: [B, L] -> [B, 1, 2]."""

    def __init__(self, config, frequency=2):
        super().__init__()
        angle = 2 * math.pi * frequency * torch.arange(config.length) / config.length
        self.register_buffer("waves", torch.stack([angle.cos(), angle.sin()], 1))  # [L, 2]

    def forward(self, x):
        return math.sqrt(2) * F.normalize((2.0 * x - 1) @ self.waves, dim=-1).unsqueeze(1)


def trained(**parts):
    """co-seq on Binsaw with the given parts, and the CPU seconds of its training."""
    body = dict(width=32, blocks=2, heads=4, encoder_blocks=1)
    model = ld.LatentDiffusion.preset("co-seq", task, dim=2, seed=0, **body, **parts)
    began = time.process_time()
    ld.fit(model, task, steps=ld.course.shrunk(700), few_step1=0.9, seed=0)
    return model, time.process_time() - began


def weigh(name, model, seconds):
    """One row of the comparison."""
    drawn = task.score(model.sample(n, token_steps=1, latent_steps=16, seed=0).tokens)
    bound = model.nelbo(task.sample(ld.course.shrunk(2048, 256), seed=7)).total
    size = sum(p.numel() for p in model.denoiser.parameters())
    excess = f"{drawn['excess']:+.2f} ± {drawn['excess_se']:.2f}"
    print(f"{name:<27} {size:>7,} weights {seconds:4.0f} CPU s  NELBO {bound}  excess {excess}")
    return drawn["excess"]


# %%
learned, learned_s = trained()
phase, phase_s = trained(encoder=Phase)

# %%
weigh("learned encoder", learned, learned_s)
weigh("phase, nothing learned", phase, phase_s)
without = task.score(plain.sample(n, 1, seed=0).tokens)["excess"]
print(f"exact predictor in one call, no latent: {without:+.2f}; entropy {task.entropy()}")
assert torch.allclose(phase.encode(x).norm(dim=-1), torch.tensor(math.sqrt(2)))  # on the sphere of radius √d

# %% tags=["figure"]
x_map = task.sample(600, seed=8)
hue = task.find_shift(x_map) / task.period
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained")
for ax, model, title in zip(axes, (learned, phase), ("learned", "phase of mode 2")):
    with torch.no_grad():
        z = model.latent_channel.corrupt(
            model.encode(x_map), torch.zeros(len(x_map)), torch.Generator().manual_seed(0)
        )[:, 0]
    dots = ax.scatter(*z.T, c=hue, cmap="twilight", s=10, vmin=0, vmax=1)
    ax.set_aspect("equal"), ax.set_title(title, fontsize=11), ax.set_xlabel("$z_1$"), ax.set_ylabel("$z_2$")
    ax.spines[["top", "right"]].set_visible(False)
fig.colorbar(dots, ax=axes, label="hidden shift / period");
# %% [markdown]
# **What to see.** Each dot is a sequence's latent at the noise floor, coloured by its true shift. Both encoders go round the circle once as the shift does. Both bring one-call
# samples far below the eight nats of excess that a model without latent has. **Worth it?** Change the seeds before you answer: 700 steps are few, one run is one run, and the learned encoder has to be found first.
# A formula cannot collapse and needs no stage 1; that makes it a tool for finding faults (is it the encoder, or the rest?) and a baseline that a learned encoder has to beat.
#
# **Saving.** A file holds weights and no code. A model with parts of its own is saved like any other, and loaded only with the same parts:

# %%
phase.save(folder / "phase")
try:
    ld.load(folder / "phase")
except CheckpointError as error:
    print(str(error).replace(str(folder), "…"))
again = ld.load(folder / "phase", encoder=Phase)
assert (again.sample(8, 1, 4, seed=1).tokens == phase.sample(8, 1, 4, seed=1).tokens).all()

# %% [markdown]
# What the weights do not show is your own affair: `Phase(config, frequency=3)` would be accepted here, if `waves` were not kept as a buffer and overwritten by the file's.
#
# ## 7. A new network
#
# **Contract:** `forward(x_t, z_t, t_z, where, need_latents, lengths)` → `ld.Prediction(tokens, latents)`; tokens are log-probabilities, a row for each True in `where`; latents the guess of $z_0$. `x_t=None` means: all masked,
# and no token is asked for. Construction makes a trial call and names what does not fit. Binsaw's bits know only their neighbours and the shift; do we need attention? Dilated circular
# convolutions for the tokens, told of $z$ by a scale and a shift of each channel, and a small MLP for the latent:


# %% tags=["setup"]
class Convolutions(nn.Module):
    def __init__(self, config, width=32):
        super().__init__()
        self.c, self.gauss = config, ld.GaussianChannel(config.log_snr_max, config.log_snr_min)
        self.embed = nn.Embedding(config.vocab + 1, width)
        self.place = nn.Parameter(torch.randn(config.length, width))
        dilated = ((1, 1), (2, 2), (4, 4), (8, 8))
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=p, dilation=d, padding_mode="circular") for p, d in dilated
        )
        seen = config.slots * config.dim
        self.tell = nn.Sequential(nn.Linear(seen + 1, 64), nn.GELU(), nn.Linear(64, 2 * width * len(dilated)))
        self.head = nn.Linear(width, config.vocab)
        self.guess = nn.Sequential(
            nn.Linear(seen + 1 + width, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, seen)
        )

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        c, n = self.c, len(z_t)
        x_t = torch.full((n, c.length), c.vocab, device=z_t.device) if x_t is None else x_t
        about = torch.cat([z_t.flatten(1), 2 * t_z.view(n, 1) - 1], 1)  # [B, m d + 1]
        h = (self.embed(x_t) + self.place).transpose(1, 2)  # [B, W, L]
        for layer, told in zip(self.layers, self.tell(about).chunk(len(self.layers), 1)):
            scale, shift = told.unsqueeze(2).chunk(2, 1)  # [B, W, 1] each
            h = h + F.gelu((1 + scale) * layer(h) + shift)
        tokens = latents = None
        if where is not None:
            tokens = self.head(h.transpose(1, 2)[where]).log_softmax(-1)  # [N, V]
        if need_latents:
            a, sigma = self.gauss.coefficients(t_z.view(n, 1, 1))
            change = self.guess(torch.cat([about, h.mean(2)], 1)).view_as(z_t)
            latents = a * z_t + sigma * change  # right at both ends before anything is learned
        return ld.Prediction(tokens, latents)


# %%
try:  # the trial call says what is wrong
    ld.LatentDiffusion.preset("co-seq", task, dim=2, denoiser=nn.Linear(2, 2))
except ValueError as error:
    print(error)

conv, conv_s = trained(encoder=Phase, denoiser=Convolutions)

# %%
weigh("transformer, phase encoder", phase, phase_s)
weigh("convolutions, phase encoder", conv, conv_s);
# %% [markdown]
# **What to see.** With $z$ given, the bits are independent and each depends on $z$ and its place alone: a network that looks at neighbours and is told $z$ can do it, with a third fewer weights. Its bound is that of the transformer
# within the errors, and its excess lies a little *below* 0: samples vary too little by some tenths of a nat. **Worth it?** Here it is smaller, and no better. And the comparison is one of 700 steps on one task; where far tokens must agree *without* a
# latent, attention has its place.
#
# ## Summary
#
# - Cost: $6ND$ FLOPs, 20 bytes a weight and the activations; `--dry-run` measures, the rule checks.
# - Data parallel is bookkeeping: same global batch and same pieces, same curve. Resuming is exact.
# - A path is a function (`ld.Curve`), a channel a subclass (`channel=`), a task two tables (`MixtureTask`), an encoder or a network a module (`encoder=`, `denoiser=`).
# - For each: first the identity that must hold, then the number that says whether it was worth it. Several times above it was not.

# %% [markdown] tags=["exercises"]
# ## Exercises
#
# **1 (pencil).** *A bill.* A model of 30 million weights (embedding left out) is to see $10^9$ tokens on four GPUs that reach 50 TFLOP/s each, at 2 money units an hour and GPU. By $6ND$:
# (a) how many hours does it take, (b) what does it cost, and (c) what would it cost on eight of them, if nothing is lost?

# %% tags=["exercise"]
bill = ...  # [a, b, c]

# %% tags=["solution"]
bill = [hours(30e6, 1e9, 4 * 50e12), hours(30e6, 1e9, 4 * 50e12) * 4 * 2, hours(30e6, 1e9, 8 * 50e12) * 8 * 2]

# %% [markdown] tags=["solution"]
# A quarter of an hour, two units, and two units again: data parallel buys time, not money, until the pieces become too small to keep a GPU busy.

# %% tags=["check"]
gpu_hours = 6 * 30e15 / 50e12 / 3600
ld.selfcheck(
    1,
    bill,
    [gpu_hours / 4, 2 * gpu_hours, 2 * gpu_hours],
    tol=1e-3,
    mistakes={
        "that is the forward pass; the backward pass costs twice as much again": [
            v * gpu_hours for v in (1 / 12, 2 / 3, 2 / 3)
        ],
        "four GPUs work at once: (a) is a quarter of that": [gpu_hours, 2 * gpu_hours, 2 * gpu_hours],
        "eight GPUs take half the time, and there are twice as many to pay": [gpu_hours / 4, 2 * gpu_hours, gpu_hours],
        "(b), (c): every GPU is paid for": [gpu_hours / 4, gpu_hours / 2, gpu_hours / 4],
    },
);
# %% [markdown]
# **2 (pencil).** *What must the latent carry?* Take bars and stripes without noise, `Bars(noise=0)` in thought: 16 patterns of rows, 16 of columns, and two pictures that are both.
# How many nats must $z$ carry at least, so that one token step can be perfect?

# %% tags=["exercise"]
nats = ...

# %% tags=["solution"]
nats = 28 / 32 * math.log(32) + 2 * (2 / 32) * math.log(16)

# %% [markdown] tags=["solution"]
# Given $z$, one step draws the bits independently. To be perfect they must be certain, since bits of one picture are not independent otherwise: $z$ must name the picture, whose entropy is this. The two
# pictures that are rows and columns at once, all on and all off, come twice as often as the other 28. A continuous latent with a noise floor carries it with room to spare; a code needs at least 30 entries.

# %% tags=["check"]
clean = Bars(noise=1e-9).entropy().value
ld.selfcheck(
    2,
    nats,
    clean,
    tol=1e-4,
    unit="nats",
    mistakes={
        "the 30 pictures are not equally likely: all on and all off come twice as often": math.log(30),
        "32 patterns, but two pairs of them look alike": math.log(32),
        "these are bits; a nat is 1/ln 2 bits": clean / math.log(2),
    },
);


# %% [markdown]
# **3 (code).** *A cosine schedule of the tokens.* The usual "cosine schedule" of masked models keeps the share $t_x=\sin(\pi u/2)$ of the tokens masked when a share $u$ of the steps is still to come. Write it as a path for
# a model without latents ($t_z=u$, which nobody reads).


# %% tags=["exercise"]
def cosine():
    return ...


# %% tags=["solution"]
def cosine():
    return ld.Curve(lambda u: (torch.sin(math.pi * u / 2), u))


# %% tags=["solution"]
for name, path in (("cosine", cosine()), ("even", None)):
    print(name, f"{task.score(plain.sample(n, 4, path=path, seed=0).tokens)['excess']:.2f} nats of excess in 4 steps")

# %% tags=["check"]
angles = torch.arange(8, -1, -1) * math.pi / 16
with ld.course.checking(3, "a path, `ld.Curve(...)`"):
    made = cosine()
    ld.selfcheck(
        3,
        made if made is ... else [k.t_x for k in made.knots(8)],
        angles.sin(),
        mistakes={
            "these are even steps": torch.arange(8, -1, -1) / 8,
            "that starts fast and ends slowly: at u the share is sin(πu/2), not 1 - cos(πu/2)": 1 - angles.cos(),
            "that is the square of the share": angles.sin() ** 2,
        },
    )


# %% [markdown]
# **4 (code).** *Variance exploding.* Another tradition never shrinks the signal: $z_t=z_0+\sigma_t\varepsilon$ with $\sigma_t^2=e^{-\lambda_t}$, and pure noise is $\mathcal N(0,\sigma_1^2I)$. Override three methods:
# `coefficients(t)` → $(a_t,\sigma_t)$, `prior(shape, g)`, and `prior_kl(z0)` [B], the KL divergence of $\mathcal N(z_0,\sigma_1^2I)$ from $\mathcal N(0,\sigma_1^2I)$. Before you run it: how do rate and bound differ from those of the usual channel?


# %% tags=["exercise"]
class Exploding(ld.GaussianChannel):
    def coefficients(self, t):
        return ...

    def prior(self, shape, g):
        return ...

    def prior_kl(self, z0):
        return ...


# %% tags=["solution"]
class Exploding(ld.GaussianChannel):
    def coefficients(self, t):
        lam = self.log_snr(t)
        return torch.ones_like(lam), (-lam / 2).exp()

    def prior(self, shape, g):
        return math.exp(-self.log_snr_min / 2) * torch.randn(shape, generator=g)

    def prior_kl(self, z0):
        return 0.5 * math.exp(self.log_snr_min) * z0.pow(2).flatten(1).sum(1)


# %% tags=["solution"]
loud = ld.LatentDiffusion.exact(task, "shift", channel=Exploding())
bits = task.sample(n, seed=4)
print("usual     ", exact.nelbo(bits, seed=1))
print("exploding ", loud.nelbo(bits, seed=1))

# %% [markdown] tags=["solution"]
# Not at all, apart from the tiny prior term: rates depend on the SNR alone, and dividing $z_t$ by $a_t$ changes no information. A *network* does see a difference, since its input now has the scale $\sigma_t$ up to 20. The library's
# denoiser guesses $a_tz_t+\sigma_tF$, which is right for unit variance only: a trained model needs a denoiser that rescales its input first.

# %% tags=["check"]
usual, mine = ld.GaussianChannel(), Exploding()
a_s = mine.coefficients(torch.tensor([0.25]))
ready = (
    a_s is not ... and mine.prior((1,), torch.Generator()) is not ... and mine.prior_kl(torch.ones(1, 1, 2)) is not ...
)
vp = torch.stack(usual.coefficients(torch.tensor([0.25])))
ld.selfcheck(
    "4, coefficients",
    torch.stack([torch.as_tensor(v).expand(1) for v in a_s]) if ready else ...,
    vp / vp[0],
    mistakes={
        "these are the usual ones: the signal shrinks": vp,
        "the second is the standard deviation, the root of the variance": (vp / vp[0]) ** torch.tensor([[1.0], [2.0]]),
    },
)
wide = float(mine.prior((4096,), torch.Generator().manual_seed(0)).std()) if ready else ...
ld.selfcheck(
    "4, prior",
    wide,
    math.exp(3),
    tol=0.05,
    mistakes={"pure noise has the standard deviation σ₁, not 1": 1.0, "that is the variance": math.exp(6)},
)
ends = torch.full((1, 1, 2), math.exp(3))
kl = kl_divergence(
    Independent(Normal(torch.ones(1, 1, 2), ends), 2), Independent(Normal(torch.zeros(1, 1, 2), ends), 2)
)
ld.selfcheck(
    "4, prior_kl",
    mine.prior_kl(torch.ones(1, 1, 2)) if ready else ...,
    kl,
    tol=1e-6,
    mistakes={
        "that is the usual channel's": usual.prior_kl(torch.ones(1, 1, 2)),
        "half of it: the KL of Gaussians has a factor ½": 2 * kl,
    },
);


# %% [markdown]
# **5 (code).** *A task.* On a ring of `length` bits a block of `width` ones begins at a hidden place, each equally likely; the other bits are 0; then each bit is flipped with probability `noise`. Write it as a `MixtureTask`, one component for each place.


# %% tags=["exercise"]
class Block(ld.tasks.MixtureTask):
    name = "block"

    def __init__(self, length=12, width=4, noise=0.05):
        self._arguments = dict(length=length, width=width, noise=noise)
        log_prior = ...  # [G]
        log_probs = ...  # [G, L, 2]
        if log_probs is not ...:
            super().__init__(log_prior, log_probs)


# %% tags=["solution"]
class Block(ld.tasks.MixtureTask):
    name = "block"

    def __init__(self, length=12, width=4, noise=0.05):
        self._arguments = dict(length=length, width=width, noise=noise)
        place = torch.arange(length)
        one = (place - place.unsqueeze(1)) % length < width  # [G, L]
        p = one.double() * (1 - 2 * noise) + noise
        super().__init__(torch.zeros(length), torch.stack([1 - p, p], -1).log())


# %% tags=["check"]
block, probe = Block(), torch.tensor([[1, 1, 1, 1] + [0] * 8, [0] * 12, [1, 1] + [0] * 8 + [1, 1]])
got = block.log_prob(probe) if hasattr(block, "probs") else ...


def of_block(flip, ring=True):
    """log p of the probes, summed over places in plain Python."""
    out = []
    for row in probe.tolist():
        total = 0.0
        for start in range(12):
            ones = {(start + i) % 12 if ring else start + i for i in range(4)}
            wrong = sum(bit != (i in ones) for i, bit in enumerate(row))
            total += flip**wrong * (1 - flip) ** (12 - wrong) / 12
        out.append(math.log(total))
    return out


ld.selfcheck(
    5,
    got,
    of_block(0.05),
    tol=1e-6,
    mistakes={
        "the bits lie on a ring: a block that begins near the end goes on at the start": of_block(0.05, ring=False),
        "ones and zeros are the other way round": of_block(0.95),
    },
)
if got is not ...:
    check_task(block)

# %% [markdown]
# **6 (experiment).** *Does the schedule matter to a trained model?* Train twice with `trained(encoder=Phase, channel=...)`, the usual `ld.GaussianChannel()` and `Bent()`; draw 4,096 samples each in one token step with 2, 4 and 16 latent steps, and
# score them. Answer with the two models, [usual, squared]. Then write one sentence about which you would take, and what you would still have to do before you believe it.

# %% tags=["exercise"]
both = ...  # [usual, squared]

# %% tags=["solution"]
both = []
for kind in (ld.GaussianChannel(), Bent()):
    model, _ = trained(encoder=Phase, channel=kind)
    scores = [task.score(model.sample(n, 1, k, seed=0).tokens) for k in (2, 4, 16)]
    both.append(model)
    print(type(kind).__name__, *(f"{s['excess']:+.2f} ± {s['excess_se']:.2f}" for s in scores), sep="   ")

# %% [markdown] tags=["solution"]
# What was a gain for the bound is a loss here, and a large one. The schedule also decides at which noise the network is *trained*, since times are drawn uniformly in $t$: strong noise, where the direction is chosen, is now seen rarely. Two effects in one
# comparison; exercise 7 asks to part them. As for small differences: standard errors do not contain the luck of training, so that a second seed is the least before a tenth of a nat is believed.

# %% tags=["check"]
kinds_6 = both
if isinstance(both, list | tuple) and all(isinstance(m, ld.LatentDiffusion) for m in both):
    fresh = ld.LatentDiffusion.preset("co-seq", task, dim=2, width=32, blocks=2, heads=4, encoder_blocks=1, seed=0)
    begun = fresh.denoiser.head.weight
    kinds_6 = []
    for m in both:
        learned = m.denoiser.head.weight.shape == begun.shape and not torch.equal(m.denoiser.head.weight, begun)
        kinds_6.append([float(type(m.latent_channel) is Bent), float(learned), float(type(m.encoder) is Phase)])
ld.selfcheck(
    6, kinds_6, [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
    mistakes={
        "the other way round: the usual schedule comes first": [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]],
        "one of them has not been trained": [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]],
        "both have the usual schedule": [[0.0, 1.0, 1.0]] * 2,
    },
);  # fmt: skip

# %% [markdown]
# **7 (research, open).** *Where do latent steps belong?* The knots of a continuous latent have been placed evenly in log-SNR, or bent by hand. Find a better placement for a *trained* model, at a fixed budget of 4 latent steps and 1 token step, and say what it is worth.
#
# Ways in: (a) measure the latent rate of the trained model over $t_z$ (`ld.along_path`), and choose the $\lambda_t$ that makes every step cost the same; (b) a `Curve` whose latents move unevenly, with no retraining at all; (c) DDIM steps, `eta=0`; (d) training times as
# they are, or reweighted with the schedule.
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | question | "try things" | a placement named | a prediction, written down before the run |
# | identity | none | the schedule passes the three checks of section 4 | and continuous-time bounds agree within their errors |
# | comparison | other NFE | same NFE, one seed | same NFE and same training, 3 seeds or more, errors over seeds |
# | quality | excess alone | excess and `mode_tv`, so that dropped modes show | and on a second task, e.g. `Bars` |
# | honesty | best run shown | all runs shown | also where it does not help, and why |
#
# Eight points make a workshop paper's first figure.
