"""Nothing that lies in a file makes code run or a question appear, nor reads or writes outside its
folder; two at once do not harm each other; other people's files stay."""

import builtins
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

import lddm_lite as ld
from lddm_lite._common import files
from lddm_lite.cli.commands import main
from lddm_lite.networks import SentenceLatents
from lddm_lite.networks.pretrained import load as load_pretrained
from tests.support import ROOT, tiny_models
from tests.support.hostile import signed
from tests.support.training_runs import QUICK, TASK, Feed, run, same, start

# -- code ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A folder of a pretrained model that wants code of its own to be run; nobody may be asked."""
    folder = tmp_path / "trap"
    tiny_models.save(folder, "bert")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass C: pass\nM = T = C\n")
    for name, extra in (
        ("config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}),
        ("tokenizer_config.json", {"tokenizer_class": "T", "auto_map": {"AutoTokenizer": ["evil.T", None]}}),
    ):
        place = folder / name
        place.write_text(json.dumps({**json.loads(place.read_text()), **extra}))

    def asked(*_):
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(builtins, "input", asked)
    yield folder
    assert not (tmp_path / "ran").exists(), "code of the folder was run"


def with_encoder(folder, name):
    """A saved co-seq whose config names a frozen encoder."""
    corpus = ld.tasks.Corpus(ld.tasks.ToyNewswire(), 40)
    model = ld.LatentDiffusion.preset("co-seq", corpus, width=16, blocks=1, heads=2, encoder=name)
    model.encoder.prepare(corpus.rows, progress=False)
    return model.save(folder), model


def test_an_encoder_that_a_file_names_is_not_loaded_on_its_word(trap, tmp_path):
    place, model = with_encoder(tmp_path / "m", tiny_models.save(tmp_path / "bert", "bert"))
    x = ld.tasks.ToyNewswire().sample(4, 3)
    config = json.loads((place / "config.json").read_text())["config"]
    for name in (str(trap), "somebody/some-model", str(tmp_path / "bert"), "../trap"):
        signed(place, config={**config, "encoder": name})
        found = ld.load(place)
        assert found.sample(2, 1, 1).tokens.shape == (2, 16), "sampling takes no encoder"
        for act in (found.nelbo, found.encode):
            with pytest.raises(ValueError, match="is not loaded on a file's word.*encoder="):
                act(x)
    again = ld.load(place, encoder=str(tmp_path / "bert"))
    assert torch.allclose(again.encode(x), model.eval().encode(x), atol=1e-6)
    with pytest.raises(OSError, match="does not load"):
        ld.load(place, encoder=str(trap)).encode(x)
    latents = SentenceLatents(str(tmp_path / "bert"), 1, 4).fit_statistics(tiny_models.sentences(60), progress=False)
    latents.save(tmp_path / "s")
    with pytest.raises(ValueError, match="is not loaded on a file's word"):
        SentenceLatents.load(tmp_path / "s").encode(["rain fell"], cache=False)
    assert SentenceLatents.load(tmp_path / "s", encoder=str(tmp_path / "bert")).encode(["rain"], progress=False).shape


@pytest.mark.parametrize("kind", ["AutoModel", "AutoModelForCausalLM"])
def test_code_beside_a_model_is_never_run_and_pickles_are_not_read(trap, kind, tmp_path):
    with pytest.raises(OSError, match="does not load"):
        load_pretrained(str(trap), kind)
    plain = tiny_models.save(tmp_path / "plain", "bert")
    os.remove(tmp_path / "plain" / "model.safetensors")
    torch.save({}, tmp_path / "plain" / "pytorch_model.bin")
    with pytest.raises(OSError, match="does not load"):
        load_pretrained(plain, "AutoModel")


def test_a_run_names_neither_encoder_nor_text_for_you(tmp_path, capsys):
    secret = tmp_path / "secret.txt"
    secret.write_text("the password is rain .\n" * 4)
    options = {"text": str(secret), "steps": 1, "length": 8}
    told = {"format": "lddm-lite run", "command": "x", "options": options}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(json.dumps(told))
    for more in ([], ["--recipe", str(tmp_path / "a")]):
        out = tmp_path / ("b" if more else "a")
        assert main(["train", "--out", str(out), *(more or ["--resume"])]) == 2
        assert "give it by --text FILE" in capsys.readouterr().err
    told["options"] = {"task": "newswire", "limit": 8, "encoder": "somebody/some-model", "steps": 1}
    (tmp_path / "a" / "run.json").write_text(json.dumps(told))
    assert main(["train", "--out", str(tmp_path / "a"), "--resume"]) == 2
    assert "no known package; to say that you trust it" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "secret.txt"]


def test_a_file_keeps_the_name_of_a_task_and_no_code(tmp_path):
    place = start("mdlm").save(tmp_path / "m")
    signed(place, data={"task": "my.Bars"})
    assert main(["evaluate", str(place)]) == 2 and ld.load(place).sample(1, 1).tokens.shape == (1, 8)
    with pytest.raises(ValueError, match="'my.Bars', which is none of .* give the task itself again"):
        ld.tasks.from_spec(ld.load(place).data)


# -- other people's files, two at once --------------------------------------------------------------------------------
def test_folders_that_hold_something_are_refused_unless_asked(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "history.csv").write_text("mine")
    (tmp_path / "weights-final.pt").write_text("mine")
    before = {p.name: p.read_text() for p in tmp_path.iterdir()}
    for act in (lambda: start("mdlm").save(tmp_path), lambda: run("mdlm", out=tmp_path)):
        with pytest.raises(ValueError, match="holds something else.*overwrite=True"):
            act()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before
    run("mdlm", out=tmp_path, overwrite=True)
    assert (tmp_path / "weights-final.pt").read_text() == "mine"
    with pytest.raises(ValueError, match="holds a checkpoint"):
        run("mdlm", out=tmp_path)


def test_a_home_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    start("mdlm").save("~/m")
    ld.load("~/m").sample(1, 1).save("~/t.json")
    assert len(ld.Trace.load("~/t.json")) == 1 and not os.path.exists("~")
    ld.History([{"step": 1}]).save("~/h.csv")
    run("mdlm", out="~/run")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["h.csv", "m", "run", "t.json"]


def test_a_second_run_in_the_folder_is_refused_and_harms_nothing(tmp_path):
    whole, said = run("mdlm"), []

    def another():
        try:
            run("mdlm", out=tmp_path / "run", overwrite=True)
        except files.Busy as e:
            said.append(str(e))

    def meanwhile():
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()

    model = start("mdlm")
    history = ld.fit(model, Feed(16, s9=meanwhile), out=tmp_path / "run", **QUICK)
    same(whole, (model, history))
    assert len(said) == 1 and "another process is at work in" in said[0]
    assert not [p for p in (tmp_path / "run").rglob("*") if p.name.startswith(".") or p.suffix == ".part"]


WRITER = """
import sys
from tests.support.training_runs import start
models = [start("co-seq"), start("di-seq"), start("mdlm")]
for k in range(int(sys.argv[2])):
    models[k % 3].save(sys.argv[1], overwrite=True)
"""


def test_who_reads_beside_a_writer_sees_a_whole_model(tmp_path):
    place = start("mdlm").save(tmp_path / "m")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(place), "60"], env=env) for _ in range(2)]
    seen, reads = set(), 0
    while any(w.poll() is None for w in writers) or reads < 20:
        seen.add(ld.load(place).name)
        reads += 1
    assert [w.wait() for w in writers] == [0, 0] and len(seen) > 1 and reads > 20
    assert len(list(place.iterdir())) == 2, "the last model, and nothing of those before"


# -- runs ------------------------------------------------------------------------------------------------------------
def test_other_data_at_resume_are_refused(tmp_path):
    run("mdlm", stop=6, out=tmp_path / "run")
    other = ld.tasks.MixtureOfProducts(length=8, modes=2, noise=0.02, seed=5)

    class Others(Feed):
        def sample(self, n, g):
            return other.sample(n, g)

    with pytest.raises(ValueError, match="resume: the data are not those of the stopped run"):
        ld.fit(start("mdlm"), Others(16), out=tmp_path / "run", resume=True, **QUICK)
    assert (TASK.length, TASK.vocab) == (other.length, other.vocab)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_run_that_is_told_to_end_can_go_on(name, tmp_path):
    code = (
        "import os, signal, torch\nfrom tests.support import training_runs as t\ntorch.set_num_threads(1)\n"
        f"feed = t.Feed(16, s7=lambda: os.kill(os.getpid(), signal.{name}))\n"
        f"t.fit(t.start('mdlm'), feed, out={str(tmp_path / 'run')!r}, **t.QUICK)\nprint('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -getattr(signal, name) and "went on" not in done.stdout, done.stderr
    model = start("mdlm")
    same(run("mdlm"), (model, ld.fit(model, Feed(16), out=tmp_path / "run", resume=True, **QUICK)))


def test_data_that_fail_leave_a_state_that_goes_on_exactly(tmp_path):
    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        ld.fit(start("co-seq"), Feed(16, s9=broken), out=tmp_path / "run", **QUICK)
    model = start("co-seq")
    same(run("co-seq"), (model, ld.fit(model, Feed(16), out=tmp_path / "run", resume=True, **QUICK)))


def test_a_refused_run_leaves_nothing_behind(tmp_path, capsys):
    out = tmp_path / "run"
    command = f"train --task binsaw --length 8 --batch 1 --system co-seq --out {out}"
    assert main(command.split()) == 2
    assert not out.exists() and "batch must be" in capsys.readouterr().err
