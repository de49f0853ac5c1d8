"""Training: two stages, averaged weights, exact resume, several processes (METHOD 5).

| file | what |
|---|---|
| `loop`, `config` | `fit` and its options |
| `state`, `history` | what resuming needs; what happened |
| `averages` | exponential moving averages of the weights |
| `microbatches`, `processes` | a batch in pieces, by one process or several |
| `precision` | bfloat16 autocast, torch.compile |
| `preflight`, `forecast`, `speed` | does it fit together; what will it need; how fast is it |
| `measure_digits` | systems on handwritten digits, judged by a classifier |
| `validation`, `tensorboard`, `interrupt` | held-out bound and previews; curves elsewhere; Ctrl-C |
"""

from __future__ import annotations

from .config import TrainConfig, TrainingError
from .forecast import Forecast, estimate
from .history import History
from .loop import fit
from .state import TrainState

__all__ = ["Forecast", "History", "TrainConfig", "TrainState", "TrainingError", "estimate", "fit"]
