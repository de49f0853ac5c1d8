"""A frozen sentence encoder as the encoder of a model: token ids -> z_0, looked up in a table where
they are known; or the code of that z_0, from a codebook by k-means."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

from .._common import schemas
from .._common.words import joined
from .codebook import k_means, nearest
from .sentence_latents import SentenceLatents, Statistics

__all__ = ["FrozenTextCodes", "FrozenTextEncoder"]

SILENT = ("[PAD]", "[CLS]", "[SEP]", "·")  # labels that are no words: · fills up the toy newswire
EXTRA = 65_536  # latents remembered beside those of the corpus


class FrozenTextEncoder(nn.Module):
    """Frozen sentence encoder of a model, token ids [B, L] -> z_0 [B, m, d]: ids are written out as
    text, which the `encoder` reads (METHOD 5).

    The text is that of `text.TextCodec.decode`: `labels` joined with spaces, without ' ##', padding
    left out. `prepare(rows)` encodes a corpus once; from then on its sentences are looked up by a
    64-bit hash of their ids (that two of a million sentences share one has a chance below 1e-6), so
    training never runs the encoder. Other sentences are encoded on the spot, and remembered. It has
    no parameters; its state dict is the encoder's statistics, so that a saved model samples without
    the encoder's package, and encodes with it.

    >>> letters = lambda texts: (torch.tensor([[[ord(t[0]) % 2, ord(t[0]) % 3]] for t in texts]).float(),
    ...                          torch.ones(len(texts), dtype=torch.long))
    >>> module = FrozenTextEncoder(SentenceLatents(letters, slots=1, dim=2), ["[PAD]", *"abcdef"])
    >>> x = torch.tensor([[i, 0] for i in range(1, 7)])
    >>> module.prepare(x, progress=False)(x).shape, module.table
    (torch.Size([6, 1, 2]), 6)
    """

    frozen = True  # training begins with stage 2

    @schemas.checked(encoder=schemas.is_a(SentenceLatents), labels=schemas.items(schemas.text(), least=1))
    def __init__(self, encoder: SentenceLatents, labels):
        super().__init__()
        self.encoder, self.labels = encoder, list(labels)
        self._words = ["" if label in SILENT else label for label in self.labels]
        self._keys = torch.empty(0, dtype=torch.long)  # sorted
        self._values = torch.empty(0, encoder.slots, encoder.dim)
        self.table = 0  # how many sentences `prepare` encoded

    @schemas.checked(x=schemas.integers)
    def texts(self, x: torch.Tensor) -> list[str]:
        """Ids [B, L] as texts. ValueError for ids that are no token, the mask among them."""
        top = len(self._words)
        if x.dim() != 2 or (x.numel() and not 0 <= int(x.min()) <= int(x.max()) < top):
            raise ValueError(f"x must hold token ids 0..{top - 1} in shape [batch, length], got {tuple(x.shape)}, {x}")
        rows = ([self._words[i] for i in row] for row in x.tolist())
        return [joined(filter(None, row)) for row in rows]

    @torch.no_grad()
    @schemas.checked("progress", rows=schemas.ids)
    def prepare(self, rows: torch.Tensor, progress: bool = True) -> FrozenTextEncoder:
        """Encode the corpus, ids [N, L] of any integer type, and keep its latents: N m d float32 in
        memory, and in the encoder's cache on disk. Fits the statistics on it if there are none.
        Returns itself."""
        hashes = torch.cat([_hash(part.long()) for part in rows.split(65_536)]).cpu()
        keys, first = np.unique(hashes.numpy(), return_index=True)
        order = np.sort(first)  # the corpus' own order: the same corpus finds the same cache
        kept = rows[torch.from_numpy(order)]
        texts = [t for part in kept.split(65_536) for t in self.texts(part.long())]
        if self.encoder.statistics is None:
            self.encoder.fit_statistics(texts, progress=progress)
        latents = self.encoder.encode(texts, progress=progress)
        self._keys = torch.from_numpy(keys)
        self._values = latents[torch.from_numpy(np.searchsorted(order, first))]
        self.table = len(keys)
        return self

    @torch.no_grad()
    @schemas.checked(x=schemas.ids)
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> z_0 [B, m, d], on the device of x. Raises as `texts` and
        `SentenceLatents.encode`."""
        self._keys, self._values = self._keys.to(x.device), self._values.to(x.device)
        keys = _hash(x)
        if len(self._keys):
            at = torch.searchsorted(self._keys, keys).clamp_max(len(self._keys) - 1)
            known = self._keys[at] == keys
            if bool(known.all()):
                return self._values[at]
        else:
            at = torch.zeros_like(keys)
            known = torch.zeros_like(keys, dtype=torch.bool)
        unknown, first = np.unique(keys[~known].cpu().numpy(), return_index=True)
        missing = x[~known].cpu()[torch.from_numpy(first)]
        z = self.encoder.encode(self.texts(missing), progress=False, cache=False).to(x.device)
        new = torch.from_numpy(unknown).to(x.device)
        out = z[torch.searchsorted(new, keys).clamp_max(len(new) - 1)]
        if bool(known.any()):
            out = torch.where(known.view(-1, 1, 1), self._values[at], out)
        if len(self._keys) + len(new) <= self.table + EXTRA:
            self._keys, order = torch.cat([self._keys, new]).sort()
            self._values = torch.cat([self._values, z])[order]
        return out

    def settle(self, batches) -> None:
        """For `fit`, which settles learned encoders: this one has its statistics, or takes them
        from `batches`."""
        if self.encoder.statistics is None:
            self.encoder.fit_statistics([t for x in batches for t in self.texts(x)], progress=False)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        if self.encoder.statistics is not None:
            destination.update({prefix + k: v for k, v in self.encoder.statistics.tensors().items()})

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
        found = {k[len(prefix):]: v for k, v in state_dict.items() if k.startswith(prefix)}
        if not found:
            return  # saved before there were any
        wanted = {"mean", "axes", "scale", "fingerprint"}
        missing += [prefix + k for k in sorted(wanted - set(found))]
        unexpected += [prefix + k for k in sorted(set(found) - wanted)]
        if wanted <= set(found):
            statistics = Statistics.of(found)
            own, got = (self.encoder.slots, self.encoder.dim), (len(statistics.mean), len(statistics.scale))
            if own != got:
                errors.append(f"statistics for {got[0]} slots of {got[1]} numbers, not {own[0]} of {own[1]}")
                return
            kept, new = self.encoder.statistics, statistics.tensors()
            if kept is None or any(not torch.equal(v, new[k]) for k, v in kept.tensors().items()):
                self._keys, self._values, self.table = self._keys[:0], self._values[:0], 0
            self.encoder.statistics = statistics


class FrozenTextCodes(FrozenTextEncoder):
    """Frozen sentence encoder of discrete latents, token ids [B, L] -> codes [B, m]: the nearest in
    angle of K vectors to its z_0 in each slot, k-means of the corpus that `prepare` reads.

    With one slot the code tells what a sentence is about, and its law is a table: drawing it takes
    no network. ValueError by `prepare` for fewer vectors than codes.

    >>> letters = lambda texts: (torch.tensor([[[ord(t[0]) % 2, ord(t[0]) % 3]] for t in texts]).float(),
    ...                          torch.ones(len(texts), dtype=torch.long))
    >>> module = FrozenTextCodes(SentenceLatents(letters, slots=1, dim=2), ["[PAD]", *"abcdef"], codes=2)
    >>> module.prepare(torch.tensor([[i, 0] for i in range(1, 7)]), progress=False).codebook.shape
    torch.Size([2, 2])
    """

    codebook: torch.Tensor  # [K, d]; zeros until `prepare`

    @schemas.checked(codes=schemas.whole(2, limit="codes"))
    def __init__(self, encoder: SentenceLatents, labels, codes: int):
        super().__init__(encoder, labels)
        self.register_buffer("codebook", torch.zeros(codes, encoder.dim))

    def prepare(self, rows: torch.Tensor, progress: bool = True) -> FrozenTextCodes:
        """As of continuous latents; then the codebook, unless there is one."""
        super().prepare(rows, progress)
        if not self.codebook.any():
            vectors = self._values.flatten(0, 1)
            if len(vectors) < len(self.codebook):
                wish = f"as many different sentences at least, times {self.encoder.slots} slots"
                raise ValueError(f"codes={len(self.codebook)} need {wish}; got {self.table}")
            self.codebook.copy_(k_means(vectors.to(self.codebook.device), len(self.codebook), progress=progress))
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> codes [B, m], int64. Raises as of continuous latents."""
        return nearest(super().forward(x), self.codebook)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.encoder.statistics is not None:
            destination[f"{prefix}codebook"] = self.codebook

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
        name = f"{prefix}codebook"
        rest, book = {k: v for k, v in state_dict.items() if k != name}, state_dict.get(name)
        super()._load_from_state_dict(rest, prefix, local_metadata, strict, missing, unexpected, errors)
        if book is None:
            missing += [name] if any(k.startswith(prefix) for k in rest) else []  # else saved before there was one
        elif book.shape != self.codebook.shape:
            errors.append(f"codebook of shape {tuple(book.shape)}, not {tuple(self.codebook.shape)}")
        else:
            with torch.no_grad():
                self.codebook.copy_(book)


def _hash(x: torch.Tensor) -> torch.Tensor:
    """A 64-bit number for each row of ids [B, L]: (ids + 1) times fixed random odd numbers, summed
    modulo 2^64."""
    return ((x.long() + 1) * _odd(x.shape[1], x.device)).sum(1)


@functools.lru_cache(maxsize=8)
def _odd(length: int, device: torch.device) -> torch.Tensor:
    g = torch.Generator().manual_seed(0x1DD)
    return (torch.randint(-(2**63), 2**63 - 1, (length,), generator=g) | 1).to(device)
