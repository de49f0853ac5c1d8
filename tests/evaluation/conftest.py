"""A comparison that several tests read, made once."""

import pytest

from lddm_lite.evaluation import comparison
from tests.support.comparisons import DATA, Judge, build


@pytest.fixture(scope="session")
def found():
    """mdlm and two others on text, judged."""
    models = {"base": build("mdlm"), "co-seq": build("co-seq"), "di-joint": build("di-joint")}
    return comparison.compare(models, DATA, (1, 4), 20, Judge(), order="even", seed=3)
