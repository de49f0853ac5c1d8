"""Mixture encoder, codes that are the classes of a mixture of products: what a single call of the
token stream can say of a code.

Given its latents, one call draws all tokens independently of each other. With one code k of K, what
it can reach is sum_k p(k) prod_i p(x_i | k), a mixture of products (METHOD 8 has the same family as
a task). The best one, and with it the best code for each sequence, is found before any network is
trained: by hard expectation-maximisation (Celeux & Govaert 1992), a product of matrices a round.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .._common import arguments, schemas
from .._common.progress import bar
from .._common.randomness import generator
from ..config import Config

__all__ = ["MixtureCodes"]

ROUNDS = 8  # of expectation-maximisation; the bound moves by less than 0.02 nats in the last one
READ = 200_000  # sequences at most, drawn from the corpus, that it reads
PRIOR = 0.3  # sequences' worth of the overall shares of tokens, added to those of each code
ROWS = 4096  # sequences compared with all codes at once
FINE = 16  # parts of a nat in which log-probabilities are kept, so that they fit a byte each


class MixtureCodes(nn.Module):
    """Encoder of discrete latents, sequences [B, L] -> codes [B, m]: the class of each of m equal
    stretches of the sequence in a mixture of K products, which `prepare` fits to a corpus.

    The vector of a code, a row of `codebook` [K, (L/m) V], is what it says of each place and token,
    log p(x_i | k) - log p(x_i). The denoiser adds it to its logits, so that what a code says need
    not be learned again; it learns what tokens say of each other. There is nothing to train here.
    ValueError where m does not divide L.

    >>> codes = MixtureCodes(Config.preset("di-seq", length=4, vocab=2, codes=2, encoder="mixture"))
    >>> x = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
    >>> codes.prepare(x, progress=False)(x).flatten().tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    True
    """

    frozen = True  # training begins with stage 2
    log_probs: torch.Tensor  # [K, L/m, V], of the tokens of a stretch, minus and in parts of a nat, uint8
    log_prior: torch.Tensor  # [K], of the codes
    fitted: torch.Tensor  # bool

    @schemas.checked(config=schemas.is_a(Config))
    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        if c.length % c.slots:
            raise ValueError(f"slots must divide length={c.length} for encoder='mixture', got {c.slots}")
        shape = c.codes, c.length // c.slots, c.vocab
        self.register_buffer("log_probs", torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("log_prior", torch.zeros(c.codes))
        self.register_buffer("fitted", torch.tensor(False))
        self._book: tuple[Any, torch.Tensor] = (None, self.log_prior)

    @property
    def codebook(self) -> torch.Tensor:
        """The vectors of the codes: [K, (L/m) V]."""
        state = self.log_probs.data_ptr(), self.log_probs._version  # made once for each table
        if self._book[0] != state:
            table = self._table()
            overall = (self.log_prior.softmax(0) @ table.exp()).log()
            self._book = state, (table - overall).masked_fill(~self.fitted, 0.0)
        return self._book[1]

    @property
    def probs(self) -> torch.Tensor:
        """p(x_i | k), what each code says of the tokens of a stretch: [K, L/m, V]."""
        return (self.log_probs.float() / -FINE).softmax(-1)

    @torch.no_grad()
    @schemas.checked("progress", rows=schemas.ids)
    def prepare(self, rows: torch.Tensor, progress: bool = True) -> MixtureCodes:
        """Fit the mixture to a corpus, ids [N, L] of any integer type; one that is fitted stays as
        it is. Returns itself. ValueError for fewer stretches than codes."""
        self._ids("rows", rows)
        if bool(self.fitted):
            return self
        g, device = generator(0), self.log_prior.device
        if len(rows) > READ:
            rows = rows[torch.randperm(len(rows), generator=g)[:READ]]
        parts = rows.reshape(-1, self.log_probs.shape[1]).to(device)
        if len(parts) < len(self.log_prior):
            raise ValueError(f"codes={len(self.log_prior)} need as many sequences at least, got {len(parts)}")
        overall = torch.cat([self._told(p).sum(0, keepdim=True) for p in parts.split(ROWS)]).sum(0) / len(parts)
        first = parts[torch.randperm(len(parts), generator=g)[: len(self.log_prior)].to(device)]
        self._set(self._told(first), torch.ones_like(self.log_prior), overall, spread=1.0)
        for _ in bar(range(ROUNDS), show=progress, desc="mixture", unit="round", leave=False):
            sums, counts = torch.zeros_like(self.log_probs, dtype=torch.float32), torch.zeros_like(self.log_prior)
            for part in parts.split(ROWS):
                of = self._classes(part)
                sums.view(len(counts), -1).index_add_(0, of, self._told(part))
                counts += torch.bincount(of, minlength=len(counts))
            self._set(sums.flatten(1), counts, overall)
        self.fitted.fill_(True)
        self._book = None, self.log_prior
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> codes [B, m]."""
        parts = self._ids("x", x).reshape(-1, self.log_probs.shape[1])
        return torch.cat([self._classes(p) for p in parts.split(ROWS)]).view(len(x), -1)

    def _ids(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return arguments.tokens(name, x, self.config.length, self.config.vocab)

    def _set(self, sums, counts, overall, spread: float = PRIOR) -> None:
        """Take the shares of tokens, of sums [K, n V] over so many stretches, smoothed by the
        overall ones."""
        shares = (sums + spread * overall) / (counts + spread).unsqueeze(1)
        self.log_probs.copy_((shares.clamp_min(1e-6).log() * -FINE).round().view_as(self.log_probs))
        self.log_prior.copy_(((counts + 0.05) / (counts + 0.05).sum()).log())

    def _told(self, parts: torch.Tensor) -> torch.Tensor:
        """Stretches [N, n] as rows of zeros and ones [N, n V]."""
        return F.one_hot(parts.long(), self.log_probs.shape[2]).flatten(1).float()

    def _classes(self, parts: torch.Tensor) -> torch.Tensor:
        """The most probable class of each stretch [N, n]: [N]."""
        return torch.addmm(self.log_prior, self._told(parts), self._table().T).argmax(1)

    def _table(self) -> torch.Tensor:
        """Log-probabilities of the tokens of a stretch, given its code: [K, n V]."""
        return self.log_probs.flatten(1) / -FINE
