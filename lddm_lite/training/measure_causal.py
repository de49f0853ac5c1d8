"""A causal transformer of the same size, data and steps as a masked diffusion of molecules: the second
baseline, which spends a call on each symbol.

    python -m lddm_lite.training.measure_causal --molecules qm9 --seeds 0,1,2 --out data/results/qm9-causal.json

It is GPT-2's network (`transformers`), trained much as `fit` trains: AdamW (with torch's own moments),
warm-up and cosine, averages of the weights. Its likelihood is exact, and so is the law that its samples follow.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F

from .._common import arguments, files, schemas
from .._common.estimate import Estimate
from .._common.progress import bar
from .._common.provenance import provenance
from .._common.randomness import generator
from ..evaluation.molecule_scores import known_molecules, molecule_scores
from ..text import molecules

__all__ = ["Causal", "train"]

LR, WARMUP, EMA = 1e-3, 100, 0.998  # as the recipes of QM9 have them


class Causal(torch.nn.Module):
    """Causal model of strings that end with [PAD], which is 0: p(x) = prod_i p(x_i | x_<i).

    - `length`, `vocab`: of the data, a string being shorter than the length or equal to it;
    - `width`, `blocks`, `heads`: of the network.

    >>> model = Causal(length=4, vocab=5, width=16, blocks=1, heads=2)
    >>> model.log_prob(torch.tensor([[2, 3, 0, 0]])).shape, model.sample(3).shape
    (torch.Size([1]), torch.Size([3, 4]))
    """

    @schemas.checked(
        length=schemas.whole(1, limit="length"), vocab=schemas.whole(2), width=schemas.whole(1),
        blocks=schemas.whole(1), heads=schemas.whole(1),
    )  # fmt: skip
    def __init__(self, length: int, vocab: int, width: int = 128, blocks: int = 4, heads: int = 4):
        from transformers import GPT2Config, GPT2LMHeadModel

        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide width={width}, got {heads}")
        self.length, self.vocab = length, vocab
        self.network: Any = GPT2LMHeadModel(GPT2Config(
            vocab_size=vocab + 1, n_positions=length + 1, n_embd=width, n_layer=blocks, n_head=heads,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=vocab, eos_token_id=0, pad_token_id=0,
        ))  # fmt: skip

    @schemas.checked(x=schemas.ids)
    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log-likelihoods of sequences [B, L], their ends included, in nats: [B]."""
        x = arguments.tokens("x", x, self.length, self.vocab).long()
        begun = F.pad(x, (1, 0), value=self.vocab)
        logits = self.network(begun[:, :-1], attention_mask=torch.ones_like(x)).logits[..., : self.vocab]
        ended = (begun[:, :-1] == 0).cumsum(1) > 0  # the first [PAD] is drawn, those after it follow
        return -F.cross_entropy(logits.transpose(1, 2), x, reduction="none").masked_fill(ended, 0.0).sum(1)

    @torch.no_grad()
    @schemas.checked(n=schemas.whole(1, limit="samples"), seed=schemas.seed)
    def sample(self, n: int, seed: int = 0) -> torch.Tensor:
        """Sequences [n, L], as many network calls as symbols."""
        from transformers import LogitsProcessorList, SuppressTokensLogitsProcessor

        bos = torch.full((n, 1), self.vocab)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x = self.network.generate(
                bos, attention_mask=torch.ones_like(bos), do_sample=True, top_k=0, max_new_tokens=self.length,
                logits_processor=LogitsProcessorList([SuppressTokensLogitsProcessor([self.vocab], device="cpu")]),
            )[:, 1:]  # fmt: skip
        return F.pad(x, (0, self.length - x.shape[1]))


@schemas.checked(
    model=schemas.is_a(Causal), data=schemas.data, steps=schemas.whole(1), batch=schemas.whole(1, limit="samples"),
    seed=schemas.seed, progress=schemas.boolean,
)  # fmt: skip
def train(model: Causal, data: Any, steps: int, batch: int = 64, seed: int = 0, progress: bool = False) -> Causal:
    """Maximum likelihood; the model that comes back holds the averaged weights.

    - `model`, `data`: of the same length and tokens;
    - `steps`, `batch`: of training;
    - `seed`: of the batches, not of the weights;
    - `progress`: show a bar.

    >>> data = molecules.from_smiles(["CCO", "CC"], length=4)
    >>> float(train(Causal(4, data.vocab, 16, 1, 1), data, steps=2).log_prob(data.sample(1)).detach()) < 0
    True
    """
    g = generator(seed)
    ema = torch.optim.swa_utils.AveragedModel(model, avg_fn=_averaged)
    opt = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    warmup = min(WARMUP, steps)
    rate = torch.optim.lr_scheduler.SequentialLR(opt, [
        torch.optim.lr_scheduler.LinearLR(opt, 1 / warmup, total_iters=warmup),
        torch.optim.lr_scheduler.CosineAnnealingLR(opt, max(1, steps - warmup)),
    ], milestones=[warmup])  # fmt: skip
    model.train()
    for _ in bar(range(steps), show=progress, desc="causal", unit="step", leave=False):
        loss = -model.log_prob(data.sample(batch, g)).mean()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        rate.step()
        ema.update_parameters(model)
    model.load_state_dict(ema.module.state_dict())
    return model.eval()


def _averaged(mean: torch.Tensor, new: torch.Tensor, n) -> torch.Tensor:
    """Exponential moving average, quicker at the beginning."""
    return torch.lerp(new, mean, min(EMA, float((1 + n) / (10 + n))))


def main(arguments=None) -> None:
    """Train a causal transformer on molecules, and write how many of its samples are valid."""
    words = sys.argv[1:] if arguments is None else arguments
    p = argparse.ArgumentParser(prog="python -m lddm_lite.training.measure_causal", description=main.__doc__)
    whole = functools.partial(p.add_argument, type=int, metavar="N")
    p.add_argument("--molecules", default="qm9", choices=sorted(molecules.COLLECTIONS), help="of which (default: qm9)")
    p.add_argument("--seeds", default="0", metavar="K,...", help="training seeds (default: 0)")
    whole("--steps", default=4000, help="training steps (default: 4000)")
    whole("--batch", default=64, help="strings a step (default: 64)")
    whole("-n", default=1000, help="samples (default: 1000)")
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    o = p.parse_args(words)
    data, held = molecules.load(o.molecules)
    rows: list[dict] = []
    for seed in map(int, o.seeds.split(",")):
        torch.manual_seed(seed)
        model, begun = Causal(data.length, data.vocab), time.process_time()
        train(model, data, o.steps, o.batch, seed, progress=sys.stderr.isatty())
        cpu = time.process_time() - begun
        with torch.no_grad():
            nats = Estimate.of(-model.log_prob(held.sample(1024, 1)))
        row = {
            "model": "causal", "seed": seed, "parameters": sum(p.numel() for p in model.parameters()),
            "steps": o.steps, "cpu_seconds": round(cpu), "nats": nats.value, "nats_se": nats.stderr, "n": o.n,
            **molecule_scores([data.decode(row) for row in model.sample(o.n)], known_molecules(o.molecules)),
        }  # fmt: skip
        rows.append(row)
        print(row, flush=True)
        files.write_json(o.out, {**provenance(p.prog, words), "data": repr(data), "rows": rows})


if __name__ == "__main__":
    main()
