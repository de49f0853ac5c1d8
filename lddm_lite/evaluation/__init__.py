"""Evaluation: samples against the number of steps, latents, generated text, and the bound along a
path (METHOD 8, 9).

| file | what |
|---|---|
| `few_steps` | quality against steps, and that of exact predictions without latents, in even or in their best steps |
| `measure_steps` | saved models at chosen steps, with the papers' distance: what `data/results` holds |
| `latents` | do the latents carry something, and can the model draw them? |
| `text_scores`, `judge`, `metrics` | entropy, distinct n-grams, Gen PPL by an independent judge |
| `comparison`, `tables` | systems side by side at equal NFE; tables for a terminal |
| `measure_divergences`, `sampler_law` | Kullback–Leibler divergences from a task, and the law of a sampler |
| `measure_visible_costs` | what a masked token costs when k others are visible, and latents on their way |
| `measure_frontier` | quality against diversity over steps, temperature, order and system |
| `search_schedule` | the best schedule of a model at so many network calls |
| `bound_integrand`, `measure_rate_grid` | where the nats of the bound arise, along a path and over the square |
"""

from __future__ import annotations

from .bound_integrand import along_path
from .comparison import compare, held_out, write
from .few_steps import exact_limit, frontier, score_samples, timed_sample
from .judge import Judge, Perplexity, perplexity_of
from .latents import Diagnosis, diagnose, health, latent_health, z_response
from .measure_divergences import Divergences, divergences
from .measure_rate_grid import rate_grid
from .measure_visible_costs import VisibleCosts, step_costs, visible_costs
from .metrics import unigram_entropy
from .search_schedule import best_schedule
from .tables import as_json, as_text, comparison_table, generation_table
from .text_scores import copied, distinct_n, generation_report, repetition

__all__ = [
    "Diagnosis", "Divergences", "Judge", "Perplexity", "VisibleCosts", "along_path", "as_json", "as_text",
    "best_schedule", "compare", "comparison_table", "copied", "diagnose", "distinct_n", "divergences", "exact_limit",
    "frontier", "generation_report", "generation_table", "health", "held_out", "latent_health", "perplexity_of",
    "rate_grid", "repetition", "score_samples", "step_costs", "timed_sample", "unigram_entropy", "visible_costs",
    "write", "z_response",
]  # fmt: skip
