"""Deprecated names, those of before version 0.2, each with its new place; they warn for one
release, and then this file goes.

CHANGELOG.md has the same table for readers.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import types
import warnings

__all__ = ["MODULES", "NAMES", "attribute", "install", "public"]

MODULES = {  # old module -> where its names are now, to be tried in this order
    "bertvocab": "text.bert_vocabulary",
    "boundcurve": "evaluation.bound_integrand",
    "bounds": "diffusion.bound",
    "budgets": "diffusion.nfe_budget",
    "channels": "diffusion.channels _common.randomness",
    "checkpoint": "_common.checkpoint",
    "decode": "diffusion.given_latents diffusion.interpolation",
    "denoiser": "networks.denoiser networks.transformer diffusion.prediction",
    "dryrun": "training.forecast",
    "encoders": "networks.encoders networks.codebook networks.build",
    "estimate": "_common.estimate",
    "evaluate": "evaluation.few_steps evaluation.tables evaluation.latents",
    "exact": "networks.exact",
    "frozen": "networks.sentence_latents",
    "frozenlatents": "networks.frozen_text_encoder",
    "history": "training.history",
    "judge": "evaluation.judge",
    "latentmap": "plots.latent_map",
    "lm1b": "text.one_billion_words",
    "metrics": "evaluation.metrics tasks.scores evaluation.latents",
    "objective": "diffusion.loss diffusion.bound",
    "order": "diffusion.unmasking_order",
    "parts": "networks.custom_parts networks.build",
    "paths": "diffusion.paths",
    "pattern": "text.prompts",
    "pretrained": "networks.pretrained _common.hub",
    "rategrid": "evaluation.measure_rate_grid diffusion.rate_grid",
    "rates": "diffusion.rate_grid",
    "report": "evaluation.comparison",
    "sampler": "diffusion.sampler text.prompts",
    "sizes": "config",
    "speed": "training.speed",
    "textmetrics": "evaluation.text_scores evaluation.latents evaluation.tables",
    "tokenbuild": "text.build_token_store",
    "tokenstore": "text.token_store",
    "trace": "diffusion.trace",
    "train": "training.loop training.config course evaluation.latents",
    "wordpiece": "text.wordpiece text.codec",
}
NAMES = {  # old module and name -> new module and name, where that is another word
    "decode.walk": "diffusion.interpolation.interpolate",
    "denoiser.Half": "networks.transformer.StreamBlock",
    "denoiser.Trunk": "networks.transformer.TwoStreamTransformer",
    "evaluate.BUDGETS": "evaluation.few_steps.TOKEN_STEPS",
    "evaluate.run": "evaluation.few_steps.timed_sample",
    "frozen.FrozenEncoder": "networks.sentence_latents.SentenceLatents",
    "frozenlatents.FrozenLatents": "networks.frozen_text_encoder.FrozenTextEncoder",
    "sizes.expand": "config.size_fields",
    "speed.Rows": "training.speed.random_data",
    "textmetrics.as_text": "evaluation.tables.generation_table",
    "tokenstore.build": "text.build_token_store.build",
    "train.budget": "course.shrunk",
}
PUBLIC = {"budget": "course.shrunk"}  # names of the package itself


def install(package: str) -> None:
    """Install the import hook: from now on `import package.old` gives a stand-in that finds each
    name at its new place, and warns.

    >>> import lddm_lite  # which does this
    """
    sys.meta_path.append(_Finder(package))


def public(package: str, name: str):
    """What `package.name` was: a module that moved, or a name of `PUBLIC`. AttributeError for
    anything else.

    >>> public("lddm_lite", "colour")
    Traceback (most recent call last):
    AttributeError: module 'lddm_lite' has no attribute 'colour'
    """
    if name in MODULES:
        return importlib.import_module(f"{package}.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    _warn(f"{package}.{name}", f"{package}.{PUBLIC[name]}", 4)
    return _at(package, PUBLIC[name])


def attribute(thing, old: str, new: str):
    """`thing.new`, asked for by its `old` name.

    >>> attribute(types.SimpleNamespace(new=1), "old", "new")  # doctest: +SKIP
    1
    """
    _warn(f"{type(thing).__name__}.{old}", new, 4)
    return getattr(thing, new)


def _at(package: str, place: str):
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(f"{package}.{module}"), name)


def _warn(old: str, new: str, stacklevel: int) -> None:
    text = f"{old} is now {new}; the old name goes with the next release"
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)


class _Moved(types.ModuleType):
    """In place of a module that moved."""

    def __getattr__(self, name: str):
        package, _, old = self.__name__.partition(".")
        if name.startswith("__"):
            raise AttributeError(name)
        place = NAMES.get(f"{old}.{name}")
        if place is None:
            places = (f"{module}.{name}" for module in MODULES[old].split())
            place = next((p for p in places if hasattr(_module(package, p), name)), None)
        if place is None:
            raise AttributeError(f"module {self.__name__!r}, now {MODULES[old]}, has no attribute {name!r}")
        _warn(f"{self.__name__}.{name}", f"{package}.{place}", 3)
        return _at(package, place)


def _module(package: str, place: str):
    return importlib.import_module(f"{package}.{place.rpartition('.')[0]}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, package: str):
        self.package = package

    def find_spec(self, fullname, path=None, target=None):
        package, _, old = fullname.partition(".")
        if package != self.package or old not in MODULES:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec):
        return _Moved(spec.name)

    def exec_module(self, module) -> None:
        """Nothing to run: names are found when asked for."""

    def get_source(self, fullname: str) -> str:
        """For `python -m package.old`: runs the module at its new place."""
        package, _, old = fullname.partition(".")
        new = f"{package}.{MODULES[old].split()[0]}"
        say = f"import runpy, sys; print({fullname + ' is now ' + new!r}, file=sys.stderr)"
        return f"{say}\nrunpy.run_module({new!r}, run_name='__main__', alter_sys=True)\n"
