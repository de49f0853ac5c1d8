"""What a person writes to be filled in: words or symbols with gaps, as token ids."""

from __future__ import annotations

import difflib
import re

import torch

from .wordpiece import MASK

__all__ = ["encode", "example", "kind", "read", "unknown"]

SHOWN = 40  # characters of a word that messages repeat


def kind(model) -> str:
    """What the tokens of `model` are: `text` (pieces of a trained tokenizer), `words` (of a task), or `symbols` (single
    characters, such as bits).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> kind(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)))
    'symbols'
    """
    if "text" in model.data:
        return "text"
    return "words" if any(len(label) > 1 for label in model.labels) else "symbols"


def encode(model, pattern: str) -> torch.Tensor:
    """Token ids [L] of a pattern with gaps: `[MASK]`; among symbols also `_`, and what is missing at the end.
    ValueError for a pattern that is too long, or that holds what the model does not know (see `unknown`).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> encode(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)), "01_1 0")
    tensor([0, 1, 2, 1, 0, 2, 2, 2])
    """
    from . import tasks, text

    if kind(model) == "text":
        return text.from_spec(model.data).encode(pattern)
    if kind(model) == "words" and hasattr(task := tasks.make(**model.data), "encode"):
        return task.encode(pattern)
    ids = {**{label: i for i, label in enumerate(model.labels)}, "_": model.tokens.mask_id}
    parts, length = pattern.replace(MASK, "_").split(), model.config.length
    parts = list("".join(parts)) if kind(model) == "symbols" else parts
    odd = sorted(set(parts) - set(ids))
    if odd or len(parts) > length:
        seen = f", among them {' '.join(odd)}" if odd else ""
        raise ValueError(f"the pattern is at most {length} of the symbols {' '.join(ids)}; got {len(parts)}{seen}")
    return torch.tensor([ids[s] for s in parts + ["_"] * (length - len(parts))])


def read(model, typed: str) -> torch.Tensor:
    """Token ids [L] of what a person typed: as `encode`, with `_` for a missing word too, `?` for a missing symbol,
    line breaks anywhere. ValueError that says which words are unknown and what comes close, that there is no gap, or
    that nothing is there.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> read(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), "the _ rose .")[:4]
    tensor([344, 400, 288,   2])
    """
    text, symbols = typed.replace("[mask]", MASK), kind(model) == "symbols"
    text = re.sub(r"\s", "", text).replace("?", "_") if symbols else re.sub(r"(?<!\S)_+(?!\S)", MASK, text)
    if not text.strip():
        raise ValueError(f"Nothing is typed. For example: {example(model)}")
    if odd := unknown(model, text):
        raise ValueError(_complaint(odd, model))
    x = encode(model, text)
    if not (x == model.tokens.mask_id).any():
        gap = "_ or ?" if symbols else f"{MASK} or _"
        raise ValueError(f"There is no gap to fill in: write {gap} where something is missing.")
    return x


def _complaint(odd: list[str], model) -> str:
    """What to say about words that the model does not know."""
    shown = ", ".join(f"“{w[:SHOWN]}{'…' * (len(w) > SHOWN)}”" for w in odd[:5])
    if len(odd) > 5:
        shown += f" and {len(odd) - 5} more"
    what = "symbol" if kind(model) == "symbols" else "word"
    start = f"Unknown {what}{'s' * (len(odd) > 1)}: {shown}."
    if what == "symbol":
        return f"{start} Allowed are {' '.join(model.labels)} and, for a gap, _ or ?."
    near = difflib.get_close_matches(odd[0].lower()[:SHOWN], model.labels, 3)
    if near:
        start += f" Did you mean {' or '.join(near)}?"
    if kind(model) == "text":
        return f"{start} Such words hold characters that the tokenizer has not seen."
    return f"{start} The task has {len(model.labels)} words (model.labels)."


def unknown(model, pattern: str) -> list[str]:
    """The words of a pattern that the model has no token for, in their order. A `text` model reads them as [UNK].

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> unknown(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), "the zebra fell by [MASK] .")
    ['zebra']
    """
    from . import text

    if kind(model) == "symbols":
        return [s for s in dict.fromkeys(re.sub(r"\s", "", pattern.replace(MASK, ""))) if s not in [*model.labels, "_"]]
    words = [w for w in dict.fromkeys(pattern.replace(MASK, f" {MASK} ").split()) if w != MASK]
    if kind(model) == "words":
        return [w for w in words if w not in {*model.labels, "_"}]
    codec = text.from_spec(model.data)
    return [w for w, ids in zip(words, codec.tokenise(words), strict=True) if 1 in ids] if words else []


def example(model) -> str:
    """A pattern that the model can fill in.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> example(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()))
    'the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .'
    """
    from . import tasks

    if kind(model) == "symbols":
        known = tasks.make(**model.data).sample(1, seed=0)[0].tolist() if "task" in model.data else [0]
        return "".join(model.labels[i] for i in known[: max(1, len(known) // 4)]) + "____"
    tries = ["the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .", "the [MASK] said [MASK] ."]
    for pattern in tries:
        if len(pattern.split()) <= model.config.length and not unknown(model, pattern):
            return pattern
    return " ".join([MASK] * min(4, model.config.length))
