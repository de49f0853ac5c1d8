"""What a sampler starts from: all masks, a prompt that stays, or texts with gaps. Lengths are those of the data."""

from __future__ import annotations

import torch

from . import checks, pattern, sampler

__all__ = ["blank", "codec", "gaps", "prompted"]


def codec(model):
    """What turns the texts of `model` into ids and back: the codec of a text, or the toy newswire itself. ValueError
    for a model of anything else.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> codec(LatentDiffusion.preset("mdlm", tasks.ToyNewswire())).name
    'newswire'
    """
    from . import tasks, text

    if "text" in model.data:
        return text.from_spec(model.data)
    if "task" in model.data and hasattr(task := tasks.make(**model.data), "encode") and hasattr(task, "decode"):
        return task
    what = f"the task {model.data['task']!r}" if "task" in model.data else "data of its own"
    raise ValueError(f"{model.name!r} is a model of {what}, not of text: use `sample` or `infill`")


def blank(model, n: int, seed: int, at_least: int = 0) -> torch.Tensor:
    """n sequences of masks [n, L]. Models with padding: of lengths drawn from those of the training data, none below
    `at_least`; ValueError where no sentence was that long."""
    checks.integer("n", n, minimum=1)
    length, device = model.config.length, model.device
    start = torch.full((n, length), model.tokens.mask_id, device=device)
    if model.config.pad_id is None:
        return start
    share = torch.tensor(model.data["lengths"], dtype=torch.float64)
    if at_least:
        share[:at_least] = 0.0
        if share.sum() == 0:
            longest = max(k for k, v in enumerate(model.data["lengths"]) if v)
            raise ValueError(f"prompt has {at_least} tokens; the longest sentence of the training data had {longest}")
    g = checks.generator(checks.integer("seed", seed, minimum=0) + 1_000_003)  # apart from the sampler's draws
    at = sampler.draw_lengths(share, n, g).clamp_min(at_least).to(device)
    start[torch.arange(length, device=device) >= at.unsqueeze(1)] = model.config.pad_id
    return start


def prompted(model, n: int, prompt: str, seed: int) -> torch.Tensor:
    """n sequences of masks [n, L] behind the tokens of `prompt`, in which [MASK] is a gap. '': no prompt. ValueError
    naming a prompt that is no text, has no tokens, or too many.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> prompted(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), 1, "the tiber rose", seed=0)[0, :4]
    tensor([344, 349, 288, 400])
    """
    words = codec(model)
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


def gaps(model, texts) -> torch.Tensor:
    """Ids [B, L] of a text with gaps, or a list of such (see `pattern.encode`). ValueError naming one that cannot be
    read, or that has no gap.

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
        rows.append(_encoded(name, lambda t: pattern.encode(model, t), typed))
        if not (rows[-1] == model.tokens.mask_id).any():
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
