"""Prompts and infilling patterns as token ids: what a person writes, and what a sampler starts
from.

A start is all masks, a prompt that stays, or a text with gaps. Lengths are those of the training
data.
"""

from __future__ import annotations

import difflib
import re

import torch

from .._common import arguments
from .._common.protocols import Model
from .._common.randomness import Source, Streams, draw_categorical
from .._common.words import plural
from .codec import MASK

__all__ = ["blank", "codec_of", "draw_lengths", "encode", "example", "gaps", "kind", "prompted", "read", "spaced"]
__all__ += ["unknown"]

SHOWN = 40  # characters of a word that messages repeat


def kind(model: Model) -> str:
    """What the tokens of `model` are: `text` (pieces of a trained tokenizer), `words` (of a task),
    or `symbols` (single characters, such as bits).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> kind(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)))
    'symbols'
    """
    if "text" in model.data:
        return "text"
    return "words" if any(len(label) > 1 for label in model.labels) else "symbols"


def spaced(model: Model) -> bool:
    """Do spaces stand between the words of `model`? Not between the symbols of a molecule.

    >>> from lddm_lite import LatentDiffusion, text
    >>> spaced(LatentDiffusion.preset("mdlm", text.molecules.from_smiles(["CCO"], length=3)))
    False
    """
    about = model.data.get("text")
    return not isinstance(about, dict) or about.get("spaced", True)


def encode(model: Model, pattern: str) -> torch.Tensor:
    """Token ids [L] of a pattern with gaps: `[MASK]`; among symbols also `_`, and what is missing
    at the end. ValueError for a pattern that is too long, or that holds what the model does not
    know (see `unknown`).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> encode(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)), "01_1 0")
    tensor([0, 1, 2, 1, 0, 2, 2, 2])
    """
    from .. import tasks
    from . import dataset

    if kind(model) == "text":
        return dataset.from_spec(model.data).encode(pattern)
    if kind(model) == "words" and hasattr(task := tasks.from_spec(model.data), "encode"):
        return task.encode(pattern)
    ids = {**{label: i for i, label in enumerate(model.labels)}, "_": model.token_channel.mask_id}
    parts, length = pattern.replace(MASK, "_").split(), model.config.length
    parts = list("".join(parts)) if kind(model) == "symbols" else parts
    odd = sorted(set(parts) - set(ids))
    if odd or len(parts) > length:
        seen = f", among them {' '.join(odd)}" if odd else ""
        raise ValueError(f"the pattern is at most {length} of the symbols {' '.join(ids)}; got {len(parts)}{seen}")
    return torch.tensor([ids[s] for s in parts + ["_"] * (length - len(parts))])


def read(model: Model, typed: str) -> torch.Tensor:
    """Token ids [L] of what a person typed: as `encode`, with `_` for a missing word too, `?` for a
    missing symbol, line breaks anywhere. ValueError that says which words are unknown and what
    comes close, that there is no gap, or that nothing is there.

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
    if not (x == model.token_channel.mask_id).any():
        gap = "_ or ?" if symbols else f"{MASK} or _"
        raise ValueError(f"There is no gap to fill in: write {gap} where something is missing.")
    return x


def _complaint(odd: list[str], model: Model) -> str:
    """What to say about words that the model does not know."""
    shown = ", ".join(f"“{w[:SHOWN]}{'…' * (len(w) > SHOWN)}”" for w in odd[:5])
    if len(odd) > 5:
        shown += f" and {len(odd) - 5} more"
    what = "symbol" if kind(model) == "symbols" else "word"
    start = f"Unknown {plural(len(odd), what)}: {shown}."
    if what == "symbol":
        return f"{start} Allowed are {' '.join(model.labels)} and, for a gap, _ or ?."
    near = difflib.get_close_matches(odd[0].lower()[:SHOWN], model.labels, 3)
    if near:
        start += f" Did you mean {' or '.join(near)}?"
    if kind(model) == "text":
        return f"{start} Such words hold characters that the tokenizer has not seen."
    return f"{start} The task has {len(model.labels)} words (model.labels)."


def unknown(model: Model, pattern: str) -> list[str]:
    """The words of a pattern that the model has no token for, in their order. A `text` model reads
    them as [UNK].

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> unknown(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), "the zebra fell by [MASK] .")
    ['zebra']
    """
    from . import dataset

    if kind(model) == "symbols":
        return [s for s in dict.fromkeys(re.sub(r"\s", "", pattern.replace(MASK, ""))) if s not in [*model.labels, "_"]]
    words = [w for w in dict.fromkeys(pattern.replace(MASK, f" {MASK} ").split()) if w != MASK]
    if kind(model) == "words":
        return [w for w in words if w not in {*model.labels, "_"}]
    codec = dataset.from_spec(model.data)
    return [w for w, ids in zip(words, codec.tokenise(words), strict=True) if 1 in ids] if words else []


def example(model: Model) -> str:
    """A pattern that the model can fill in.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> example(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()))
    'the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .'
    """
    from .. import tasks

    if kind(model) == "symbols":
        known = tasks.from_spec(model.data).sample(1, seed=0)[0].tolist() if "task" in model.data else [0]
        return "".join(model.labels[i] for i in known[: max(1, len(known) // 4)]) + "____"
    tries = ["the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .", "the [MASK] said [MASK] ."]
    if not spaced(model):  # a ring to grow something on
        tries = ["C1CC1([MASK])[MASK]"]
    for pattern in tries:
        if len(pattern.split()) <= model.config.length and not unknown(model, pattern):
            return pattern
    return " "[: spaced(model)].join([MASK] * min(4, model.config.length))


def draw_lengths(share: torch.Tensor, n: int, g: Source) -> torch.Tensor:
    """n sequence lengths from the share [L+1] of each length 0..L in the training data: [n]."""
    return draw_categorical(share.clamp_min(1e-300).log().expand(n, -1), g)


def codec_of(model: Model):
    """What turns the texts of `model` into ids and back: the codec of a text, or the toy newswire
    itself. ValueError for a model of anything else.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> codec_of(LatentDiffusion.preset("mdlm", tasks.ToyNewswire())).name
    'newswire'
    """
    from .. import tasks
    from . import dataset

    if "text" in model.data:
        return dataset.from_spec(model.data)
    if "task" in model.data and hasattr(task := tasks.from_spec(model.data), "encode") and hasattr(task, "decode"):
        return task
    what = f"the task {model.data['task']!r}" if "task" in model.data else "data of its own"
    raise ValueError(f"{model.name!r} is a model of {what}, not of text: use `sample` or `infill`")


def blank(model: Model, n: int, seed: int, at_least: int = 0) -> torch.Tensor:
    """n sequences of masks [n, L]. Models with padding: of lengths drawn from those of the training
    data, none below `at_least`; ValueError where no sentence was that long."""
    n = arguments.integer("n", n, minimum=1)
    arguments.within("tokens", n * model.config.length, "n * length")
    length, device = model.config.length, model.device
    start = torch.full((n, length), model.token_channel.mask_id, device=device)
    if model.config.pad_id is None:
        return start
    if "lengths" not in model.data:
        raise ValueError("the model has padding, and its data have no `lengths` to draw those of sequences from")
    share = torch.tensor(model.data["lengths"], dtype=torch.float64)
    if at_least:
        share[:at_least] = 0.0
        if share.sum() == 0:
            longest = max(k for k, v in enumerate(model.data["lengths"]) if v)
            raise ValueError(f"prompt has {at_least} tokens; the longest sentence of the training data had {longest}")
    at = draw_lengths(share, n, Streams(seed, range(n), "lengths")).clamp_min(at_least).to(device)
    start[torch.arange(length, device=device) >= at.unsqueeze(1)] = model.config.pad_id
    return start


def prompted(model: Model, n: int, prompt: str, seed: int) -> torch.Tensor:
    """n sequences of masks [n, L] behind the tokens of `prompt`, in which [MASK] is a gap. '': no
    prompt. ValueError naming a prompt that is no text, has no tokens, or too many.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> prompted(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), 1, "the tiber rose", seed=0)[0, :4]
    tensor([344, 349, 288, 400])
    """
    words = codec_of(model)
    if not isinstance(prompt, str):
        raise ValueError(f"prompt must be a text, got {type(prompt).__name__}")
    if not prompt.strip():
        return blank(model, n, seed)
    ids = _encoded("prompt", words.encode, prompt)
    pad = model.config.pad_id
    given = len(prompt.split()) if pad is None else int((ids != pad).sum())  # without padding a token is a word
    start = blank(model, n, seed, given)
    start[:, :given] = ids[:given].to(start)
    return start


def gaps(model: Model, texts) -> torch.Tensor:
    """Ids [B, L] of a text with gaps, or a list of such (see `prompts.encode`). ValueError naming
    one that cannot be read, or that has no gap.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> gaps(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=4)), ["01_1", "1"])
    tensor([[0, 1, 2, 1],
            [1, 2, 2, 2]])
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("x is an empty batch; give at least one text, or one sequence of ids")
    rows = []
    for i, typed in enumerate(texts):
        name = "x" if len(texts) == 1 else f"x[{i}]"
        if not isinstance(typed, str):
            raise ValueError(f"{name} must be a text like the others, got {type(typed).__name__}")
        rows.append(_encoded(name, lambda t: encode(model, t), typed))
        if not (rows[-1] == model.token_channel.mask_id).any():
            raise ValueError(f"{name} has no gap to fill in: write [MASK] for each missing token; got {typed[:60]!r}")
    return torch.stack(rows)


def _encoded(name: str, encode, typed: str) -> torch.Tensor:
    """Ids of a text; ValueError saying which argument it is about."""
    try:
        typed.encode()
        return encode(typed)
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character (a lone surrogate): {typed[:60]!r}") from None
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from None
