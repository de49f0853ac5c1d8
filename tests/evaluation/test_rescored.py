"""README's rows, scored again by formulas that are written down here once more, without the library's
tasks and scores: slow."""

import functools
import json
import math

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite.evaluation import best_schedule
from lddm_lite.evaluation.search_schedule import costs_for
from tests.support import ROOT

pytestmark = pytest.mark.slow
SEED, N = 77, 2048


def read(name):
    return json.loads((ROOT / "data" / "results" / f"{name}.json").read_text("utf-8"))


# -- the laws, from their definitions ------------------------------------------------------------------------------
def binsaw_log_prob(x):
    """log p*(x) of x [n, 128]: the midpoint rule over 8,192 shifts of one period."""
    shift = (np.arange(8192) + 0.5) / 8192 / 2
    at = ((np.arange(128) / 128 + shift[:, None]) % 1 * 2) % 1
    p = 0.01 + 0.98 * (1 - abs(2 * at - 1))
    x = np.asarray(x, dtype=float)
    log = x @ np.log(p).T + (1 - x) @ np.log(1 - p).T
    top = log.max(1, keepdims=True)
    return (top + np.log(np.exp(log - top).mean(1, keepdims=True)))[:, 0]


@functools.cache
def newswire_law():
    """(words, log-weights [G], log-probabilities [G, 16, V], which words are meant [G, 16, V])."""
    grammar = ld.tasks.newswire.load_grammar()
    topics, cells, weights = grammar["topics"], [], []
    for topic in topics.values():
        for text in topic["templates"]:
            for row in topic["rows"]:
                value = dict(zip(topic["slots"], row, strict=True))
                cell = []
                for part in text.split():
                    name = part.strip("{}")
                    if part[0] != "{":
                        cell.append({part: 1.0})
                    elif name in value:
                        cell += [{word: 1.0} for word in value[name].split()]
                    else:
                        free = grammar["free"][name]
                        cell.append(dict(free) if isinstance(free, dict) else dict.fromkeys(free, 1.0))
                cells.append(cell + [{"·": 1.0}] * (16 - len(cell)))
                # uniform over the rows of all topics, then over the topic's templates
                weights.append(-math.log(len(topic["templates"])))
    words = ["·", *sorted({w for cell in cells for c in cell for w in c} - {"·"})]
    clean = np.zeros((len(cells), 16, len(words)))
    for g, cell in enumerate(cells):
        for i, choice in enumerate(cell):
            for w, p in choice.items():
                clean[g, i, words.index(w)] = p / sum(choice.values())
    log_w = np.array(weights)
    per_topic = np.array([1 / (len(topics) * len(t["rows"])) for t in topics.values()
                          for _ in t["templates"] for _ in t["rows"]])  # fmt: skip
    log_w = log_w + np.log(per_topic)
    noisy = (1 - 1e-4) * clean + 1e-4 / len(words)
    return words, log_w - np.log(np.exp(log_w).sum()), np.log(noisy), clean > 0


def newswire_scores(x):
    """(log p*(x) [n], is it a sentence of the grammar [n])."""
    _, log_w, log_p, meant = newswire_law()
    x, at = np.asarray(x), np.arange(16)
    log, fits = [], []
    for row in x:
        v = log_w + log_p[:, at, row].sum(1)
        log.append(v.max() + np.log(np.exp(v - v.max()).sum()))
        fits.append(bool(meant[:, at, row].all(1).any()))
    return np.array(log), np.array(fits)


def test_the_laws_written_here_are_the_tasks():
    task = ld.tasks.Binsaw()
    x = task.sample(64, seed=1)
    assert binsaw_log_prob(x) == pytest.approx(task.log_prob(x).numpy(), abs=1e-3)
    task = ld.tasks.ToyNewswire()
    x = torch.cat([task.sample(64, seed=1), torch.randint(task.vocab, (16, 16))])
    log_p, fits = newswire_scores(x)
    assert newswire_law()[0] == task.labels
    assert log_p == pytest.approx(task.log_prob(x).numpy(), abs=1e-6) and (fits == task.coherent(x).numpy()).all()


# -- the rows, drawn again -------------------------------------------------------------------------------------------
def rows_again(name, task, prefix):
    """(row of the results, fresh samples [N, L] in the same schedule) for every trained model."""
    found = read(name)
    for system in dict.fromkeys(row["model"] for row in found["rows"] if not row["model"].startswith("exact")):
        model = ld.load(f"{prefix}{system if prefix == 'binsaw-' else NEWSWIRE[system]}")
        costs = costs_for(model, task, found["seed"])
        for row in found["rows"]:
            if row["model"] == system:
                path = best_schedule(model, task, row["nfe"], costs, seed=found["seed"] + 1)
                yield row, model.sample(N, path=path, order="even", seed=SEED).tokens


NEWSWIRE = {"mdlm": "mdlm", "co-seq": "co", "di-seq": "di-seq"}


def apart(value, stderr, fresh):
    """How many combined standard errors lie between a figure and the mean of fresh values."""
    return abs(value - fresh.mean()) / math.hypot(stderr, fresh.std(ddof=1) / math.sqrt(len(fresh)))


def judged(z):
    print(np.round(z, 2))
    assert max(z) < 3 and sum(v > 2 for v in z) <= max(1, len(z) / 20), z


def test_binsaw_rows_hold():
    entropy = -binsaw_log_prob(ld.tasks.Binsaw().sample(16384, seed=SEED)).mean()
    judged([apart(row["excess"] + entropy, row["excess_se"], -binsaw_log_prob(x))
            for row, x in rows_again("binsaw-compared", ld.tasks.Binsaw(), "binsaw-")])  # fmt: skip


def test_newswire_rows_hold():
    z = []
    for row, x in rows_again("newswire-compared", ld.tasks.ToyNewswire(), "newswire-"):
        p, fresh = row["coherent"], newswire_scores(x)[1].astype(float)
        n = read("newswire-compared")["n"]
        error = math.sqrt(max(p * (1 - p), 1 / n) * (1 / n + 1 / N))
        z.append(abs(p - fresh.mean()) / error)
    judged(z)


def test_the_law_of_di_seq_in_two_calls():
    """KL both ways, from log q(x) = log sum_k q(k) prod_i q(x_i | k), written out."""
    model, n = ld.load("binsaw-di-seq"), 4096
    row = next(r for r in read("binsaw-compared")["rows"] if r["model"] == "di-seq" and r["nfe"] == 2)
    masks, k = torch.full((1, 128), 2), model.config.codes
    with torch.no_grad():
        codes = model.predict(None, torch.full((1, 1), k), torch.ones(1), None).latents.double().view(-1)
        z, x = torch.arange(k).view(-1, 1), masks.expand(k, -1)
        tokens = model.predict(x, z, torch.zeros(k), x == 2).tokens.double().view(k, 128, 2)

    def log_q(x):
        bits = torch.as_tensor(x).double()
        log = bits @ tokens[..., 1].T + (1 - bits) @ tokens[..., 0].T + codes
        return torch.logsumexp(log, 1).numpy()

    true = ld.tasks.Binsaw().sample(n, seed=SEED)
    g = torch.Generator().manual_seed(SEED)
    drawn = torch.multinomial(codes.exp(), n, replacement=True, generator=g)
    own = torch.bernoulli(tokens[drawn, :, 1].exp(), generator=g)
    judged([apart(row["kl_forward"], row["kl_forward_se"], binsaw_log_prob(true) - log_q(true)),
            apart(row["kl_reverse"], row["kl_reverse_se"], log_q(own) - binsaw_log_prob(own))])  # fmt: skip
