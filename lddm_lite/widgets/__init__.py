"""Interactive pieces for notebooks. Importing this needs ipywidgets; the rest of the library does
not."""

from __future__ import annotations

from .frontier_explorer import FrontierExplorer
from .infill import Infill
from .latent_diagnosis import LatentDiagnosis
from .latent_explorer import LatentExplorer
from .path_explorer import PathExplorer
from .playground import Playground
from .scrubber import Scrubber

__all__ = ["FrontierExplorer", "Infill", "LatentDiagnosis", "LatentExplorer", "PathExplorer", "Playground", "Scrubber"]
