"""The public API walked with hostile values: each argument takes what its domain holds, and names itself
in a ValueError for anything else; no raw error of torch, numpy or Python, no acceptance in silence.

The count is printed (`pytest -s`). Quick: what costs little, every fifth value, and 400 values that
hypothesis makes of the declared domains; all, and 8,000, with `-m slow`.
"""

import warnings
from dataclasses import is_dataclass

import hypothesis
import matplotlib
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

import lddm_lite as ld
from lddm_lite import tasks as K
from lddm_lite._common.arguments import shown
from lddm_lite._common.options import Option, options
from tests.support import public_api
from tests.support.api_cases import DEAR, HOSTILE, TELLS, allowed, cases
from tests.support.domains import ODD, large, near, near_option
from tests.support.hostile import Count

matplotlib.use("Agg")

# what the walk leaves out, and why
LEFT_OUT = {
    "Diagnosis Divergences Forecast Loss Nelbo PathCost Perplexity VisibleCosts": "results, which the library makes",
    "Knot LatentMap TokenStore": "made by knots, fit, build and load, which are walked",
    "Judge Judge.nll Judge.perplexity TextEncoder": "need packages that carry models",
    "bert lm1b": "fetch from the network",
    "ContinuousEncoder.settle DiscreteEncoder.settle FrozenTextEncoder.settle": "called by fit",
    "StreamBlock.begin StreamBlock.finish TwoStreamTransformer.forward": "inner layers, which are compiled",
    "PathExplorer.answer Widget.answer": "not there: these widgets are asked nothing",
    "fit": "walked as a function of names",
}  # fmt: skip


def test_the_walk_covers_the_public_api(tmp_path):
    """A new function, method or parameter is a line of `cases`, or has a reason not to be."""
    walked: dict[str, set] = {}
    for function, given in cases(str(tmp_path)).values():
        walked.setdefault(public_api.qualified(function), set()).update(given)
    reasons = {name for names in LEFT_OUT for name in names.split()}
    missing = []
    for called, defined, names in public_api.walk():
        found = walked.get(defined, walked.get(called, set()))
        missing += [f"{called}({k})" for k in names if k not in found and not {called, defined} & reasons]
    assert not missing, ", ".join(missing)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(5, id="some")])
def test_each_argument_keeps_its_domain(every, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    count, number = Count(), 0
    found = cases(str(tmp_path))
    for name, (function, given) in found.items():
        if every > 1 and name in DEAR:
            continue
        function(**given)
        for argument, own in given.items():
            for kind, value in HOSTILE.items():
                number += 1
                if value is own or number % every:
                    continue

                def call(f=function, a=argument, v=value, g=given, n=name, k=kind, o=own):
                    f(**{**g, a: v})
                    return allowed(n, a, k, o)

                tells = [argument, *TELLS]
                count.case(f"{name}({argument}={kind})", call, (ValueError, OSError, ImportError), tells)
        plt.close("all")
    count.verdict("arguments")


def declared(found):
    """(name, argument, its domain) of each argument in the walk whose domain is declared: by `schemas.checked`,
    or as the field of a dataclass."""
    for name, (function, given) in found.items():
        domains = dict(getattr(function, "domains", {}))
        if isinstance(function, type):
            domains |= getattr(function.__init__, "domains", {})
            domains |= {o.name: o for o in options(function)} if is_dataclass(function) else {}
        for argument in given:
            if argument in domains:
                yield name, argument, domains[argument]


MANY = [pytest.param(8000, marks=pytest.mark.slow, id="many"), pytest.param(400, id="few")]


@pytest.mark.parametrize("examples", MANY)
def test_declared_domains_are_kept(examples, tmp_path, monkeypatch):
    """Values made from each domain, on both sides of its border: what it refuses is refused by that name, and
    what it holds is taken, or refused by name where it does not fit the rest."""
    monkeypatch.chdir(tmp_path)
    found, count = cases(str(tmp_path)), Count()
    places = [p for p in declared(found) if p[0] not in DEAR or examples > 1000]
    assert len(places) > 400

    @hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(data=st.data())
    def try_one(data):
        name, argument, domain = data.draw(st.sampled_from(places))
        function, given = found[name]
        made = near_option(domain) if isinstance(domain, Option) else near(domain)
        value = data.draw(st.one_of(made, ODD) if made is not None else ODD)
        held = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                domain.check(value) if isinstance(domain, Option) else domain(argument, value)
        except (ValueError, OSError):
            held = False

        def call():
            if not (held and large(value)):
                function(**{**given, argument: value})
            return held

        count.case(f"{name}({argument}={shown(value)})", call, (ValueError, OSError, ImportError), [argument, *TELLS])

    try_one()
    count.verdict("values made from domains")


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_of_any_type_are_taken_and_kept(kind, tmp_path):
    task = K.Binsaw(length=kind(8))
    model = ld.LatentDiffusion.preset("mdlm", task, width=kind(16), blocks=kind(1), heads=kind(2), seed=kind(1))
    trace = model.sample(kind(2), kind(2), seed=kind(3))
    assert trace.seed == 3 and type(trace.seed) is int
    ld.fit(model, task, steps=kind(1), batch=kind(4), seed=kind(5), progress=False, out=tmp_path / "run")
    assert ld.load(tmp_path / "run").config == model.config


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_all_seeds_of_the_range_are_taken(seed):
    task = K.Binsaw(length=8)
    model = ld.LatentDiffusion.preset("co-seq", task, seed=seed, width=16, blocks=1, heads=2)
    assert model.sample(1, 1, 1, seed=seed).seed == seed
    assert model.nelbo(task.sample(2, seed), seed=seed).total.value > 0
    ld.fit(model, task, steps=1, batch=4, seed=seed, progress=False)
    for wrong in (-1, 2**63):
        with pytest.raises(ValueError, match="seed must be"):
            model.sample(1, seed=wrong)
