"""An independent judge of texts: the perplexity that a causal language model finds in them (Gen
PPL, METHOD 9).

Alone it says little: dull and repetitive text has a low one. `text_scores.generation_report` sets
entropy beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.hub import locate, online
from .._common.progress import bar as progress_bar
from ..networks.pretrained import load

__all__ = ["Judge", "Perplexity", "perplexity_of"]

USUAL, OFFLINE = "openai-community/gpt2-large", "smollm2"
START = "<|endoftext|>"  # what stands between documents in the training of GPT-2, Pythia, Qwen and SmolLM2


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of texts, by whom, and out of what. `str()` tells the judge too, for no two judges
    agree.

    >>> print(Perplexity(Estimate(40.0, 1.5), Estimate(3.689, 0.038), 200, 10, "smollm2"))
    40.0 ± 1.5 (10 texts, 200 tokens, judge smollm2)
    """

    value: Estimate  # exp of the nats per token
    nats: Estimate  # per token
    tokens: int  # predicted ones
    texts: int
    judge: str

    def __str__(self) -> str:
        return (
            f"{self.value.value:.1f} ± {self.value.stderr:.1f} "
            f"({self.texts:,} texts, {self.tokens:,} tokens, judge {self.judge})"
        )


def _joined(text: str) -> str:
    """The text without the blank that stands before a mark alone.

    >>> _joined("no , he said . at .5 ?")
    'no, he said. at .5?'
    """
    return re.sub(r" (?=[.,?!](?:\s|$))", "", text)


@schemas.checked(nats=schemas.line, counts=schemas.line, judge=schemas.text())
def perplexity_of(nats: torch.Tensor, counts: torch.Tensor, judge: str = "") -> Perplexity:
    """Corpus perplexity, exp(total nats / total predicted tokens), of N texts with `nats` [N] and
    token `counts` [N].

    Standard errors over texts by the delta method: r = sum(nats) / sum(counts) is a ratio of means,
    so its variance is N/(N-1) sum (nats_i - r counts_i)^2 / (sum counts)^2, and that of exp(r) is
    exp(2 r) times this. nan for one text.

    >>> perplexity_of(torch.tensor([2.0, 4.0]), torch.tensor([2, 4])).nats
    Estimate(value=1.0, stderr=0.0)
    """
    n, total = len(nats), int(counts.sum())
    if total == 0:
        raise ValueError("there is no token to predict: texts of one token need a judge with a start token")
    per_token = Estimate.of_groups(nats, torch.arange(n), counts)
    return Perplexity(per_token.exp(), per_token, total, n, judge)


class Judge:
    """Generative perplexity: nats and perplexity of texts by a causal language model, which is
    loaded at once.

    - `name`: 'smollm2' (a package, offline), a folder, or a hub name such as
      'openai-community/gpt2-large', the field's choice; 'auto' takes that one where the hub
      answers, else 'smollm2': `name` then tells which;
    - `device`: None for the GPU if there is one;
    - `start`: the token set before each text, not scored itself, so that the first word is judged
      too. 'auto': '<|endoftext|>' if the model knows it, else its BOS, else none; then the first
      token is given, not scored, as it is for None. No end token is scored;
    - `window`: a text longer than the model reads, or than so many tokens, is judged in windows
      that overlap by half: each token is scored once, all but those of the first window after at
      least window/2 others;
    - `batch_tokens`: tokens of one call, padding included;
    - `joined`: the blank before . , ? ! is left out, as BERT's decoder leaves it out. LM1B and texts
      of word pieces have one there, what a judge has learned from has none: by SmolLM2 256 sentences
      of LM1B have a perplexity of 272 with those blanks, 207 without. False: texts as they are given.

    Weights are float32; nats are summed in float64. ImportError naming the command for a missing
    package, OSError for a hub out of reach, ValueError for a bad name.

    >>> print(Judge("smollm2").perplexity(["The bank is open .", "The river rose ."]))  # doctest: +SKIP
    """

    def __init__(self, name: str = "auto", device=None, start: str | None = "auto", window: int = 1024,
                 batch_tokens: int = 1024, joined: bool = True):
        self.name = (USUAL if online() else OFFLINE) if name == "auto" else name
        locate(self.name)
        arguments.integer("window", window, minimum=4)
        self.batch_tokens = arguments.integer("batch_tokens", batch_tokens, minimum=1)
        self.joined = schemas.boolean("joined", joined)
        self.tokenizer, self.model = load(self.name, "AutoModelForCausalLM", device)
        self.window = min(window, getattr(self.model.config, "max_position_embeddings", None) or window)
        words = self.tokenizer.get_vocab()
        if start == "auto":
            start = START if START in words else self.tokenizer.bos_token
        if start is not None and start not in words:
            raise ValueError(f"start must be a token of {self.name!r}, auto or None, got {shown(start)}")
        self.start = start
        self._first = [] if start is None else [words[start]]

    def nll(self, texts, progress: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """(nats [N] float64, predicted tokens [N] int64) of each text: -sum_i log p(x_i | x_<i).
        ValueError naming a text that is empty."""
        texts = arguments.texts("texts", texts)
        if self.joined:
            texts = [_joined(text) for text in texts]
        nats = torch.zeros(len(texts), dtype=torch.float64)
        counts = torch.zeros(len(texts), dtype=torch.long)
        pieces = []  # (text, ids, the first that is scored)
        for i, row in enumerate(self.tokenizer(texts, add_special_tokens=False)["input_ids"]):
            if not row:
                raise ValueError(f"texts[{i}] has no tokens: {texts[i]!r}")
            pieces += [(i, *piece) for piece in self._windows(self._first + list(row))]
        for batch in self._bar(self._batches(pieces), len(texts), progress):
            for (i, ids, scored), value in zip(batch, self._score(batch), strict=True):
                nats[i] += value
                counts[i] += len(ids) - scored
        return nats, counts

    def perplexity(self, texts, progress: bool = True) -> Perplexity:
        """exp(total nats / total predicted tokens) with its standard error (see `perplexity_of`).
        Raises as `nll`."""
        return perplexity_of(*self.nll(texts, progress), self.name)

    def _windows(self, ids: list[int]):
        """Stretches of at most `window` ids, and from which of theirs on each is scored."""
        step, at, done = self.window // 2, 0, 1  # id 0 is never predicted
        while True:
            part = ids[at : at + self.window]
            yield part, done - at
            done = at + len(part)
            if done == len(ids):
                return
            at += step

    def _batches(self, pieces: list[tuple[int, list[int], int]]):
        """Pieces of about one length, together at most `batch_tokens` with their padding, but at
        least one."""
        out: list[tuple[int, list[int], int]] = []
        for piece in sorted(pieces, key=lambda p: len(p[1])):
            if out and (len(out) + 1) * len(piece[1]) > self.batch_tokens:
                yield out
                out = []
            out.append(piece)
        yield out

    @torch.no_grad()
    def _score(self, batch: list) -> list[float]:
        device = self.model.device
        lengths = torch.tensor([len(ids) for _, ids, _ in batch])
        x = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
        for row, (_, ids, _) in zip(x, batch, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        at = torch.arange(x.shape[1])
        seen = at < lengths.unsqueeze(1)  # padding is on the right, where no scored token looks
        where = seen & (at >= torch.tensor([scored for *_, scored in batch]).unsqueeze(1))
        logits = self.model(input_ids=x.to(device), attention_mask=seen.long().to(device)).logits
        rows, columns = where.nonzero(as_tuple=True)
        said = logits[rows.to(device), columns.to(device) - 1].float()  # logits at i-1 are about token i
        nll = F.cross_entropy(said, x[rows, columns].to(device), reduction="none").double().cpu()
        return torch.zeros(len(batch), dtype=torch.float64).index_add_(0, rows, nll).tolist()

    def _bar(self, batches, total: int, show: bool):
        with progress_bar(total=total, show=show, desc=f"judge {self.name}", unit="text") as bar:
            for batch in batches:
                yield batch
                bar.update(sum(scored == 1 for *_, scored in batch))  # a text counts with its first window
