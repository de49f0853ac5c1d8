"""Toy newswire: short news sentences whose words agree through a hidden topic and row, with exact answers."""

from __future__ import annotations

import functools
import json
from importlib import resources

import torch
import torch.nn.functional as F

from .. import checks
from ..channels import draw_categorical
from ..estimate import Estimate
from .mixture import _FLOOR, MixtureTask

__all__ = ["ToyNewswire", "load_grammar"]

FILLER = "·"  # what follows the full stop up to the fixed length; id 0, a word of the law like any other
MASK = "[MASK]"
_ROWS = 4096  # sentences handled at once


@functools.cache
def load_grammar() -> dict:
    """The built-in grammar (newswire_grammar.json): `free` = words drawn on their own, a list or {word: weight};
    `topics` = for each name its `slots`, its `rows` (one word or words for each slot) and its `templates`.

    >>> sorted(load_grammar()["topics"])[:3]
    ['aviation', 'business', 'economy']
    """
    return json.loads(resources.files(__package__).joinpath("newswire_grammar.json").read_text("utf-8"))


class ToyNewswire(MixtureTask):
    """Sentences of at most `length` words from our own grammar, e.g. "the bank of {country} in {capital} ...".

    Hidden: a topic, then one row of its table (country, capital, currency, ...) and one of its templates, all
    uniform. The row fixes the words that must agree; free words (weekday, number, verb) are drawn on their own.
    So the law is a finite mixture of products with one component per (template, row), and all answers of
    `MixtureTask` are exact. Sentences end with "." and are filled up to `length` with "·" (id 0). With probability
    `typo` a position holds a uniform word instead, so every sequence has some probability. Source: METHOD section 8.

    Arguments: `length` L in tokens; `typo` in [0, 1); `topics`: a list of topic names, None for all; `grammar`: your
    own, built like `load_grammar()`. Raises ValueError for an unknown topic, a sentence longer than `length`, or a
    grammar that does not fit together.
    Attributes: `topics` names; `templates` list of (topic, text); `mode_names` "topic/row"; for the G components
    `topic_of`, `template_of` and, as hidden mode, the row: `mode_of`, each [G].

    >>> task = ToyNewswire()
    >>> print(task.decode(task.sample(1, seed=7)[0]))
    """

    name = "newswire"

    def __init__(self, length: int = 16, typo: float = 1e-4, topics=None, grammar: dict | None = None):
        checks.integer("length", length, 1)
        if checks.number("typo", typo, 0.0) >= 1:
            raise ValueError(f"typo must be in [0, 1), got {typo!r}")
        self.typo = float(typo)
        self.grammar = load_grammar() if grammar is None else grammar
        self.topics = list(self.grammar["topics"]) if topics is None else _names(topics, self.grammar["topics"])
        self._arguments = dict(length=length, typo=self.typo, topics=None if topics is None else self.topics)
        if grammar is not None:
            self._arguments["grammar"] = grammar
        self.templates, self.mode_names, self._rows = [], [], []
        cells, prior, of = [], [], []  # per component: words of each position, weight, (topic, mode, template)
        for t, topic in enumerate(self.topics):
            table = self.grammar["topics"][topic]
            rows = [dict(zip(table["slots"], row, strict=True)) for row in table["rows"]]
            self._check_widths(topic, table["slots"], rows)
            for text in table["templates"]:
                for r, row in enumerate(rows):
                    cells.append(self._cells(text, row, length))
                    prior.append(1 / (len(rows) * len(table["templates"])))
                    of.append((t, len(self.mode_names) + r, len(self.templates)))
                self.templates.append((topic, text))
            self.mode_names += [f"{topic}/{row[table['slots'][0]]}" for row in rows]
            self._rows.append(rows)
        words = sorted({w for cell in cells for choice in cell for w in choice} - {FILLER})
        self.ids = {w: i for i, w in enumerate([FILLER, *words])}
        clean = torch.zeros(len(cells), length, len(self.ids), dtype=torch.float64)
        for g, cell in enumerate(cells):
            for i, choice in enumerate(cell):
                for word, p in choice.items():
                    clean[g, i, self.ids[word]] = p
        self.topic_of, modes, self.template_of = torch.tensor(of).T.contiguous()
        p, words = clean.sort(stable=True, dim=-1, descending=True)
        self._choice = words[..., : int((p > 0).sum(-1).max())]  # [G, L, K] the few words that may stand there
        self._cdf = p[..., : self._choice.shape[-1]].cumsum(-1)
        self._cdf = self._cdf / self._cdf[..., -1:]
        self._allowed = F.pad(clean > 0, (0, 1), value=True).permute(1, 2, 0).contiguous()  # [L, V+1, G]
        noisy = (1 - typo) * clean + typo / len(self.ids)
        super().__init__(torch.tensor(prior).log(), noisy.clamp_min(_FLOOR).log(), modes, list(self.ids))
        self._offsets = torch.arange(length) * (self.vocab + 1)

    # -- building ------------------------------------------------------------------------------------------
    def _check_widths(self, topic: str, slots: list[str], rows: list[dict[str, str]]) -> None:
        for slot in slots:
            values = [row[slot] for row in rows]
            if len({len(v.split()) for v in values}) != 1 or len(set(values)) != len(values):
                raise ValueError(f"topic {topic!r}: {slot!r} needs one value per row, all different and of equally "
                                 f"many words, got {values}")

    def _cells(self, text: str, row: dict[str, str], length: int) -> list[dict[str, float]]:
        """One {word: probability} per position of a template filled with a row."""
        out = []
        for part in text.split():
            slot = _slot(part)
            if slot is None:
                out.append({part: 1.0})
            elif slot in row:
                out += [{w: 1.0} for w in row[slot].split()]
            elif slot in self.grammar["free"]:
                free = self.grammar["free"][slot]
                free = free if isinstance(free, dict) else dict.fromkeys(free, 1)
                out.append({w: n / sum(free.values()) for w, n in free.items()})
            else:
                raise ValueError(f"template {text!r}: {part} is neither one of {sorted(row)} nor a free slot")
        if len(out) > length:
            raise ValueError(f"length must be at least {len(out)} for the template {text!r}, got {length}")
        return out + [{FILLER: 1.0}] * (length - len(out))

    # -- words and ids ---------------------------------------------------------------------------------------
    def encode(self, text: str) -> torch.Tensor:
        """Token ids [L] of a text whose words are split by blanks, filled up with "·"; "[MASK]" is the mask id.

        Raises ValueError for a word that is not in the vocabulary and for more than L words.

        >>> ToyNewswire().encode("the [MASK] fell .")[-1]
        tensor(0)
        """
        words = text.split()
        unknown = [w for w in words if w not in self.ids and w != MASK]
        if unknown:
            raise ValueError(f"text holds words outside the {self.vocab} of the vocabulary: {unknown}")
        if len(words) > self.length:
            raise ValueError(f"text must have at most {self.length} words, got {len(words)}")
        words += [FILLER] * (self.length - len(words))
        return torch.tensor([self.ids.get(w, self.mask_id) for w in words])

    def decode(self, ids) -> str:
        """The text of token ids [L]: the filler at the end is dropped, one inside is shown as "·", a mask as "[MASK]".

        >>> task = ToyNewswire()
        >>> task.decode(task.encode("fog in [MASK] ."))
        'fog in [MASK] .'
        """
        x = checks.tokens("ids", torch.as_tensor(ids).unsqueeze(0), self.length, self.vocab, mask_ok=True)[0]
        return " ".join([*self.labels, MASK][i] for i in x.tolist()).rstrip(f" {FILLER}")

    # -- the law ---------------------------------------------------------------------------------------------
    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` fresh sentences [n, L], int64, exactly from p* (typos included). `seed`: integer or torch.Generator.

        >>> ToyNewswire().sample(3).shape
        torch.Size([3, 16])
        """
        checks.integer("n", n, minimum=1)
        g = checks.generator(seed)
        out = []
        for m in [_ROWS] * (n // _ROWS) + [n % _ROWS] * (n % _ROWS > 0):
            comp = draw_categorical(self.log_prior.expand(m, -1), g)
            u = checks.rand((m, self.length, 1), g, dtype=torch.float64)
            x = self._choice[comp].gather(-1, (u >= self._cdf[comp]).sum(-1, keepdim=True)).squeeze(-1)
            typo = checks.rand(x.shape, g, dtype=torch.float64) < self.typo
            other = checks.rand(x.shape, g, dtype=torch.float64) * self.vocab
            out.append(torch.where(typo, other.long().clamp_max(self.vocab - 1), x))
        return torch.cat(out)

    def log_joint(self, x) -> torch.Tensor:
        """log pi_g + sum over visible i of log p_g(x_i): [B, G], nats, as in `MixtureTask` but by look-up, which a
        vocabulary of hundreds of words makes far quicker than its matrix product.

        >>> task = ToyNewswire()
        >>> task.log_joint(task.sample(2)).shape[1] == task.components
        True
        """
        x = checks.tokens("x", x, self.length, self.vocab, mask_ok=True).cpu()
        return F.embedding_bag(x + self._offsets, self._table, mode="sum") + self.log_prior

    def entropy(self) -> Estimate:
        """H(p*) in nats per sentence as H(g) + H(x|g) - H(g|x). Only the last term, tiny because a sentence all but
        gives its component away, is a Monte Carlo mean, so the standard error is far below that of -log p*.

        >>> ToyNewswire().entropy().stderr < 1e-3
        True
        """
        if self._entropy is None:
            given = -(self.probs * self.probs.clamp_min(_FLOOR).log()).sum((1, 2))  # H(x | g), [G]
            known = float(self.log_prior.exp() @ (given - self.log_prior))
            g = checks.generator(20_251_018)
            post = torch.cat([torch.special.entr(self.posterior(self.sample(_ROWS, g))).sum(-1) for _ in range(4)])
            rest = Estimate.of(post)
            self._entropy = Estimate(known - rest.value, rest.stderr)
        return self._entropy

    # -- what the grammar says ---------------------------------------------------------------------------------
    def _readings(self, x) -> torch.Tensor:
        """Which components allow every visible word of x, typos aside: bool [B, G]."""
        x = checks.tokens("x", x, self.length, self.vocab, mask_ok=True).cpu()
        out = torch.ones(len(x), self.components, dtype=torch.bool)
        for i in range(self.length):
            out &= self._allowed[i, x[:, i]]
        return out

    def coherent(self, x) -> torch.Tensor:
        """Bool [B]: is the sentence one of the grammar's, without typos? With masks: can it still become one? Exact.

        >>> task = ToyNewswire()
        >>> task.coherent(torch.stack([task.encode(f"the tiber rose by two metres in {c} on [MASK] , [MASK] said .")
        ...                            for c in ("rome", "paris")]))
        tensor([ True, False])
        """
        return self._readings(x).any(-1)

    def explain(self, x) -> list[str]:
        """What the grammar says of each sentence of x [B, L], masks allowed. "coherent: topic/row, template"; "open:
        ..." while masks leave a choice; else "incoherent: ..." with what the agreeing words belong to and the words
        that do not fit, both against the template that fits best.

        >>> task = ToyNewswire()
        >>> print(task.explain([task.encode("the tiber rose by two metres in paris on friday , rivercare said .")])[0])
        """
        x = torch.stack(list(x)) if isinstance(x, list) and all(torch.is_tensor(v) for v in x) and x else x
        readings = self._readings(x)
        return [self._verdict(ids, ok) for ids, ok in zip(torch.as_tensor(x).tolist(), readings, strict=True)]

    def _verdict(self, ids: list[int], ok: torch.Tensor) -> str:
        left = ok.nonzero().flatten().tolist()
        if left and self.mask_id in ids:
            modes = {self.mode_names[self.mode_of[g]] for g in left}
            only = f": {modes.pop()}" if len(modes) == 1 else ""
            return f"open: {len(left)} of {self.components} readings, {len(modes) or 1} of {self.modes} rows{only}"
        if left:
            return f"coherent: {self.mode_names[self.mode_of[left[0]]]}, '{self.templates[self.template_of[left[0]]][1]}'"
        fits = torch.stack([self._allowed[i, v] for i, v in enumerate(ids)]).double()  # [L, G]
        by_template = torch.zeros(len(self.templates), self.length, dtype=torch.double)
        best = int((by_template.index_add_(0, self.template_of, fits.T) > 0).sum(-1).argmax())
        return self._compare(ids, best)

    def _compare(self, ids: list[int], template: int) -> str:
        """Why a sentence is not an instance of a template."""
        topic, text = self.templates[template]
        rows = self._rows[self.topics.index(topic)]
        words, at = [[*self.labels, MASK][i] for i in ids], 0
        facts, owners, odd = [], set(), []
        for part in text.split() + [FILLER] * self.length:
            slot = _slot(part)
            width = len(rows[0][slot].split()) if slot in rows[0] else 1
            said, at = words[at : at + width], at + width
            if not said or MASK in said:
                continue
            if slot in rows[0]:
                owner = [next(iter(row.values())) for row in rows if row[slot].split() == said]
                owners.add(*owner or [None])
                belongs = ("to " if facts else "belongs to ") + owner[0] if owner else f"is no {slot}"
                facts.append(f"{slot} '{' '.join(said)}' {belongs}")
            elif said[0] not in (self.grammar["free"][slot] if slot else [part]):
                odd.append(f"'{said[0]}' for '{part}'")
        out = [f"slots disagree: {', '.join(facts)}"] if len(owners) > 1 or None in owners else []
        if odd:
            more = f" and {len(odd) - 4} more" if len(odd) > 4 else ""
            out.append(f"words that do not fit: {', '.join(odd[:4])}{more}")
        return f"incoherent: {'; '.join(out)} (nearest template, {topic}: '{text}')"


def _slot(part: str) -> str | None:
    """The name inside "{...}", None for a plain word."""
    return part[1:-1] if part[0] == "{" and part[-1] == "}" else None


def _names(topics, known) -> list[str]:
    """`topics` as a list of distinct known names, in the grammar's order."""
    given = [topics] if isinstance(topics, str) else list(topics)
    if not given or not set(given) <= set(known):
        raise ValueError(f"topics must be a non-empty list out of {sorted(known)}, got {topics!r}")
    return [t for t in known if t in given]
