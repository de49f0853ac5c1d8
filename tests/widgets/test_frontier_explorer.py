"""The frontier explorer in the kernel: what travels is what was measured; what is refused."""

import json

import numpy as np
import pytest

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.evaluation.measure_frontier import limits, measure
from lddm_lite.widgets import FrontierExplorer, payload

TASK = tasks.Binsaw(length=16)


@pytest.fixture(scope="module")
def found(models):
    rows = measure(models, TASK, (2,), (0.7, 1.0), ("ancestral", "even"), n=16)
    systems = {name: m.config.system for name, m in models.items()}
    about = {"data": repr(TASK), "systems": systems, **limits(TASK, (2,), 16), "rows": rows}
    return {"format": "lddm-lite frontier", "command": "c", "machine": "m", "n": 16, "seed": 0, "tasks": [about]}


def test_points_models_and_limits_travel(models, found):
    widget = FrontierExplorer(models, found)
    sent = payload.unpack(widget.data)
    head, rows = sent["head"], found["tasks"][0]["rows"]
    assert len(head["plans"]) == len(rows) == 12 and list(head["models"]) == list(models)
    assert np.allclose(sent["numbers"][:, 0], [r["excess"] for r in rows])
    assert head["plans"][3]["order"] == rows[3]["order"] and "excess" not in head["plans"][3]
    assert {len(head["limits"][how]) for how in ("even", "best", "true")} == {1}
    assert widget._fragment(live=False).count("data-lddm-weights=") == 3
    assert widget.still().startswith(b"\x89PNG")


def test_some_models_alone_and_files(models, found, tmp_path):
    file = tmp_path / "found.json"
    file.write_text(json.dumps(found))
    widget = FrontierExplorer({"mdlm": models["mdlm"]}, file)
    assert list(payload.unpack(widget.data)["head"]["models"]) == ["mdlm"] and len(widget.weights()) == 1


def test_refusals(models, found):
    with pytest.raises(ValueError, match="models must be among those measured, co-seq, mdlm, di-seq; got 'other'"):
        FrontierExplorer({"other": LatentDiffusion.preset("mdlm", TASK, width=16)}, found)
    with pytest.raises(ValueError, match="found"):
        FrontierExplorer(models, {"format": "another"})
    bad = {**found, "tasks": [{**found["tasks"][0], "rows": [{"model": "mdlm"}]}]}
    with pytest.raises(ValueError, match=r"found.tasks\[0\].rows\[0\].excess is missing"):
        FrontierExplorer(models, bad)
