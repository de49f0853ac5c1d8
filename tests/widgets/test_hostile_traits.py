"""Hostile values for every trait that a widget and its page share: set from outside, each is taken if it is in
the trait's domain, and named in a TraitError otherwise."""

import pytest
import traitlets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lddm_lite as ld
from lddm_lite import widgets
from lddm_lite.diffusion import RateGrid
from lddm_lite.widgets.base import Kept
from tests.support.api_cases import HOSTILE
from tests.support.domains import ODD, near
from tests.support.hostile import Count

SMALL = dict(width=16, blocks=1, heads=2)


@pytest.fixture(scope="module")
def shown():
    import numpy as np

    task = ld.tasks.Binsaw(length=8)
    model = ld.LatentDiffusion.preset("co-seq", task, encoder_blocks=1, dim=2, **SMALL).eval()
    grid = RateGrid("flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0))
    return [
        widgets.Scrubber(model.sample(3, 2, 2)), widgets.PathExplorer([grid, grid]),
        widgets.LatentExplorer(model, task.sample(8)), widgets.Playground({"a": model, "b": model}, start=False),
    ]  # fmt: skip


def held(widget, name, value):
    """Is the value in the trait's domain? Set, it is what the page gets."""
    kind = widget.traits()[name]
    try:
        (getattr(widget, kind.of) if isinstance(kind.of, str) else kind.of)(name, value)
    except ValueError:
        return False
    return True


def put(widget, name, value):
    before = getattr(widget, name)
    try:
        setattr(widget, name, value)
        widget.get_state([name])  # as it is sent
        return held(widget, name, value)
    finally:
        setattr(widget, name, before)


def test_every_shared_trait_declares_its_domain(shown):
    for widget in shown:
        assert all(isinstance(widget.traits()[name], Kept) for name in widget._state), widget


def test_hostile_values(shown):
    count = Count()
    for widget in shown:
        for name in widget._state:
            values = {**HOSTILE, "4": 4, "99": 99, "0.7": 0.7, "-1": -1, "-0.0": -0.0, "pair": [0, 99]}
            values |= {"three": [0, 1, 2], "nan pair": [0, float("nan")]}
            for kind, value in values.items():
                what = f"{type(widget).__name__}.{name} = {kind}"
                count.case(what, lambda w=widget, n=name, v=value: put(w, n, v), traitlets.TraitError, [name])
    count.verdict("traits")


def test_values_made_from_their_domains(shown):
    count = Count()
    places = [(widget, name) for widget in shown for name in widget._state]

    @settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def try_one(data):
        widget, name = data.draw(st.sampled_from(places))
        of = widget.traits()[name].of
        made = None if isinstance(of, str) else near(of)
        if name == "plan":
            made = st.sampled_from(sorted(widget.plan)).flatmap(lambda k: ODD.map(lambda v: {**widget.plan, k: v}))
        value = data.draw(ODD if made is None else st.one_of(made, ODD))
        what = f"{type(widget).__name__}.{name}"
        count.case(what, lambda: put(widget, name, value), traitlets.TraitError, [name])

    try_one()
    count.verdict("traits, made")


def test_what_a_page_asks(shown):
    """A message of a page that is none: the answer says so, and nothing ends."""
    for widget in shown[2:]:
        walks = [None, [0, 10**9], [0, "1"], [1], [0.5, 1]]
        for message in ({}, {"weights": "../x"}, {"weights": None}, *({"walk": w} for w in walks)):
            said = []
            widget.send = lambda reply, said=said: said.append(reply)
            widget._asked(None, {**message, "id": 7}, [])
            assert said[0]["id"] == 7 and "message" in said[0]["error"], (message, said)
