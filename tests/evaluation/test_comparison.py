"""Systems side by side: what a row says, what is compared with what, and what is left when
something goes wrong."""

import json
import math

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite._common.estimate import Estimate
from lddm_lite.evaluation import comparison, few_steps
from lddm_lite.evaluation.measure_divergences import divergences
from lddm_lite.evaluation.metrics import unigram_entropy
from lddm_lite.evaluation.tables import comparison_table
from lddm_lite.evaluation.text_scores import copied, distinct_n, repetition
from lddm_lite.text import build_token_store, dataset
from tests.support.comparisons import DATA, SAW, Judge, build, lines

# --- text -----------------------------------------------------------------------------------------

def test_a_row_can_be_counted_again(found):
    model, judge = build("co-seq"), Judge()
    (row,) = [r for r in found["rows"] if r["model"] == "co-seq" and r["nfe"] == 4]
    trace = model.sample(20, 2, 2, seed=3, order="even")
    x = torch.as_tensor(trace.tokens).long()
    ids = [[v for v in r if v != DATA.pad_id] for r in x.tolist()]
    assert (row["system"], row["token_steps"], row["latent_steps"], row["nfe"]) == ("co-seq", 2, 2, 4)
    assert row["entropy"] == pytest.approx(unigram_entropy(x, DATA.vocab, DATA.pad_id))
    assert row["distinct_1"] == distinct_n(ids, 1) and row["distinct_2"] == distinct_n(ids, 2)
    assert row["repetition"] == repetition(ids) and row["length"] == pytest.approx(np.mean([len(r) for r in ids]))
    ppl = judge.perplexity(trace.texts()).value
    assert row["gen_ppl"] == pytest.approx(ppl.value) and row["gen_ppl_se"] == pytest.approx(ppl.stderr)


def test_each_total_is_the_same_for_all_and_stands_beside_mdlm(found):
    assert [(r["nfe"], r["model"]) for r in found["rows"]] == [
        (k, name) for k in (1, 4) for name in ("base", "co-seq", "di-joint")
    ]
    for row in found["rows"]:
        base = next(r for r in found["rows"] if r["model"] == "base" and r["nfe"] == row["nfe"])
        if row is base:
            assert "ppl_ratio" not in row and "entropy_diff" not in row
            continue
        assert row["ppl_ratio"] == pytest.approx(row["gen_ppl"] / base["gen_ppl"])
        relative = math.hypot(row["gen_ppl_se"] / row["gen_ppl"], base["gen_ppl_se"] / base["gen_ppl"])
        assert row["ppl_ratio_se"] == pytest.approx(row["ppl_ratio"] * relative)
        assert row["entropy_diff"] == pytest.approx(row["entropy"] - base["entropy"])


def test_the_recovered_share_of_what_few_steps_lose():
    """mdlm goes from 800 to 200 by more steps, two halvings; a model at 400 has one of them back. Errors by
    propagation through the definition, numerically."""

    def rows(*ppl):
        of = [("mdlm", "mdlm", 2), ("m", "di-seq", 2), ("mdlm", "mdlm", 32), ("m", "di-seq", 32)]
        return [
            {"model": m, "system": s, "nfe": k, "entropy": 6.0, "gen_ppl": p, "gen_ppl_se": 0.01 * p}
            for (m, s, k), p in zip(of, ppl, strict=True)
        ]

    ppl = (800.0, 400.0, 200.0, 300.0)
    found = rows(*ppl)
    comparison._beside_mdlm(found)
    assert found[1]["recovered"] == pytest.approx(0.5)
    assert not any("recovered" in found[k] for k in (0, 2, 3)), "nor where mdlm has nothing left to lose"
    moved = []
    for k in range(3):
        other = rows(*(p * (1 + 1e-4 * (j == k)) for j, p in enumerate(ppl)))
        comparison._beside_mdlm(other)
        moved.append((other[1]["recovered"] - 0.5) / 1e-4 * 0.01)
    assert found[1]["recovered_se"] == pytest.approx(math.hypot(*moved), rel=1e-3)
    flat = rows(201.0, 150.0, 200.0, 150.0)  # no loss beyond its errors
    comparison._beside_mdlm(flat)
    assert "ppl_ratio" in flat[1] and not any("recovered" in row for row in flat)


def test_real_sentences_are_as_many_and_different(found):
    judge = Judge()
    comparison.compare({"m": build("mdlm")}, DATA, (1,), 30, judge, health=False)
    real = judge.seen[0]
    everything = [DATA.decode(row) for row in DATA.rows]
    assert len(real) == 30 and all(real.count(t) <= everything.count(t) for t in real)
    assert found["real"]["entropy"] > 0 and found["real"]["gen_ppl"] > 1 and found["judge"] == "counter"


def test_text_on_disk_serves_as_well(tmp_path):
    store = build_token_store.build(lines(60, seed=4), codec=DATA.codec, cache=tmp_path, progress=False)
    found = comparison.compare({"m": build("mdlm")}, store, (2,), 10, Judge(), health=False)
    assert found["models"]["m"]["bound"]["sequences"] == 60 and found["real"]["gen_ppl"] > 1


def test_models_come_with_their_bound_and_latents(found):
    assert set(found["models"]) == {"base", "co-seq", "di-joint"}
    for name, about in found["models"].items():
        b = about["bound"]
        assert b["total"]["value"] == pytest.approx(sum(b[k]["value"] for k in ("tokens", "latents", "prior")))
        assert b["perplexity"]["value"] == pytest.approx(math.exp(b["total"]["value"]))
        assert b["sequences"] == len(DATA)
        assert (about["health"] == {}) == (name == "base")
    assert found["models"]["base"]["bound"]["latents"]["value"] == 0
    assert sorted(found["models"]["co-seq"]["health"]["token_steps"]) == ["1", "4"]
    # before training, every token but the padding has the same probability, in whatever order
    assert found["models"]["base"]["bound"]["total"]["value"] == pytest.approx(math.log(DATA.vocab - 1), rel=0.2)


def test_the_error_of_the_bound_is_that_of_repeated_measurements():
    """24 independent samples of 64 sentences: their spread against the mean error; each s.d. from
    24 values is good to 15 %, so a factor of 1.6 is four standard errors."""
    model = build("mdlm")
    with torch.no_grad():
        model.denoiser.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    got = [comparison.held_out(model, DATA.sample(64, seed=k), seed=100 * k)["total"] for k in range(24)]
    spread = torch.tensor([v.value for v in got]).std()
    assert 1 / 1.6 < spread / torch.tensor([v.stderr for v in got]).mean() < 1.6
    whole = model.nelbo(DATA.sample(4096, seed=1))
    mean = Estimate.of(torch.tensor([v.value for v in got]))
    tolerance = 5 * math.hypot(mean.stderr, whole.nats_per_token * whole.total.stderr / whole.total.value)
    assert mean.value == pytest.approx(whole.nats_per_token, abs=tolerance)


def test_options_reach_the_sampler():
    def entropy(**options):
        return comparison.compare({"m": build("mdlm")}, DATA, (2,), 40, health=False, **options)["rows"][0]["entropy"]

    usual = entropy()
    model = build("mdlm")
    x = torch.as_tensor(model.sample(40, 2).tokens).long()
    assert usual == pytest.approx(unigram_entropy(x, DATA.vocab, DATA.pad_id))
    assert entropy(top_p=0.1) < usual - 0.5
    with pytest.raises(ValueError, match="order must be ancestral, even or confidence, got 'best'"):
        entropy(order="best")
    with pytest.raises(ValueError, match=r"temperature must be a number in \[0.0, inf\), got -1"):
        entropy(temperature=-1)


def test_the_temperature_of_codes_is_for_models_that_have_some(monkeypatch):
    models, asked, draw = {"m": build("mdlm"), "d": build("di-seq")}, {}, few_steps.timed_sample

    def told(model, *args, **options):
        asked[model.name] = options["latent_temperature"]
        return draw(model, *args, **options)

    monkeypatch.setattr(few_steps, "timed_sample", told)
    comparison.compare(models, DATA, (4,), 8, health=False, latent_temperature=0.5)
    assert asked == {"mdlm": 1.0, "di-seq": 0.5}
    with pytest.raises(ValueError, match="latent_temperature must be a number"):
        comparison.compare(models, DATA, (4,), 8, health=False, latent_temperature=-1)


@pytest.fixture
def filled_in(monkeypatch):
    """[(latents, trace)] of each call of `infill`."""
    calls, draw = [], LatentDiffusion.infill

    def seen(model, *args, **options):
        calls.append((options["latents"], draw(model, *args, **options)))
        return calls[-1][1]

    monkeypatch.setattr(LatentDiffusion, "infill", seen)
    return calls


def test_with_the_latents_of_real_sequences_all_calls_are_for_tokens(filled_in):
    """What is drawn has the lengths of these sequences, from which the latents are."""
    models = {"m": build("mdlm"), "d": build("di-seq")}
    found = comparison.compare(models, DATA, (2, 4), 16, Judge(), health=False, real_latents=True)
    rows = {(row["model"], row["nfe"]): row for row in found["rows"]}
    assert len(rows) == 6 and all("recovered" in r or "ppl_ratio" in r for (m, _), r in rows.items() if m != "m")
    for k, (latents, trace) in zip((2, 4), filled_in, strict=True):
        row = rows["d, real latents", k]
        assert (row["token_steps"], row["latent_steps"], row["nfe"]) == (k, 0, k)
        at = torch.randperm(len(DATA), generator=torch.Generator().manual_seed(0))[:16]
        x = DATA.rows[at].long()
        assert torch.equal(latents, models["d"].encode(x))
        assert (np.asarray(trace.tokens == DATA.pad_id) == (x == DATA.pad_id).numpy()).all()
    assert not any("real latents" in m for m in found["models"])


def test_totals_of_which_there_is_no_best_schedule_are_left_out():
    """A best step moves something, so that there are no more than tokens."""
    model = LatentDiffusion.preset("mdlm", SAW, width=16)
    found = comparison.compare({"m": model}, SAW, (2, 99), 16, health=False, exact=False, schedule="best")
    assert [row["nfe"] for row in found["rows"]] == [2]
    (left,) = found["skipped"]
    assert (left["model"], left["nfe"]) == ("m", 99) and "steps=99" in left["why"]
    assert "left out: m at NFE 99" in comparison_table(found)


def test_a_table_of_latents_costs_one_call(filled_in):
    """Latents and lengths of sentences of the table; a total of one call leaves none for tokens."""
    models = {"m": build("mdlm"), "d": build("di-seq")}
    table = dataset.TextData(DATA.codec, DATA.rows[-20:])
    found = comparison.compare(models, DATA, (1, 2, 4), 16, Judge(), health=False, table=table)
    rows = [row for row in found["rows"] if row["model"] == "d, table"]
    assert [(r["nfe"], r["token_steps"], r["latent_steps"], r["calls"]) for r in rows] == [(2, 1, 0, 1), (4, 3, 0, 3)]
    assert len(found["rows"]) == 8 and all("ppl_ratio" in row and 0 <= row["copied"] <= 1 for row in rows)
    at = torch.randperm(len(table), generator=torch.Generator().manual_seed(0))[:16]
    x = table.rows[at].long()
    for row, (latents, trace) in zip(rows, filled_in, strict=True):
        assert torch.equal(latents, models["d"].encode(x))
        assert (np.asarray(trace.tokens == DATA.pad_id) == (x == DATA.pad_id).numpy()).all()
        pairs = zip(trace.tokens.tolist(), x.tolist(), strict=True)
        filled = [[[v for v in r if v != DATA.pad_id] for r in pair] for pair in pairs]
        assert row["copied"] == copied([a for a, _ in filled], [b for _, b in filled], 4)


def test_a_table_is_of_text_and_large_enough():
    one = {"d": build("di-seq")}
    small = dataset.TextData(DATA.codec, DATA.rows[:3])
    with pytest.raises(ValueError, match="n=16 needs as many sequences in table; it has 3"):
        comparison.compare(one, DATA, (2,), 16, health=False, table=small)
    with pytest.raises(ValueError, match="other tokens than the table"):
        other = dataset.from_lines(lines(40, 1), vocab=80, length=11, allow_losses=True)
        comparison.compare(one, DATA, (2,), 16, health=False, table=other)
    with pytest.raises(ValueError, match="table: a task draws real sequences itself"):
        comparison.compare({"m": LatentDiffusion.preset("mdlm", SAW, width=16)}, SAW, (2,), 16, table=DATA)


def test_a_task_gives_real_latents_too():
    models = {"co": LatentDiffusion.preset("co-seq", SAW, width=16)}
    found = comparison.compare(models, SAW, (2,), 64, health=False, exact=False, real_latents=True)
    given = next(row for row in found["rows"] if "real" in row["model"])
    assert given["nfe"] == 2 and math.isfinite(given["excess"])


def test_empty_samples_are_counted_and_not_judged(monkeypatch):
    monkeypatch.setattr(DATA, "decode", lambda row: " ")
    found = comparison.compare({"m": build("mdlm")}, DATA, (1,), 4, Judge(), health=False)
    assert found["rows"][0]["empty"] == 4 and found["rows"][0]["gen_ppl"] is None
    assert "– ± –" in comparison_table(found)


# --- tasks ----------------------------------------------------------------------------------------

def test_tasks_stand_beside_the_exact_limit():
    models = {"mdlm": build("mdlm", SAW), "co-seq": build("co-seq", SAW)}
    found = comparison.compare(models, SAW, None, 64, Judge(), seed=2)
    assert found["nfe"] == [1, 2, 4, 8] and found["judge"] is None, "up to the length; tasks need no judge"
    exact = [r for r in found["rows"] if r["model"] == "exact"]
    for row, expected in zip(exact, few_steps.exact_limit(SAW, (1, 2, 4, 8), 64, 2), strict=True):
        assert {**expected, "seconds": 0} == {**{k: row[k] for k in expected}, "seconds": 0}
    one = next(r for r in found["rows"] if (r["model"], r["nfe"]) == ("co-seq", 4))
    scores = SAW.score(torch.as_tensor(models["co-seq"].sample(64, 2, 2, seed=2).tokens), seed=3)
    assert all(one[k] == pytest.approx(v) for k, v in scores.items())
    assert "excess" in found["models"]["co-seq"]["health"] and found["models"]["mdlm"]["health"] == {}
    shown = comparison_table(found)
    for word in ("excess nats", "mode TV (fresh)", "coherent (fresh)", "entropy of the task", "z response"):
        assert word in shown
    assert "Gen PPL" not in shown
    few = comparison.compare(models, SAW, (2, 32), 8, exact=False, health=False)
    assert {r["model"] for r in few["rows"]} == set(models) and "health" not in few["models"]["mdlm"]
    assert [r["nfe"] for r in comparison.compare(models, SAW, (32,), 8, health=False)["rows"]] == [32, 32]


def test_tasks_show_divergences_and_bounds_on_them_where_asked():
    models = {"mdlm": build("mdlm", SAW), "co-seq": build("co-seq", SAW)}
    options = dict(n=64, health=False, exact=False, seed=1)
    found = {bounds: comparison.compare(models, SAW, (2, 4), bounds=bounds, **options) for bounds in (False, True)}
    known = divergences(models["mdlm"], SAW, 4).row()  # enumerated
    for report in found.values():
        rows = {(r["model"], r["nfe"]): r for r in report["rows"]}
        assert rows["mdlm", 4].items() >= known.items()
        one = rows["co-seq", 2]  # one token step
        assert one["kl_reverse"] + one["entropy_gap"] == pytest.approx(one["excess"])
    two = [next(r for r in report["rows"] if (r["model"], r["nfe"]) == ("co-seq", 4)) for report in found.values()]
    assert "kl_forward" not in two[0] and two[1]["kl_forward_upper"]
    plain, bounded = (comparison_table(report) for report in found.values())
    assert "≤" not in plain and f"≤ {two[1]['kl_forward']:.2f}" in bounded


def test_the_exact_limit_follows_the_order():
    """8 steps for 8 bits, one a step: nothing is lost, which 1,024 samples show to 0.1 nats."""
    found = comparison.compare({"mdlm": build("mdlm", SAW)}, SAW, (8,), 1024, order="confidence", health=False)
    exact = found["rows"][-1]
    assert exact["model"] == "exact" and abs(exact["excess"]) < 5 * exact["excess_se"]


def test_totals_too_small_for_the_latent_steps_are_left_out_and_said():
    models = {"mdlm": build("mdlm", SAW), "co-seq": build("co-seq", SAW)}
    found = comparison.compare(models, SAW, (1, 4, 8), 8, latent_steps=4, health=False, exact=False)
    assert [(r["model"], r["nfe"], r["latent_steps"]) for r in found["rows"]] == [
        ("mdlm", 1, 0), ("mdlm", 4, 0), ("mdlm", 8, 0), ("co-seq", 8, 4)
    ]  # fmt: skip
    assert "left out: co-seq at NFE 4: latent_steps must be below nfe=4" in comparison_table(found)
    with pytest.raises(ValueError, match="nothing is left to compare: latent_steps must be below"):
        comparison.compare({"co-seq": models["co-seq"]}, SAW, (1, 4), 8, latent_steps=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(models={}), "models must be a dictionary of at least one model"),
        (dict(models=[build("mdlm")]), "models must be a dictionary"),
        (dict(models={"saw": build("mdlm", SAW)}), r"models\['saw'\] has other tokens than.*2 tokens, length 8"),
        (dict(nfe=()), "nfe must hold at least one"),
        (dict(nfe=(0, 2)), "nfe must be an integer >= 1, got 0"),
        (dict(n=1), "n must be an integer >= 2"),
        (dict(n=81), "n=81 needs as many real sentences to compare with; the text has 80 that fit"),
        (dict(latent_share=2), "latent_share must be"),
        (dict(latent_share=0.5, latent_steps=3), "give latent_share or latent_steps"),
        (dict(latent_steps=0), "latent_steps must be an integer >= 1"),
        (dict(top_p=0), r"top_p must be a number in \(0, 1\], got 0"),
        (dict(seed=-1), "seed must be"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    usual = dict(models={"co-seq": build("co-seq")}, data=DATA, nfe=(2,), n=4, health=False)
    with pytest.raises(ValueError, match=message):
        comparison.compare(**{**usual, **options})


# --- files ----------------------------------------------------------------------------------------

def test_the_report_is_plain_json_and_says_the_same_when_read(found, tmp_path):
    files = comparison.write(found, tmp_path / "deep")
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["report.json", "report.png"]
    read = json.loads(files[0].read_text(), parse_constant=lambda c: pytest.fail(c))
    assert read == found and comparison_table(read) == comparison_table(found) and read["finished"]
    assert files[1].read_bytes()[:4] == b"\x89PNG"


def test_rows_are_kept_as_they_come():
    kept = []
    comparison.compare({"a": build("mdlm", SAW), "b": build("co-seq", SAW)}, SAW, (1, 2), 8, save=kept.append)
    assert [len(r["rows"]) for r in kept] == [1, 2, 3, 4, 4, 4] and not any(r["finished"] for r in kept)
    assert all("not finished" in comparison_table(r) for r in kept)


def test_models_at_their_best():
    """Each in all its calls, and the exact predictor in even and in its best steps beside them."""
    task = tasks.Binsaw(length=8)
    models = {"co-seq": LatentDiffusion.exact(task, "shift"), "mdlm": LatentDiffusion.exact(task)}
    found = comparison.compare(models, task, (2, 4), n=64, health=False, schedule="best")
    assert [(row["nfe"], row["model"]) for row in found["rows"]] == [
        (k, name) for k in (2, 4) for name in ("co-seq", "mdlm", "exact, even steps", "exact, best steps")
    ]
    assert found["options"]["schedule"] == "best" and found["options"]["order"] == "even"
    with pytest.raises(ValueError, match="latent_steps must be left out with schedule='best'"):
        comparison.compare(models, task, (2,), n=64, latent_steps=1, schedule="best")


def test_means_over_seeds():
    """Each seed's report on its own, and their means; what is not a number stays."""
    task = tasks.Binsaw(length=8)
    models = {"mdlm": LatentDiffusion.exact(task)}
    each = [comparison.compare(models, task, (1, 2), n=64, seed=s, health=False) for s in (0, 1, 2)]
    found = comparison.over_seeds(each)
    assert found["seeds"] == [0, 1, 2] and [row["nfe"] for row in found["rows"]] == [1, 1, 2, 2]
    values = torch.tensor([report["rows"][2]["excess"] for report in each], dtype=torch.float64)
    row = found["rows"][2]
    assert row["excess"] == pytest.approx(float(values.mean()))
    assert row["excess_se"] == pytest.approx(float(values.std()) / math.sqrt(3))
    assert row["model"] == "mdlm" and "means of seeds 0, 1, 2" in comparison_table(found)
    with pytest.raises(ValueError, match="reports must be a list of 2 or more, got 1"):
        comparison.over_seeds(each[:1])
