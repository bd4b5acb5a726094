# structgrad's front door: every target sets up what it needs, once, and then works without network.
# Needs: make, and python3 (3.11 or newer) with its venv module. `make` alone explains the targets.

SCALE ?=
CORES ?=
PROFILE ?=
ARGS ?=
PYTHON ?= python3
ENGINE ?= docker

VENV := .venv
READY := $(VENV)/.ready
# The jobs of the workflow say `python`: they must find the one in .venv. Each is a process of its own, so where bytecode
# may not be kept, every one of them would compile torch anew (3 s a job).
# What else a shell may set is settled by structgrad.repro.environment; PYTHONHOME would keep that from being found.
RUN := env -u PYTHONDONTWRITEBYTECODE -u PYTHONHOME -u PYTHONWARNINGS PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
# Without SCALE the command line takes the scale of config.yaml.
SCALE_OPTION := $(if $(SCALE),--scale $(SCALE))

# Packages go into .venv, whatever a user has told pip and uv to do with those of other projects.
INSTALLING := unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_DRY_RUN UV_TARGET UV_PREFIX UV_SYSTEM_PYTHON UV_PYTHON; \
  export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_HTTP_TIMEOUT="$${UV_HTTP_TIMEOUT:-300}"

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help setup reproduce test test-slow test-cluster test-faults lint bench audit report readme ui container lock clean

help: ## this page
	@echo 'structgrad reproduces the tables of three papers on learning through a discrete argmax.'
	@echo 'Start with `make reproduce`: it sets up .venv from requirements.lock (the first time only: some'
	@echo 'minutes, 6 GB), trains what is missing, and prints our tables beside the published ones.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'Variables:'
	@echo '  SCALE=smoke|desktop|paper   minutes, hours, or the published protocol in full (default: config.yaml)'
	@echo '  CORES=4                     how many cores the workflow may use (default: all)'
	@echo '  PROFILE=slurm               submit to a Slurm cluster instead: docs/cluster.md'
	@echo '  ARGS="-k audit"             more arguments for pytest'
	@echo '  PYTHON=python3.12           the Python that .venv is made from'
	@echo
	@echo 'Examples:  make reproduce SCALE=desktop CORES=2'
	@echo '           make audit SCALE=paper'
	@echo 'More:      .venv/bin/structgrad --help, and config.yaml, which chooses experiments and arms.'

setup: $(READY) ## make .venv as requirements.lock says; nothing to do when it is there
	@echo 'Ready: make reproduce, make test, or .venv/bin/structgrad --help'

reproduce: $(READY) ## train what is missing, then tables, figures, tracking and report [SCALE= CORES= PROFILE=]
	@exec $(RUN) structgrad reproduce $(SCALE_OPTION) $(if $(CORES),--cores $(CORES)) $(if $(PROFILE),--profile $(PROFILE))

test: $(READY) ## run the tests on all cores, without the slow ones [ARGS=, as in ARGS="-n 0 -k audit"]
	@$(RUN) python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slow and not faults' $(ARGS)

test-slow: $(READY) ## run the slow tests only [ARGS=]
	@$(RUN) python -m pytest -m slow $(ARGS)

test-cluster: $(READY) ## run the workflow through a Slurm of one node that the tests start and stop (Debian, root) [ARGS=]
	@$(RUN) python -m pytest tests/cluster $(ARGS)

test-faults: $(READY) ## tamper with results, fill disks, damage stores, close streams: all is named [ARGS=]
	@$(RUN) python -m pytest tests/faults tests/workflow/test_stopping.py tests/workflow/test_disturbances.py \
	  tests/unit/repro/audit tests/unit/repro/faults tests/unit/repro/replay -n auto --dist load -m faults $(ARGS)

lint: $(READY) ## style, types, import arrows and the workflow's own lint; runs them all, then says which failed
	@failed=''; \
	check() { echo "== $$*"; $(RUN) "$$@" || failed="$$failed; $$*"; }; \
	check ruff check .; \
	check ruff format --check .; \
	check pyright --pythonpath $(VENV)/bin/python; \
	check lint-imports; \
	check snakefmt --check Snakefile workflow; \
	check snakemake --lint; \
	[ -z "$$failed" ] || { echo "lint: failed: $${failed#; }" >&2; exit 1; }

bench: $(READY) ## time the hot operations against their peers, as ratios
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(RUN) python "$$file" || exit 1; done

audit: $(READY) ## check that every number is what it claims to be [SCALE=]
	@$(RUN) structgrad audit $(SCALE_OPTION)

report: $(READY) ## write the report, its RO-Crate and the manifest from the records [SCALE=]
	@$(RUN) structgrad report $(SCALE_OPTION)

readme: $(READY) ## write the generated parts of README.md and docs
	@$(RUN) python -m structgrad.repro.report.readme

ui: $(READY) ## browse the runs of results/<scale>/mlflow.db in MLflow [SCALE=]
	@$(RUN) structgrad tracking ui $(SCALE_OPTION)

container: ## build the image of the project, or of its training jobs [ENGINE=docker|podman|apptainer]
	@command -v $(ENGINE) >/dev/null || { echo "structgrad: there is no $(ENGINE) here: install it, or name another" \
	  "as in: make container ENGINE=podman" >&2; exit 1; }
	@case '$(ENGINE)' in \
	  docker|podman) exec $(ENGINE) build --tag structgrad . ;; \
	  apptainer) exec apptainer build structgrad.sif apptainer.def ;; \
	  *) echo "structgrad: ENGINE is docker, podman or apptainer, not $(ENGINE)" >&2; exit 1 ;; \
	esac

# ARGS=--upgrade moves every version to the newest that pyproject.toml allows; without it only what must move moves.
lock: $(READY) ## resolve pyproject.toml into requirements.lock and environment.yml (needs network) [ARGS=--upgrade]
	@$(VENV)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-config \
	  --custom-compile-command 'make lock' --quiet --output-file requirements.lock $(ARGS)
	@{ echo '# The conda twin of requirements.lock: the same versions, made by `make lock`, held to it by a test.'; \
	  echo '#   conda env create -f environment.yml && conda activate structgrad'; \
	  echo '#   pip install --no-deps --no-build-isolation -e .'; \
	  echo 'name: structgrad'; \
	  echo 'channels:'; \
	  echo '  - conda-forge'; \
	  echo 'dependencies:'; \
	  echo '  - python=3.11'; \
	  echo '  - pip'; \
	  echo '  - pip:'; \
	  sed -n 's/^\([a-z0-9].*==.*[^ ]\) \\$$/      - \1/p' requirements.lock; } > environment.yml.tmp
	@mv environment.yml.tmp environment.yml

clean: ## delete caches and results/smoke; keeps .venv, checkpoints and the committed results
	@rm -rf build dist results/smoke .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The last line is the stamp, so an interrupted set-up is taken up again. While packages are being written .whole is
# away: a set-up that is killed then starts over with a new .venv and the downloads in the cache, because an installer
# takes a half-written package for a whole one. A mere failure, such as no network, throws nothing away.
# The installer is the uv that the lock pins, itself checked against the lock's hashes; where uv cannot reach the
# packages (a mirror that only pip is told about, say) pip installs the same files, more slowly.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "structgrad: there is no $(PYTHON) here: install Python 3.11 or newer," \
	  "or name one as in: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "structgrad: $(PYTHON) is" \
	  "$$($(PYTHON) --version 2>&1), which is too old: Python 3.11 or newer is needed; name one as in:" \
	  "make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "structgrad: $(PYTHON) lacks the venv module:" \
	  "install it (Debian, Ubuntu: apt install python3-venv) or name another as in: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (the first time: some minutes and 6 GB)"
	@{ [ -e $(VENV)/.whole ] && $(VENV)/bin/python -m pip --version >/dev/null 2>&1; } || \
	  { $(PYTHON) -m venv --clear $(VENV) && touch $(VENV)/.whole; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	@rm $(VENV)/.whole; $(INSTALLING); \
	  $(VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r $(VENV)/uv.txt && { \
	    $(VENV)/bin/uv pip install --python $(VENV)/bin/python --require-hashes -r requirements.lock || { \
	      echo "structgrad: uv could not install the lock; trying pip" >&2; \
	      $(VENV)/bin/python -m pip install --require-hashes -r requirements.lock; }; }; \
	  status=$$?; touch $(VENV)/.whole; exit $$status
	@$(INSTALLING); $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --offline --no-deps --no-build-isolation -e .
	@touch $@
