"""Toy newswire: short news sentences whose words agree through a hidden topic and row, with exact
answers."""

from __future__ import annotations

import functools
import json
import math
from importlib import resources

import torch
import torch.nn.functional as F

from .._common import arguments, randomness, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.randomness import draw_categorical
from .mixture import _FLOOR, MixtureTask

__all__ = ["ToyNewswire", "load_grammar"]

FILLER, MASK = "·", "[MASK]"  # the filler, id 0, follows the full stop; a word of the law like any other
_ROWS = 4096  # sentences drawn at once


def load_grammar() -> dict:
    """A copy of our grammar (newswire_grammar.json): `free`: words drawn on their own, or {word:
    weight}; `topics` has for each name its `slots`, its `rows` (a word, or words, for each slot)
    and its `templates`.

    >>> sorted(load_grammar()["topics"])[:3]
    ['aviation', 'business', 'economy']
    """
    return json.loads(resources.files(__package__).joinpath("newswire_grammar.json").read_text("utf-8"))


_WORDS = schemas.items(schemas.text(r"\S+"), least=1)
_TABLE = schemas.items(schemas.items(schemas.text(r"\S(.*\S)?"), least=1), least=1)
GRAMMAR = schemas.record(
    {"free": schemas.mapping(schemas.one_of(schemas.mapping(schemas.number(above=0)), _WORDS)),
     "topics": schemas.mapping(schemas.record(
         {"slots": _WORDS, "rows": _TABLE, "templates": schemas.items(schemas.text(r"\S(.*\S)?"), least=1)}))},
    others=schemas.anything)  # fmt: skip


class ToyNewswire(MixtureTask):
    """Sentences of at most `length` words from our own grammar, e.g. "the {river} rose in {city} on
    {day} .".

    Hidden: a topic, then one row of its table (country, capital, currency, ...) and one of its
    templates, all uniform. The row fixes the words that must agree; free words (day, number, verb)
    are drawn on their own. So the law is a mixture of products with one component per (template,
    row), and `MixtureTask` makes every answer exact. Sentences end with "." and are filled up with
    "·". With probability `typo` a position holds a uniform word instead, so that every sequence has
    some probability. Source: METHOD section 8.

    Arguments: `length` L in words; `typo` in [0, 1]; `topics`: list of names, None for all;
    `grammar`: your own, like `load_grammar()`. Raises ValueError for unknown topics or a grammar
    that does not fit together. Attributes: `topics` names; `templates` list of (topic, text);
    `mode_names` "topic/row"; `topic_of`, `template_of` and (hidden mode: the row) `mode_of`, each
    [G].

    >>> task = ToyNewswire()
    >>> print(task.decode(task.sample(1, seed=2)[0]))
    fires in wolong left five hundred pandas without bamboo on thursday .
    """

    name = "newswire"

    def __init__(self, length: int = 16, typo: float = 1e-4, topics=None, grammar: dict | None = None):
        length, typo = arguments.integer("length", length, 1), arguments.number("typo", typo, 0.0, 1.0)
        arguments.within("length", length)
        grammar = None if grammar is None else GRAMMAR("grammar", grammar)
        self.typo, self.grammar = typo, load_grammar() if grammar is None else grammar
        self.topics = _names(topics, self.grammar["topics"])
        self._arguments = dict(length=length, typo=typo, topics=topics and self.topics, grammar=grammar)
        self.templates: list[tuple[str, str]] = []
        self.mode_names: list[str] = []
        self._rows: dict[str, dict[str, dict[str, str]]] = {}
        cells, prior, of = [], [], []  # per component: words of each position, weight, (topic, row, template)
        for t, topic in enumerate(self.topics):
            rows = self._rows[topic] = self._table_rows(topic)
            templates = self.grammar["topics"][topic]["templates"]
            for text in templates:
                cells += [self._cells(text, row, length) for row in rows.values()]
                prior += [-math.log(len(rows) * len(templates))] * len(rows)
                of += [(t, len(self.mode_names) + r, len(self.templates)) for r in range(len(rows))]
                self.templates.append((topic, text))
            self.mode_names += [f"{topic}/{name}" for name in rows]
        words = sorted({w for cell in cells for choice in cell for w in choice} - {FILLER})
        arguments.within("components", len(cells) * length * (len(words) + 1), "the probabilities of this grammar")
        self.ids = {w: i for i, w in enumerate([FILLER, *words])}
        clean = torch.zeros(len(cells), length, len(self.ids), dtype=torch.float64)  # [G, L, V]
        for g, cell in enumerate(cells):
            for i, choice in enumerate(cell):
                clean[g, i, [self.ids[w] for w in choice]] = torch.tensor(list(choice.values())).double()
        clean = clean / clean.sum(-1, keepdim=True)
        self.topic_of, modes, self.template_of = torch.tensor(of).T.contiguous()
        p, order = clean.sort(stable=True, dim=-1, descending=True)
        most = int((p > 0).sum(-1).max())
        self._choice, cdf = order[..., :most].clone(), p[..., :most].cumsum(-1)  # [G, L, K]: what may stand
        self._cdf = cdf / cdf[..., -1:]
        self._allowed = F.pad(clean > 0, (0, 1), value=True).permute(1, 2, 0).contiguous()  # [L, V+1, G]
        noisy = ((1 - typo) * clean + typo / len(self.ids)).clamp_min(_FLOOR)
        super().__init__(torch.tensor(prior, dtype=torch.float64), noisy.log(), modes, list(self.ids))
        self._shown = [*self.labels, MASK]

    def _table_rows(self, topic: str) -> dict[str, dict[str, str]]:
        """The rows {first value: {slot: value}} of a topic's table."""
        slots, rows = self.grammar["topics"][topic]["slots"], self.grammar["topics"][topic]["rows"]
        if any(len(row) != len(slots) for row in rows):
            raise ValueError(f"topic {topic!r}: each row needs one value for each of the slots {slots}")
        for slot, *values in zip(slots, *rows, strict=True):
            if len({len(v.split()) for v in values}) != 1 or len(set(values)) != len(values):
                raise ValueError(f"topic {topic!r}: {slot!r} needs different values of equally many words")
        return {row[0]: dict(zip(slots, row, strict=True)) for row in rows}

    def _cells(self, text: str, row: dict[str, str], length: int) -> list[dict[str, float]]:
        """One {word: weight} per position of a template filled with a row."""
        out: list[dict[str, float]] = []
        for part in text.split():
            slot = _slot(part)
            if slot in row:
                out += [{w: 1} for w in row[slot].split()]
            elif slot is None or slot in self.grammar["free"]:
                free = [part] if slot is None else self.grammar["free"][slot]
                out.append(free if isinstance(free, dict) else dict.fromkeys(free, 1))
            else:
                slots = arguments.shown(sorted(row))
                raise ValueError(f"template {text!r}: {part} is neither one of {slots} nor a free slot")
        if len(out) > length:
            raise ValueError(f"length must be at least {len(out)} for the template {text!r}, got {length}")
        return out + [{FILLER: 1}] * (length - len(out))

    def encode(self, text: str) -> torch.Tensor:
        """Token ids [L] of blank-separated words, filled up with "·"; "[MASK]" becomes the mask id.
        Raises ValueError for a word outside the vocabulary and for more than L words.

        >>> ToyNewswire().encode("the [MASK] fell .")[-1]
        tensor(0)
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a text, got {arguments.shown(text)}")
        words = text.split()
        unknown = [w for w in words if w not in self.ids and w != MASK]
        if unknown:
            raise ValueError(f"text holds words outside the vocabulary (`labels`): {unknown}")
        if len(words) > self.length:
            raise ValueError(f"text must have at most {self.length} words, got {len(words)}")
        words += [FILLER] * (self.length - len(words))
        return torch.tensor([self.ids.get(w, self.mask_id) for w in words])

    def decode(self, ids) -> str:
        """The text of token ids [L]. Filler at the end is dropped, inside it is "·"; a mask is
        "[MASK]".

        >>> ToyNewswire().decode([0] * 15 + [400])
        '· · · · · · · · · · · · · · · [MASK]'
        """
        x = arguments.tokens("ids", arguments.tensor("ids", ids).unsqueeze(0), self.length, self.vocab, mask_ok=True)[0]
        return " ".join(self._shown[i] for i in x.tolist()).rstrip(f" {FILLER}")

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` fresh sentences [n, L], int64, exactly from p*, typos included. `seed`: integer or
        generator.

        >>> ToyNewswire().sample(3).shape
        torch.Size([3, 16])
        """
        arguments.integer("n", n, minimum=1)
        g, out = randomness.generator(seed), []
        for m in (min(_ROWS, n - start) for start in range(0, n, _ROWS)):
            comp = draw_categorical(self.log_prior.expand(m, -1), g)
            u, hit, other = randomness.rand((3, m, self.length, 1), g, dtype=torch.float64)
            x = self._choice[comp].gather(-1, (u >= self._cdf[comp]).sum(-1, keepdim=True))
            out.append(torch.where(hit < self.typo, (other * self.vocab).long(), x).squeeze(-1))
        return torch.cat(out)

    def log_joint(self, x) -> torch.Tensor:
        """log pi_g + sum over visible i of log p_g(x_i): [B, G], nats. By look-up, which with
        hundreds of words is far quicker than the matrix product of `MixtureTask`.

        >>> ToyNewswire().log_joint([[0] * 16]).shape
        torch.Size([1, 288])
        """
        x = arguments.tokens("x", x, self.length, self.vocab, mask_ok=True).cpu()
        x = x + torch.arange(self.length) * (self.vocab + 1)
        return F.embedding_bag(x, self._table, mode="sum") + self.log_prior

    def entropy(self) -> Estimate:
        """H(p*) in nats per sentence, as H(g) + H(x|g) - H(g|x). Only the last term is a Monte
        Carlo mean (of 16,384), and tiny, for a sentence all but gives its component away.

        >>> print(ToyNewswire().entropy())
        8.591 ± 0.000
        """
        if self._entropy is None:
            entr, g = torch.special.entr, randomness.generator(20_251_018)
            known = float(self.log_prior.exp() @ (entr(self.probs).sum((1, 2)) - self.log_prior))
            rest = torch.cat([entr(self.posterior(self.sample(_ROWS, g))).sum(-1) for _ in range(4)])
            self._entropy = Estimate(known - float(rest.mean()), Estimate.of(rest).stderr)
        return self._entropy

    def _readings(self, x) -> torch.Tensor:
        """Which components allow every visible word of x, typos aside: bool [B, G]."""
        x = arguments.tokens("x", x, self.length, self.vocab, mask_ok=True).cpu()
        return functools.reduce(torch.logical_and, (self._allowed[i, v] for i, v in enumerate(x.T)))

    def coherent(self, x) -> torch.Tensor:
        """Bool [B], exact: is x [B, L] a sentence of the grammar, free of typos? With masks: can it
        be one?

        >>> task, flood = ToyNewswire(), "the tiber rose by two metres in {} on [MASK] , [MASK] said ."
        >>> task.coherent(torch.stack([task.encode(flood.format(city)) for city in ("rome", "paris")]))
        tensor([ True, False])
        """
        return self._readings(x).any(-1)

    def explain(self, x) -> list[str]:
        """For each of x [B, L], masks allowed: "coherent: topic/row, template", "open: ..." while
        masks leave a choice, or "incoherent: ...": what the words belong to, by the template that
        fits best.

        >>> x = ToyNewswire().encode("the tiber rose by two metres in paris on friday , damguard said .")
        >>> print(ToyNewswire().explain(x.unsqueeze(0))[0])  # doctest: +ELLIPSIS
        incoherent: river 'tiber' belongs to tiber, city 'paris' to seine, agency 'damguard' to tiber ...
        """
        ids = arguments.tokens("x", x, self.length, self.vocab, mask_ok=True).tolist()
        return [self._verdict(row, ok) for row, ok in zip(ids, self._readings(x), strict=True)]

    def _verdict(self, ids: list[int], ok: torch.Tensor) -> str:
        left = ok.nonzero().flatten().tolist()
        if left:
            rows = sorted({self.mode_names[self.mode_of[g]] for g in left})
            which = rows[0] if len(rows) == 1 else f"{len(rows)} of {self.modes} rows"
            if self.mask_id in ids:
                return f"open: {len(left)} of {self.components} readings left, {which}"
            return f"coherent: {which}, '{self.templates[self.template_of[left[0]]][1]}'"
        fits = torch.stack([self._allowed[i, v] for i, v in enumerate(ids)]).T.double()  # [G, L]
        fits = fits.new_zeros(len(self.templates), self.length).index_add_(0, self.template_of, fits) > 0
        best, masked = int(fits.sum(-1).argmax()), ids.count(self.mask_id)
        (topic, text), seen, count = self.templates[best], len(ids) - masked, int(fits[best].sum()) - masked
        few = f"no template fits more than {count} of {seen} words" if 2 * count <= seen else ""
        return f"incoherent: {few or self._faults(ids, topic, text)} (nearest template, {topic}: '{text}')"

    def _faults(self, ids: list[int], topic: str, text: str) -> str:
        """Why ids are no instance of a template: slots that disagree, words out of place."""
        rows, words, facts, odd = self._rows[topic], [self._shown[i] for i in ids], [], []
        owners: list[str | None] = []
        slots = next(iter(rows.values()))
        for part in text.split() + [FILLER] * self.length:
            slot = _slot(part)
            width = len(slots[slot].split()) if slot in slots else 1
            said, words = words[:width], words[width:]
            if set(said) <= {MASK}:  # or nothing left
                continue
            elif slot in slots:
                same = {n: zip(said, row[slot].split(), strict=False) for n, row in rows.items()}
                owners += [n for n, pairs in same.items() if all(a in (b, MASK) for a, b in pairs)] or [None]
                belongs = "to" if any(owners[:-1]) else "belongs to"
                fact = f"{belongs} {owners[-1]}" if owners[-1] else f"is no {slot}"
                facts.append(f"{slot} '{' '.join(said)}' {fact}")
            elif said[0] not in (self.grammar["free"][slot] if slot else [part]):
                odd.append(f"'{said[0]}' for '{part}'")
        out = [", ".join(facts)] if len({*owners}) > 1 or None in owners else []
        if odd:
            out.append(f"out of place: {', '.join(odd)}")
        return "; ".join(out)


def _slot(part: str) -> str | None:
    return part[1:-1] if part[0] == "{" and part[-1] == "}" else None  # None: a plain word


def _names(topics, known) -> list[str]:
    """`topics` as known names in the grammar's order; None for all of them."""
    given = known if topics is None else topics if isinstance(topics, list | tuple) else [topics]
    if not given or any(t not in list(known) for t in given):
        raise ValueError(f"topics must be a non-empty list out of {sorted(known)}, got {shown(topics)}")
    return [t for t in known if t in given]
