"""BERT's transformer (Devlin et al. 2019) as the denoiser's: layer norm after each update, learned
positions, one set of weights for tokens and latents, so that pretrained weights can be its start.

Padding is left out: layers see the tokens that there are, packed one behind the other, and attention
does not look at the others.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .._common import files, schemas
from .._common.files import user_path
from .._common.hub import PACKAGES
from ..diffusion.bf16_products import evened, linear
from .pretrained import load
from .transformer import attend

__all__ = ["BertTransformer", "is_pretrained", "pretrained"]

EPS = 1e-12  # of BERT's layer norms


class BertBlock(nn.Module):
    """Transformer block with layer norm after attention and after the MLP, on packed rows [N, W]."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)

    def forward(self, rows, place: Place, heads: int, only=None) -> torch.Tensor:
        """Updated rows [N, W]; those of the indices `only` [M] alone, [M, W], where given."""
        attended = place.attend(linear(self.qkv, rows), heads)
        if only is not None:
            rows, attended = rows.index_select(0, only), attended.index_select(0, only)
        rows = self.norm1(rows + linear(self.out, attended))
        return self.norm2(rows + linear(self.down, F.gelu(linear(self.up, rows))))


class Place:
    """Where packed rows [N, .] lie in a batch [B, n]: `there` [B, n] bool says which positions are
    some.

    >>> place = Place(torch.tensor([[True, False], [True, True]]))
    >>> place.packed(torch.arange(4.0).view(2, 2, 1)).flatten()
    tensor([0., 2., 3.])
    """

    def __init__(self, there: torch.Tensor):
        self.there, self.full = there, bool(there.all())
        at = there.flatten().nonzero().squeeze(1)  # [N], indices into B*n
        self.n, self.at = len(at), evened(at)

    def packed(self, h: torch.Tensor) -> torch.Tensor:
        """Rows [N, W] of h [B, n, W]; spare ones, if any, are the first again."""
        return h.flatten(0, 1) if self.full else h.flatten(0, 1).index_select(0, self.at)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """The inverse of `packed`, with zeros elsewhere."""
        b, n = self.there.shape
        if not self.full:
            rows = rows.new_zeros(b * n, rows.shape[-1]).index_copy(0, self.at[: self.n], rows[: self.n])
        return rows.view(b, n, -1)

    def attend(self, qkv: torch.Tensor, heads: int) -> torch.Tensor:
        """Attention of rows [N, 3 W] to those of the same sequence: [N, W]."""
        q, k, v = self.spread(qkv).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        out = attend(q, k, v, None if self.full else self.there[:, None, None])
        return self.packed(out.transpose(1, 2).flatten(2))


class BertTransformer(nn.Module):
    """BERT's blocks over latents and tokens together; either may be absent (None) in a call.

    - `width`, `blocks`, `heads`: its size;
    - `length`: tokens at most; as many latents are one a token, and have its position.

    >>> net = BertTransformer(width=8, blocks=1, heads=2, length=4)
    >>> h, y = net(torch.zeros(2, 4, 8), torch.zeros(2, 1, 8), valid=torch.ones(2, 4, dtype=torch.bool))
    >>> h.shape, y.shape
    (torch.Size([2, 4, 8]), torch.Size([2, 1, 8]))
    """

    @schemas.checked(
        width=schemas.whole(1, limit="width"), blocks=schemas.whole(1, limit="blocks"), heads=schemas.whole(1),
        length=schemas.whole(1, limit="length"),
    )  # fmt: skip
    def __init__(self, width: int, blocks: int, heads: int, length: int):
        super().__init__()
        self.heads = heads
        self.length = length
        # the first one is that of latents, unless there is one for each token
        self.places = nn.Parameter(0.02 * torch.randn(1 + length, width))
        self.norm = nn.LayerNorm(width, EPS)
        self.both: Any = nn.ModuleList(BertBlock(width) for _ in range(blocks))

    def forward(self, h, y, valid=None, tokens=True, latents: bool = True, slots=None):
        """Both streams through all blocks: updated (h, y), as `TwoStreamTransformer.forward`.

        - `h` [B, L, W]: the token stream, or None;
        - `y` [B, m, W]: the latent stream, or None;
        - `valid` [B, L]: bool, tokens that are no padding, for which h comes back as 0; None for all;
        - `tokens`: True for all positions, a bool mask [B, L] for those, [N, W], or False for None;
        - `latents`: False makes y None;
        - `slots` [B, m]: bool, latents that there are, the others come back as 0; None for all."""
        parts, there = [], []
        if y is not None:
            parts.append(y + (self.places[1:] if y.shape[1] == self.length else self.places[0]))
            there.append(torch.ones(y.shape[:2], dtype=torch.bool, device=y.device) if slots is None else slots)
        if h is not None:
            parts.append(h + self.places[1 : 1 + h.shape[1]])
            there.append(torch.ones(h.shape[:2], dtype=torch.bool, device=h.device) if valid is None else valid)
        place = Place(torch.cat(there, 1))
        asked = [there[0] & latents] if y is not None else []
        if h is not None:
            asked.append(tokens & there[-1] if isinstance(tokens, torch.Tensor) else torch.full_like(there[-1], tokens))
        wanted = place.packed(torch.cat(asked, 1).unsqueeze(-1)).squeeze(1)  # [N], of the packed rows
        only = None if bool(wanted.all()) else wanted[: place.n].nonzero().squeeze(1)
        rows = self.norm(place.packed(torch.cat(parts, 1)))
        for k, block in enumerate(self.both):
            last = k + 1 == len(self.both)
            rows = block(rows, place, self.heads, evened(only) if last and only is not None else None)
        if only is not None:  # back into their packed places
            rows = rows.new_zeros(len(wanted), rows.shape[1]).index_copy(0, only, rows[: len(only)])
        out = place.spread(rows)
        m = 0 if y is None else y.shape[1]
        y = out[:, :m] if y is not None and latents else None
        if h is None or tokens is False:
            return None, y
        h = out[:, m:]
        return h[tokens] if isinstance(tokens, torch.Tensor) else h, y


def is_pretrained(source) -> bool:
    """Is it the package of an encoder, or a folder that transformers wrote?

    >>> is_pretrained("minilm"), is_pretrained("no/such/folder")
    (True, False)
    """
    place = user_path("source", source)
    if str(place) in PACKAGES:
        return True
    found = place / "config.json"
    return found.is_file() and "model_type" in (files.read_json(found) or {})


@torch.no_grad()
def pretrained(source: str, labels: list[str], length: int) -> dict[str, torch.Tensor]:
    """The weights of a pretrained BERT encoder, as a denoiser with `network="bert"` names them.

    - `source`: as for `pretrained.load`: "minilm" (a package), a folder, a name on the hub;
    - `labels`: the word pieces of the model, whose embeddings are taken over; pieces that the encoder
      does not know begin as its [UNK];
    - `length`: tokens at most.

    Errors as of `pretrained.load`; ValueError for an encoder of another kind, or of fewer positions.

    >>> pretrained("minilm", ["[PAD]", "the"], length=8)["denoiser.embed.weight"].shape  # doctest: +SKIP
    torch.Size([3, 384])
    """
    tokenizer, model = load(source, "AutoModel", "cpu")
    if model.config.model_type != "bert" or model.config.hidden_act != "gelu":
        raise ValueError(f"source must be a BERT encoder with GELU, got {model.config.model_type} in {source!r}")
    if model.config.max_position_embeddings <= length:
        raise ValueError(f"length must be below {model.config.max_position_embeddings} for {source!r}, got {length}")
    ids, own = tokenizer.get_vocab(), model.state_dict()
    words, unknown = own["embeddings.word_embeddings.weight"], ids["[UNK]"]
    rows = [*(ids.get(label, unknown) for label in labels), ids["[MASK]"]]
    kind = own["embeddings.token_type_embeddings.weight"][0]
    out = {
        "embed.weight": words[rows],
        "trunk.places": own["embeddings.position_embeddings.weight"][: length + 1] + kind,
        "trunk.norm.weight": own["embeddings.LayerNorm.weight"],
        "trunk.norm.bias": own["embeddings.LayerNorm.bias"],
    }
    names = {
        "out": "attention.output.dense", "norm1": "attention.output.LayerNorm", "up": "intermediate.dense",
        "down": "output.dense", "norm2": "output.LayerNorm",
    }  # fmt: skip
    for k in range(model.config.num_hidden_layers):
        for end in ("weight", "bias"):
            at = f"encoder.layer.{k}."
            parts = [own[f"{at}attention.self.{part}.{end}"] for part in ("query", "key", "value")]
            out[f"trunk.both.{k}.qkv.{end}"] = torch.cat(parts)
            out |= {f"trunk.both.{k}.{mine}.{end}": own[f"{at}{theirs}.{end}"] for mine, theirs in names.items()}
    return {f"denoiser.{name}": value.clone() for name, value in out.items()}
