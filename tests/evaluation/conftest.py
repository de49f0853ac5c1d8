"""A comparison that several tests read, made once."""

import pytest

from lddm_lite.evaluation import comparison
from tests.support.comparisons import DATA, Judge, build


@pytest.fixture(scope="session")
def found():
    """mdlm and two others on text, judged."""
    models = {"base": build("mdlm"), "co-seq": build("co-seq"), "di-joint": build("di-joint")}
    return comparison.compare(models, DATA, (1, 4), 20, Judge(), order="even", seed=3)


@pytest.fixture
def told_by(monkeypatch):
    """Of a module: the list of what its progress bar is told, the total first."""

    def of(module):
        told = []

        class Bar:
            def __init__(self, total, **options):
                told.append(total)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            update = staticmethod(told.append)

        monkeypatch.setattr(module, "bar", Bar)
        return told

    return of
