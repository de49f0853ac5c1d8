"""Toy newswire against an independent reading of its grammar: plain Python sums over templates and
rows."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch

import lddm_lite.tasks as tasks
from lddm_lite._common.randomness import draw_categorical
from lddm_lite.tasks import newswire
from lddm_lite.tasks.mixture import MixtureTask
from lddm_lite.tasks.newswire import ToyNewswire, load_grammar

GRAMMAR = json.loads(Path(newswire.__file__).with_name("newswire_grammar.json").read_text("utf-8"))
TINY = {
    "free": {"when": {"now": 3, "then": 1}},
    "topics": {
        "pets": {"slots": ["pet", "noise"], "rows": [["cat", "purrs"]], "templates": ["{pet} {noise} ."]},
        "birds": {
            "slots": ["bird", "noise"],
            "rows": [["owl", "hoots"], ["crow", "caws"]],
            "templates": ["{bird} {noise} {when} .", "{when} {noise} {bird} ."],
        },
    },
}
FLOOD = "the {river} {grew} by {number} metres in {city} on {day} , {agency} {said} ."
PRIZE = "{film} , a {genre} about a {hero} , won the {top} prize in {festival} ."
RATES = "the bank of {country} in {capital} {raised} rates to {number} percent and the {currency} {moved} ."


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def task():
    return ToyNewswire()


@pytest.fixture(scope="module")
def clean():
    return ToyNewswire(typo=0)


def components(grammar, topics=None):
    """(weight, topic, row, template, one {word: probability} per position): the law, read off the
    grammar."""
    names = topics or list(grammar["topics"])
    for topic in names:
        table = grammar["topics"][topic]
        for row, template in itertools.product(table["rows"], table["templates"]):
            value, cells = dict(zip(table["slots"], row, strict=True)), []
            for part in template.split():
                name = part.strip("{}")
                if part == name:
                    cells.append({part: 1.0})
                elif name in value:
                    cells += [{w: 1.0} for w in value[name].split()]
                else:
                    free = grammar["free"][name]
                    weights = free if isinstance(free, dict) else {w: 1 for w in free}
                    cells.append({w: k / sum(weights.values()) for w, k in weights.items()})
            yield 1 / len(names) / len(table["rows"]) / len(table["templates"]), topic, row, template, cells


def joint(grammar, words, length, vocab, typo, topics=None):
    """Per component: weight times the probability of the visible words; None among the words is a
    mask."""
    words = words + ["·"] * (length - len(words))
    out = []
    for weight, *_, cells in components(grammar, topics):
        cells = cells + [{"·": 1.0}] * (length - len(cells))
        for word, cell in zip(words, cells, strict=True):
            weight *= 1 if word is None else (1 - typo) * cell.get(word, 0.0) + typo / vocab
        out.append(weight)
    return out


def fill(template, value):
    """The text of a template with a row's values and the first word, by the alphabet, of each free
    slot."""
    words = {name: min(free) for name, free in GRAMMAR["free"].items()} | value
    return " ".join(words[part[1:-1]] if part[0] == "{" else part for part in template.split())


# --- the grammar ----------------------------------------------------------------------------------

def test_the_grammar_is_as_rich_as_promised(task):
    topics = GRAMMAR["topics"]
    assert len(topics) >= 6 and all(len(t["rows"]) >= 6 for t in topics.values())
    assert sum(len(t["templates"]) for t in topics.values()) >= 36
    used = set()
    for name, table in topics.items():
        assert not set(table["slots"]) & set(GRAMMAR["free"]), name
        for template in table["templates"]:
            slots = [part[1:-1] for part in template.split() if part[0] == "{"]
            assert len(set(slots) & set(table["slots"])) >= 3, template
            assert template.endswith(" ."), template
            used |= set(slots)
        assert set(table["slots"]) <= used
    assert set(GRAMMAR["free"]) <= used, "every free slot is used"
    assert 250 <= task.vocab <= 400 and task.components <= 400
    assert task._table.numel() * 8 < 30e6 and task.probs.numel() * 8 < 30e6
    words = task.labels
    assert words[0] == "·" and words[1:] == sorted(words[1:]) and len(set(words)) == len(words)
    assert all(word == word.lower() for word in words)


def test_no_sentence_has_two_readings(clean):
    """Some position tells any two components apart, so coherence and `explain` are never ambiguous.
    """
    allowed = (clean.probs > 1e-12).float().permute(1, 0, 2)  # [L, G, V]
    both = torch.stack([(a @ a.T) > 0 for a in allowed]).all(0)
    assert torch.equal(both, torch.eye(clean.components, dtype=torch.bool))


def test_hidden_modes_are_rows(task):
    parts = list(components(GRAMMAR))
    assert task.modes == len(task.mode_names) == sum(len(t["rows"]) for t in GRAMMAR["topics"].values())
    found = {(task.mode_names[m], task.topics[t], *task.templates[k]) for m, t, k in zip(
        task.mode_of.tolist(), task.topic_of.tolist(), task.template_of.tolist(), strict=True)}
    assert found == {(f"{topic}/{row[0]}", topic, topic, template) for _, topic, row, template, _ in parts}
    assert len(parts) == task.components == len(found)


# --- the law --------------------------------------------------------------------------------------

@pytest.mark.parametrize("typo", [0.0, 0.05])
def test_probabilities_of_all_sequences_sum_to_one(typo):
    small = ToyNewswire(length=4, typo=typo, grammar=TINY)
    assert small.vocab == 10
    x = small.all_sequences()
    p = small.log_prob(x).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    assert int(small.coherent(x).sum()) == 1 + 2 * 2 * 2
    assert float(p[small.coherent(x)].sum()) > (1 - typo) ** 4 - 1e-12
    brute = -(p * p.clamp_min(1e-300).log()).sum()
    assert abs(small.entropy().value - float(brute)) < 5 * small.entropy().stderr + 1e-9
    words = small.decode(x[4321]).split()
    assert float(p[4321]) == pytest.approx(sum(joint(TINY, words, 4, 10, typo)), rel=1e-9, abs=1e-250)


def test_likelihood_is_the_sum_over_templates_and_rows():
    task = ToyNewswire(typo=0.02)
    x = task.sample(12, seed=5)
    assert not bool(task.coherent(x).all()), "typos are among them"
    for row, lp in zip(x, task.log_prob(x).tolist(), strict=True):
        words = [task.labels[i] for i in row]
        assert lp == pytest.approx(math.log(sum(joint(GRAMMAR, words, 16, task.vocab, 0.02))), abs=1e-9)


def test_look_up_equals_the_matrix_product_of_the_base(task):
    x = task.sample(40, seed=2)
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.5] = task.mask_id
    torch.testing.assert_close(task.log_joint(x), MixtureTask.log_joint(task, x), rtol=0, atol=1e-10)


def test_predict_is_bayes():
    task = ToyNewswire(typo=0.01, topics=["floods", "economy"])
    x = task.encode("[MASK] [MASK] [MASK] rose [MASK] two [MASK] in [MASK] [MASK] [MASK] , rivercare")
    words = [None if i == task.mask_id else task.labels[i] for i in x]
    topics = task.topics
    weights = joint(GRAMMAR, words, 16, task.vocab, 0.01, topics)
    got = task.predict(x.unsqueeze(0))[0]
    for i, word in enumerate(words):
        want = dict.fromkeys(task.labels, 0.0)
        if word is not None:
            want[word] = 1.0
        else:
            for w, (*_, cells) in zip(weights, components(GRAMMAR, topics), strict=True):
                cell = cells[i] if i < len(cells) else {"·": 1.0}
                for v in task.labels:
                    want[v] += w / sum(weights) * (0.99 * cell.get(v, 0.0) + 0.01 / task.vocab)
        want = torch.tensor([want[v] for v in task.labels], dtype=torch.float64)
        torch.testing.assert_close(got[i], want, rtol=0, atol=1e-12)


def test_samples_follow_the_law():
    task = ToyNewswire(length=4, typo=0.1, grammar=TINY)
    x, n = task.sample(40_000, seed=1), 40_000
    code = (x * 10 ** torch.arange(3, -1, -1)).sum(-1)
    p = task.log_prob(task.all_sequences()).exp()
    seen = torch.bincount(code, minlength=10_000).double()
    often = p * n > 5
    z = (seen - p * n)[often] / (p * (1 - p) * n)[often].sqrt()
    assert float(z.abs().max()) < 5 and abs(float(z.pow(2).mean()) - 1) < 0.3
    assert torch.equal(task.sample(50, seed=3), task.sample(50, seed=3))
    assert task.sample(newswire._ROWS + 3).shape == (newswire._ROWS + 3, 4)


def test_entropy_is_exact_without_typos_and_agrees_with_the_likelihood(task, clean):
    parts = [(w, [p for cell in cells for p in cell.values()]) for w, *_, cells in components(GRAMMAR)]
    exact = sum(-w * (math.log(w) + sum(p * math.log(p) for p in free)) for w, free in parts)
    assert clean.entropy().value == pytest.approx(exact, abs=1e-9) and clean.entropy().stderr < 1e-9
    nll = -task.log_prob(task.sample(20_000, seed=9))
    assert abs(float(nll.mean()) - task.entropy().value) < 4 * float(nll.std()) / math.sqrt(len(nll))
    # a position with a typo adds about log(V / typo) + 1 = 16.2 nats
    assert exact < task.entropy().value < exact + 16 * 1e-4 * 16.5


# --- coherence ------------------------------------------------------------------------------------

def test_samples_are_coherent_up_to_typos(task, clean):
    x = clean.sample(3000, seed=4)
    assert bool(clean.coherent(x).all()) and bool(task.coherent(x).all())
    assert 0.99 < float(task.coherent(task.sample(3000)).double().mean()) <= 1
    assert all(line.startswith("coherent: ") for line in task.explain(x[:20]))
    text = task.encode("the tiber rose by two metres in rome on friday , damguard said .")
    assert task.explain(text[None]) == [f"coherent: floods/tiber, '{FLOOD}'"]


def test_every_swapped_slot_is_found_and_named(task):
    texts, wanted = [], []
    for topic, table in GRAMMAR["topics"].items():
        pairs = list(zip(table["rows"], table["rows"][1:] + table["rows"][:1], strict=True))
        for template, (row, other), slot in itertools.product(table["templates"], pairs, table["slots"]):
            if f"{{{slot}}}" not in template:
                continue
            value = dict(zip(table["slots"], row, strict=True))
            value[slot] = other[table["slots"].index(slot)]
            texts.append(fill(template, value))
            wanted.append((topic, template, slot, value[slot], row[0], other[0]))
    x = torch.stack([task.encode(text) for text in texts])
    assert len(x) > 800 and not bool(task.coherent(x).any())
    step = 7  # all of them take a while
    lines = task.explain(x[::step])
    for line, (topic, template, slot, word, row, other) in zip(lines, wanted[::step], strict=True):
        assert line.endswith(f"(nearest template, {topic}: '{template}')"), line
        assert f"{slot} '{word}' belongs to {other}" in line or f"{slot} '{word}' to {other}" in line
        assert f"to {row}" in line and "out of place" not in line and " is no " not in line


@pytest.mark.parametrize("template, words, said", [
    (RATES, "japan ottawa yen", ": country 'japan' belongs to japan, capital 'ottawa' to canada, curr"),
    (RATES, "japan paris yen", "country 'japan' belongs to japan, capital 'paris' is no capital, curr"),
    (PRIZE, "cold_sugar comedy chef cannes", ": film 'cold sugar' is no film, genre 'comedy' belongs to b"),
    (PRIZE, "cold_[MASK] comedy chef cannes", "film 'cold [MASK]' belongs to cold harbour, genre "),
    (FLOOD, "tiber paris [MASK]", ": river 'tiber' belongs to tiber, city 'paris' to seine (nearest"),
    (FLOOD.replace("metres", "pandas"), "tiber rome damguard", ": out of place: 'pandas' for 'metres' (near"),
    (FLOOD.replace("{number}", "rome"), "tiber rome damguard", ": out of place: 'rome' for '{number}' (near"),
    ("rome rome rome rome rome .", "", "no template fits more than "),
])
def test_explain_says_what_is_wrong(task, template, words, said):
    slots = [part[1:-1] for part in template.split() if part[0] == "{" and part[1:-1] not in GRAMMAR["free"]]
    text = fill(template, dict(zip(slots, words.split(), strict=True)))
    x = task.encode(text.replace("_", " "))[None]
    assert not bool(task.coherent(x)) and said in task.explain(x)[0], task.explain(x)[0]


def test_masks_leave_a_sentence_open(task):
    x = torch.full((1, 16), task.mask_id)
    assert bool(task.coherent(x)) and task.explain(x) == ["open: 288 of 288 readings left, 48 of 48 rows"]
    x = task.encode("the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .")[None]
    assert task.explain(x) == ["open: 1 of 288 readings left, floods/tiber"]
    done = task.predict(x).argmax(-1)
    assert "in rome on" in task.decode(done[0]) and bool(task.coherent(done))


def test_one_factorised_step_is_almost_never_coherent(task):
    p = task.predict(torch.full((1, 16), task.mask_id))[0].log()
    g = torch.Generator().manual_seed(0)
    x = torch.stack([draw_categorical(row.expand(2000, -1), g) for row in p], -1)
    score = task.score(x)
    assert score["coherent"] < 0.002 and score["coherent_fresh"] > 0.99
    assert score["excess"] > 20
    fresh = task.score(task.sample(2000, seed=77))
    assert abs(fresh["excess"]) < 5 * fresh["excess_se"] and fresh["coherent"] > 0.99
    assert abs(fresh["mode_tv"] - fresh["mode_tv_fresh"]) < 0.03
    one_topic = ToyNewswire(topics=["space"])
    only = torch.stack([task.encode(one_topic.decode(s)) for s in one_topic.sample(500)])
    assert task.score(only)["mode_tv"] == pytest.approx(7 / 8, abs=0.01)


# --- words, arguments, errors ---------------------------------------------------------------------

def test_encode_and_decode_are_inverse(task):
    for x in task.sample(50, seed=6):
        assert torch.equal(task.encode(task.decode(x)), x)
    text = "the [MASK] rose · by two ."
    assert task.decode(task.encode(text)) == text
    assert task.encode("").tolist() == [0] * 16 and task.decode([0] * 16) == ""
    assert int(task.encode("[MASK]")[0]) == task.mask_id == task.vocab


def test_what_is_no_sentence_of_the_newswire_is_named(task):
    with pytest.raises(ValueError, match=r"outside the vocabulary .*'The', 'euro'"):
        task.encode("The euro fell .")
    with pytest.raises(ValueError, match="at most 16 words, got 17"):
        task.encode("the " * 17)
    with pytest.raises(ValueError, match="ids"):
        task.decode([0] * 15)


def test_topics_are_chosen():
    small = ToyNewswire(topics=["space", "film"], typo=0.0)
    assert small.topics == ["film", "space"] and small.modes == 12 and small.vocab < 150
    assert ToyNewswire(topics=("space",)).topics == ["space"]


def test_it_is_made_again_from_its_spec():
    small = ToyNewswire(topics=["space", "film"], typo=0.0)
    spec = json.loads(json.dumps(small.spec()))
    again = tasks.make(**spec)
    assert again.spec() == spec and torch.equal(again.sample(20, seed=1), small.sample(20, seed=1))
    own = ToyNewswire(length=4, grammar=TINY)
    again = tasks.make(**json.loads(json.dumps(own.spec())))
    assert again.labels == own.labels and tasks.TASKS["newswire"] is ToyNewswire


def test_the_vocabulary_does_not_depend_on_the_length():
    assert ToyNewswire(length=20).vocab == ToyNewswire().vocab


def broken(**changes):
    table = {"slots": ["bird", "noise"], "rows": [["owl", "hoots"]], "templates": ["{bird} {noise} ."]}
    return {"free": {}, "topics": {"birds": table | changes}}


@pytest.mark.parametrize("arguments, message", [
    (dict(topics=["sports"]), r"topics must be .*'economy'.*'sport'.*got \['sports'\]"),
    (dict(topics="sport"), None),
    (dict(topics=[]), "non-empty"),
    (dict(topics=3), "got 3"),
    (dict(length=12), r"length must be at least \d+ for the template"),
    (dict(length=0), "length"),
    (dict(typo=1.5), r"typo must be a number in \[0.0, 1.0\]"),
    (dict(typo=-0.1), "typo"),
    (dict(grammar=broken(templates=["{bird} {when} ."])), r"\{when\} is neither"),
    (dict(grammar=broken(rows=[["owl"]])), "each row needs one value"),
    (dict(grammar=broken(rows=[["owl", "hoots"], ["owl", "caws"]])), "'bird' needs different values"),
    (dict(grammar=broken(rows=[["owl", "hoots"], ["red crow", "caws"]])), "equally many words"),
])
def test_errors_name_what_is_allowed(arguments, message):
    if message is None:
        assert ToyNewswire(**arguments).topics == ["sport"]
        return
    with pytest.raises(ValueError, match=message):
        ToyNewswire(**arguments)


def test_the_grammar_is_handed_out_as_a_copy():
    load_grammar()["topics"].clear()
    assert load_grammar() == GRAMMAR
