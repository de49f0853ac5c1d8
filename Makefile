# Everything a person does with this repository, one word each: `make` lists the words.
#
#   PYTHON       the interpreter .venv is made from               make lab PYTHON=python3.12
#   INSTALLER    pip, or uv (the same result, faster)             make lab INSTALLER=uv
#   TORCH_INDEX  a further package index that torch may come      make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                from. Left empty, the usual index serves: on Linux its torch brings the CUDA libraries
#                (several GB), which a GPU wants and nothing else does. The address above holds the CPU
#                builds; the ones for other CUDA versions lie beside it (.../whl/cu126, and so on).
#   LAB_ARGS     options for JupyterLab                           make lab LAB_ARGS="--no-browser --port 8899"
#   TESTS        what pytest is to run                            make test TESTS="tests/diffusion -x"
#   VENV, CONSTRAINTS   another environment, other versions: see test-min

PYTHON      ?= python3
INSTALLER   ?= pip
TORCH_INDEX ?=
LAB_ARGS    ?=
TESTS       ?=
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt

FIRST := notebooks/00_start_here.ipynb
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

# Threads that wait by spinning take the cores from those that work: on two busy cores, four times slower.
export OMP_WAIT_POLICY = PASSIVE

# A container's only user is often root, whom JupyterLab turns away unless told otherwise.
ROOT_ARG := $(if $(filter 0,$(shell id -u)),--allow-root)

ifeq ($(INSTALLER),uv)
NEW_VENV = uv venv --quiet --seed --allow-existing --python "$(PYTHON)" $(VENV)
# best-match: by default uv takes *every* package from the first index that knows its name, however old it is there.
INSTALL  = uv pip install --python $(BIN)/python --index-strategy unsafe-best-match
else ifeq ($(INSTALLER),pip)
NEW_VENV = "$(PYTHON)" -m venv $(VENV)
INSTALL  = $(BIN)/python -m pip install --disable-pip-version-check
else
$(error INSTALLER is pip or uv, not '$(INSTALLER)')
endif

.DEFAULT_GOAL := help
.PHONY: help lab install molecules test quick test-slow test-course test-min test-browser lint doctor checkpoints checkpoints-lm1b cards text-gpu rates frontier drawings notebooks slides slides-pdf address site test-site clean

help:  ## list these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1~\2/p' $(MAKEFILE_LIST) | awk -F'~' '{printf "%-25s%s\n", $$1, $$2}'

# Trusted: what you have checked out and are about to run. Else JupyterLab would show saved widgets as still pictures.
# And pages that notebooks link to open as pages, not as their source.
SETTINGS := $(VENV)/share/jupyter/lab/settings/overrides.json

lab: install  ## set everything up in .venv and open JupyterLab on the first notebook
	@mkdir -p $(dir $(SETTINGS)) && { test -e $(SETTINGS) || echo '{"@jupyterlab/docmanager-extension:plugin":' \
	  '{"defaultViewers": {"markdown": "Markdown Preview"}}}' > $(SETTINGS); }
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter trust notebooks/*.ipynb >/dev/null
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter lab $(ROOT_ARG) --LabApp.default_url=/lab/tree/$(FIRST) $(LAB_ARGS)

install: $(STAMP)  ## only set everything up (again, when the list of dependencies has changed)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@command -v "$(PYTHON)" >/dev/null || { echo "No '$(PYTHON)' here. Name a Python:  make lab PYTHON=python3.12" >&2; exit 1; }
	@found=$$("$(PYTHON)" -m lddm_lite doctor python) || { echo "$$found" >&2; exit 1; }
	@if [ "$$(uname -s)" = Linux ] && [ -z "$(TORCH_INDEX)" ] && ! command -v nvidia-smi >/dev/null; then \
	  echo "No NVIDIA GPU seen. Should CUDA libraries be fetched below (several GB), stop with Ctrl-C and use:"; \
	  echo "  make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu"; fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(NEW_VENV) || { \
	  echo "Could not make $(VENV). On Debian and Ubuntu:  sudo apt install python3-venv" >&2; exit 1; }
	$(INSTALL) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

# Without what they ask for: only their files are read, and of molsets' requirements one no longer builds.
molecules: install  ## the molecules of QM9 and MOSES, and rdkit that judges them (150 MB)
	$(INSTALL) -c $(CONSTRAINTS) -e '.[molecules]'
	$(INSTALL) --no-deps qm9pack molsets

test: lint quick  ## ruff and mypy, then the quick tests

# One thread for each of two workers: the suite is many small tensors, and threads on these only quarrel.
quick: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 $(TESTS)

test-slow: install  ## the tests that take minutes
	$(BIN)/python -m pytest -q -m slow $(TESTS)

test-course: install  ## run every notebook and all solutions, shrunk (LDDM_FAST=1)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m course $(or $(TESTS),tests/course)

test-min:  ## the quick tests on the lowest versions that pyproject.toml allows (own environment)
	$(MAKE) quick VENV=.venv-min CONSTRAINTS=constraints-min.txt

test-browser: install  ## the tests in JupyterLab and Chromium; pictures of failures go to .browser/
	$(BIN)/python -m pytest -q -rs $(or $(TESTS),tests/browser)

lint: install  ## ruff over code and notebooks, mypy over the library
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet notebooks/*.ipynb || { $(BIN)/ruff format --diff notebooks/*.ipynb; exit 1; }
	$(BIN)/mypy

# Without `install`, for it must also help where that fails.
doctor:  ## what is installed, what is missing, and the command that mends it
	@$$(test -x $(BIN)/python && echo $(BIN)/python || echo "$(PYTHON)") -m lddm_lite doctor

# How each model that ships was trained stands in its run.json. One core: on the same machine the same weights come out.
# Text is not in the repository. LM1B=FILE: sentences of the benchmark, one a line; see data/README.md for those that
# were used. `training/` is what resuming needs; it does not ship.
RUNS := $(wildcard data/checkpoints/*/run.json)
LM1B ?= lm1b_train.txt

checkpoints: install  ## train and score again the models that ship in data/checkpoints (three hours on one core)
	for run in $(filter-out data/checkpoints/lm1b-%,$(RUNS:/run.json=)); do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m lddm_lite train --threads 1 --recipe $$run --force --out $$run && \
	  OMP_NUM_THREADS=1 $(BIN)/python -m lddm_lite evaluate $$run --json $$run/scores.json || exit 1; rm -rf $$run/training; done

checkpoints-lm1b: install  ## the same for the models of real text, LM1B=FILE (up to four hours on one core)
	for run in $(filter data/checkpoints/lm1b-%,$(RUNS:/run.json=)); do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m lddm_lite train --threads 1 --recipe $$run --text $(LM1B) --force --out $$run \
	  || exit 1; rm -rf $$run/training; done

cards: install  ## write the cards of the models that ship, data/checkpoints/README.md, from their files
	$(BIN)/python data/model_cards.py

# For a GPU that is lent for minutes at a time: each call trains one piece, and the last one writes the table. What it
# would take: TEXT_ARGS=--dry-run.
TEXT_RUNS := lm1b-small-mdlm lm1b-small-di-seq lm1b-small-co-joint
MINUTES ?= 9
HELD_OUT ?= lm1b_held_out.txt

text-gpu: install  ## models of real text on a GPU, in pieces: LM1B=FILE HELD_OUT=FILE, again until it prints the table
	@for run in $(TEXT_RUNS); do out=runs/$$run; \
	  if [ -e $$out/finished ]; then continue; fi; \
	  if [ -e $$out/run.json ]; then how=--resume; else how="--recipe data/recipes/$$run --text $(LM1B)"; fi; \
	  $(BIN)/python -m lddm_lite train $$how --out $$out --minutes $(MINUTES) $(TEXT_ARGS); status=$$?; \
	  case "$$status $(TEXT_ARGS)" in *--dry-run*) continue;; "0 "*) touch $$out/finished;; "130 "*);; *) exit $$status;; esac; \
	  echo "There is more to do: the same command again."; exit 0; \
	done; \
	case "$(TEXT_ARGS)" in *--dry-run*) exit 0;; esac; \
	$(BIN)/python -m lddm_lite compare $(addprefix runs/,$(TEXT_RUNS)) --text $(HELD_OUT) --nfe 2,4,8,16,32,64 -n 1024 \
	  --no-health --out runs/lm1b-small

rates: install  ## measure again the grid of rates that the path explorer shows (a quarter of an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m lddm_lite.evaluation.measure_rate_grid --out lddm_lite/widgets/static/binsaw_rates.json

frontier: install  ## measure again quality against diversity, which the frontier explorer shows (a quarter of an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m lddm_lite.evaluation.measure_frontier --out data/results/frontier.json

drawings: install  ## draw again the pictures of the idea, notebooks/figures/*.svg
	$(BIN)/python -c 'from lddm_lite.plots.drawings import write; write("notebooks/figures")'

notebooks: install  ## build the notebooks from notebooks/source, run them in full and keep their outputs
	OMP_NUM_THREADS=1 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python notebooks/build.py

slides: install  ## the three lecture decks, one offline file each: build/slides/*.html (needs npm, once)
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/decks/make_decks.py

slides-pdf: install  ## the same, and printed to PDF by Chromium
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/decks/make_decks.py --pdf

address: install  ## tell badges, citation and notebooks where the repository lies: REPOSITORY=https://github.com/OWNER/NAME
	$(BIN)/python notebooks/address.py $(REPOSITORY)

site: install  ## the course as pages that open from disk, with the decks that are built: build/site/index.html (a minute)
	$(INSTALL) -c $(CONSTRAINTS) -e '.[site]'
	$(BIN)/python notebooks/site/make.py

test-site: site  ## build the site and look at its pages in Chromium
	$(BIN)/python -m pytest -q -m slow tests/browser/test_site.py

clean:  ## remove .venv and every cache; runs/ and data/ stay
	rm -rf .venv .venv-min .pytest_cache .ruff_cache .mypy_cache .hypothesis .browser
	find lddm_lite tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
