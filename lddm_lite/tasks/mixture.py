"""Tasks whose law is a finite mixture of products, so that everything about them is exact.

    p*(x) = sum_g pi_g prod_i p_g(x_i)

Given the hidden component g the positions are independent: the dependence between tokens, which a
factorised few-step sampler loses, lies entirely in g. Posterior, likelihood and Bayes-optimal
predictor are all one logsumexp over components. Binsaw and the toy newswire are special cases.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .._common import arguments, randomness, schemas
from .._common.estimate import Estimate
from .._common.randomness import draw_categorical

__all__ = ["MixtureOfProducts", "MixtureTask"]

_FLOOR = 1e-300  # log(0) is kept finite (-690.8) so that 0 * log(0) stays 0 in the matrix products
_ENUMERABLE = 1 << 17  # sequences; up to here the entropy is a sum, beyond it a Monte Carlo mean
_CHUNK = 1 << 25  # entries of the largest intermediate array


class MixtureTask:
    """Base of all exact tasks. Arguments: `log_prior` [G] and `log_probs` [G, L, V] in nats
    (float64), `mode_of` [G] the hidden mode each component belongs to, `labels` the V words shown
    for the token ids.

    Source: METHOD section 8. All methods take and return CPU tensors; likelihoods are float64, in
    nats per sequence. Raises ValueError for shapes that disagree and for tokens out of range.
    """

    name = "mixture-task"

    def __init__(self, log_prior, log_probs, mode_of=None, labels=None):
        log_prior = arguments.tensor("log_prior", log_prior).double()
        log_probs = arguments.tensor("log_probs", log_probs).double()
        if log_probs.dim() != 3 or log_prior.shape != log_probs.shape[:1]:
            raise ValueError(
                f"log_probs must be [G, L, V] and log_prior [G], "
                f"got {tuple(log_probs.shape)} and {tuple(log_prior.shape)}"
            )
        arguments.within("components", log_probs.numel(), "log_probs: their number")
        if not log_probs.numel() or bool(log_probs.isnan().any() or log_prior.isnan().any()):
            raise ValueError("log_probs and log_prior must hold numbers, one at least, and no nan")
        self.log_prior = log_prior - log_prior.logsumexp(0)
        self.probs = log_probs.softmax(-1)  # [G, L, V]
        self.components, self.length, self.vocab = log_probs.shape
        self.mask_id = self.vocab
        mode_of = torch.arange(self.components) if mode_of is None else arguments.tensor("mode_of", mode_of)
        if mode_of.shape != log_prior.shape or mode_of.is_floating_point() or int(mode_of.min()) < 0:
            got = tuple(mode_of.shape)
            raise ValueError(f"mode_of must hold {self.components} numbers of modes, got shape {got}")
        self.mode_of = mode_of.long()
        self.modes = int(self.mode_of.max()) + 1
        labels = [str(v) for v in range(self.vocab)] if labels is None else labels
        self.labels = arguments.texts("labels", labels, blank=True)
        if len(self.labels) != self.vocab:
            raise ValueError(f"labels must be {self.vocab}, one for each token, got {len(self.labels)}")
        # one extra all-zero row per position: a masked token says nothing about the component
        logp = self.probs.clamp_min(_FLOOR).log().permute(1, 2, 0)  # [L, V, G]
        self._table = F.pad(logp, (0, 0, 0, 1)).reshape(self.length * (self.vocab + 1), self.components)
        self._flat = self.probs.reshape(self.components, self.length * self.vocab)
        self._entropy: Estimate | None = None

    # -- the law -----------------------------------------------------------------------------------------
    @schemas.checked("seed")
    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` fresh sequences [n, L], int64, exactly from p*. `seed`: an integer or a
        torch.Generator.

        >>> MixtureOfProducts(length=4).sample(3).shape
        torch.Size([3, 4])
        """
        arguments.within("tokens", arguments.integer("n", n, minimum=1) * self.length, "n * length")
        g = randomness.generator(seed)
        comp = draw_categorical(self.log_prior.expand(n, -1), g)  # [n]
        cdf = self.probs.cumsum(-1)  # [G, L, V]
        u = randomness.rand((n, self.length, 1), g, dtype=torch.float64)
        return (u >= cdf[comp]).sum(-1).clamp_max(self.vocab - 1)

    def log_joint(self, x) -> torch.Tensor:
        """log pi_g + sum over visible i of log p_g(x_i): [B, G], nats. Masked positions (id V) are
        summed out."""
        x = arguments.tokens("x", x, self.length, self.vocab, mask_ok=True).cpu()
        step = max(1, _CHUNK // self._table.shape[0])
        out = [F.one_hot(c, self.vocab + 1).flatten(1).double() @ self._table for c in x.split(step)]
        return torch.cat(out) + self.log_prior

    def log_prob(self, x) -> torch.Tensor:
        """Exact log p*(x) [B], nats per sequence; with masked positions the marginal of the visible
        ones.

        >>> task = MixtureOfProducts(length=3)
        >>> float(task.log_prob(task.all_sequences()).exp().sum())  # doctest: +ELLIPSIS
        1.0...
        """
        return self.log_joint(x).logsumexp(-1)

    def posterior(self, x) -> torch.Tensor:
        """p(g | visible tokens) [B, G]."""
        return self.log_joint(x).softmax(-1)

    def predict(self, x_t) -> torch.Tensor:
        """Bayes-optimal p(x_0^i | visible tokens) [B, L, V], float64; a visible token is predicted
        as itself.

        >>> task = MixtureOfProducts(length=3)
        >>> task.predict([[0, 2, 1]]).sum(-1).round(decimals=6)
        tensor([[1., 1., 1.]], dtype=torch.float64)
        """
        x_t = arguments.tokens("x_t", x_t, self.length, self.vocab, mask_ok=True).cpu()
        p = (self.posterior(x_t) @ self._flat).reshape(-1, self.length, self.vocab)
        seen = (x_t != self.mask_id).unsqueeze(-1)
        return torch.where(seen, F.one_hot(x_t.clamp_max(self.vocab - 1), self.vocab).double(), p)

    def all_sequences(self) -> torch.Tensor:
        """Every sequence [V**L, L]; ValueError when there are more than 131,072."""
        count = self.vocab**self.length
        if count > _ENUMERABLE:
            raise ValueError(f"{self.vocab}**{self.length} sequences are too many to enumerate (limit {_ENUMERABLE})")
        digits = self.vocab ** torch.arange(self.length - 1, -1, -1)
        return (torch.arange(count).unsqueeze(-1) // digits) % self.vocab

    def entropy(self) -> Estimate:
        """H(p*) in nats per sequence: exact by enumeration on tiny tasks, else the mean of 131,072
        exact log-likelihoods (fixed seed) with its standard error.

        >>> MixtureOfProducts(length=4).entropy().stderr
        0.0
        """
        if self._entropy is None:
            if self.vocab**self.length <= _ENUMERABLE:
                lp = self.log_prob(self.all_sequences())
                self._entropy = Estimate(float(-(lp.exp() * lp).sum()))
            else:
                g = randomness.generator(20_251_018)
                self._entropy = Estimate.of(torch.cat([-self.log_prob(self.sample(1 << 13, g)) for _ in range(16)]))
        return self._entropy

    # -- what a sampler is judged by -----------------------------------------------------------------------
    def mode_mass(self, x) -> torch.Tensor:
        """Expected share of each hidden mode among samples `x`: [modes], sums to 1."""
        w = self.posterior(x).mean(0)
        return torch.zeros(self.modes, dtype=w.dtype).index_add_(0, self.mode_of, w)

    def mode_tv(self, x) -> float:
        """Total variation between the hidden modes of `x` and the true ones: 0 = all there, 1 = all
        missing."""
        true = torch.zeros(self.modes, dtype=torch.float64).index_add_(0, self.mode_of, self.log_prior.exp())
        return float((self.mode_mass(x) - true).abs().sum() / 2)

    def coherent(self, x) -> torch.Tensor:
        """Bool [B]: may a sequence be called a clean member of one hidden mode? Here: its
        likelihood is no lower than that of all but 1 in 1,000 true sequences."""
        if not hasattr(self, "_low"):
            self._low = torch.quantile(self.log_prob(self.sample(8192, 31)), 0.001)
        return self.log_prob(x) >= self._low

    def score(self, x, seed: int = 1) -> dict[str, float]:
        """Judge samples [B, L] of law q. Keys: `excess` = mean of -log p*(x) minus H(p*), nats per
        sequence, with `excess_se`; `mode_tv` beside `mode_tv_fresh`, what as many true samples show
        by chance; `coherent`, a share with `coherent_fresh`; and the sliced Wasserstein distance
        `swd` with `swd_fresh` when the tokens are numbers.

        The excess is KL(q||p*) + H(q) - H(p*), no divergence: a wrong law of too little entropy can
        have none, and all the other scores in order. `evaluation.divergences` tells (METHOD 8).

        >>> task = MixtureOfProducts()
        >>> abs(task.score(task.sample(2000, seed=3))["excess"]) < 0.3
        True
        """
        from .scores import sliced_wasserstein

        x, seed = arguments.tokens("x", x, self.length, self.vocab).cpu(), arguments.seed("seed", seed)
        ent, nll = self.entropy(), Estimate.of(-self.log_prob(x))
        fresh = self.sample(len(x), seed=(1_000_003 + seed) % 2**63)
        out = {
            "excess": nll.value - ent.value,
            "excess_se": math.hypot(nll.stderr, ent.stderr),
            "mode_tv": self.mode_tv(x),
            "mode_tv_fresh": self.mode_tv(fresh),
            "coherent": float(self.coherent(x).double().mean()),
            "coherent_fresh": float(self.coherent(fresh).double().mean()),
        }
        if self.vocab == 2:
            others = self.sample(len(x), seed=(2_000_003 + seed) % 2**63)
            out["swd"] = sliced_wasserstein(x, others, seed=seed)
            out["swd_fresh"] = sliced_wasserstein(fresh, others, seed=seed)
        return out

    def spec(self) -> dict:
        """What `tasks.make` needs to build this task again: {"task": name, ...arguments}."""
        return {"task": self.name, **getattr(self, "_arguments", {})}

    def __repr__(self) -> str:
        args = ", ".join(f"{k}={v!r}" for k, v in getattr(self, "_arguments", {}).items())
        return f"{type(self).__name__}({args})"


class MixtureOfProducts(MixtureTask):
    """Mixture of product distributions: K random prototypes, each token flipped to another one with
    probability `noise`.

    The smallest picture of the factorisation effect: modes can be counted. Source: METHOD section
    8.

    - `length`, `modes`, `vocab`: L, K and V;
    - `noise`: in [0, 1);
    - `seed`: of the prototypes.

    >>> MixtureOfProducts(length=6, modes=3).sample(2).shape
    torch.Size([2, 6])
    """

    name = "mixture"

    def __init__(self, length: int = 16, modes: int = 4, vocab: int = 2, noise: float = 0.05, seed: int = 0):
        sizes = (("length", length, 1), ("modes", modes, 1), ("vocab", vocab, 2))
        length, modes, vocab = (arguments.integer(name, value, least) for name, value, least in sizes)
        arguments.within("components", length * modes * vocab, "length * modes * vocab")
        noise, seed = arguments.number("noise", noise, 0.0, 1.0), arguments.seed("seed", seed)
        self._arguments = dict(length=length, modes=modes, vocab=vocab, noise=noise, seed=seed)
        proto = torch.randint(vocab, (modes, length), generator=randomness.generator(seed))
        self.prototypes = proto
        p = torch.full((modes, length, vocab), noise / (vocab - 1), dtype=torch.float64)
        p.scatter_(-1, proto.unsqueeze(-1), 1 - noise)
        super().__init__(torch.zeros(modes), p.clamp_min(_FLOOR).log())
