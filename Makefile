# Everything a developer does, one word each: `make help`. Needs make, a POSIX shell and Python 3.11 or newer.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-reliability test-processors check format docs docs-serve lock dist images ui clean

BIN := .venv/bin
LOCKS := requirements.lock k8s/requirements.lock k8s/image/build.lock k8s/image/mlflow.lock
STAMP := .venv/.setup-stamp
EXPERIMENT ?= experiments/digits.yaml
OUTPUT ?= out/demo
PORT ?= 5000
DOCS ?= 127.0.0.1:8000
OVERLAY ?= production
TAG ?= 0.2.0
VARIANT ?= cuda

# Instruction sets for ATen (MKL follows) and for oneDNN, and a number of threads. Convolutions are oneDNN's, products of
# matrices MKL's, all else is ATen's, and what one gives the next computes with: so every pair of values is here once.
PROCESSORS ?= default:SSE41:1 default:AVX2:2 avx2:SSE41:2 avx2:AVX2:1
NUMERICAL := $(addprefix tests/unit/,methods models training evaluation export test_patent_claims.py \
    data/test_augmentation.py retraining/test_gate.py retraining/test_monitoring.py retraining/test_shift.py \
    $(patsubst %,stages/test_%.py,computation earlier_store evaluation feature_tables runner))

# Libraries speak up only when something is wrong.
export GIT_PYTHON_REFRESH := quiet
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_LOGGING_LEVEL := WARNING
export MPLBACKEND := agg
# Some surroundings forbid Python to keep what it has compiled: every process would compile this project anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## Lists these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Whoever names another environment (BIN=…) has set it up.
setup: $(if $(filter file,$(origin BIN)),$(STAMP)) ## Makes .venv from requirements.lock and installs the project into it; instant when nothing changed
	@:

demo: setup ## Runs experiments/digits.yaml, prints the result and where to look at it
	@$(BIN)/orchestrator run $(EXPERIMENT) --output $(OUTPUT)

# Three on two cores: tests of servers and of Ray wait a lot. Files in their order, which puts those long ones first.
test: setup ## Runs the tests in three processes (ARGS="-k name" chooses, ARGS="-m 'not slow'" leaves out the long ones)
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-reliability: setup ## Runs the long tests on real Ray: most kill workers, drivers and nodes
	@$(BIN)/pytest -m reliability $(ARGS)

test-processors: setup ## Runs the tests that do arithmetic as other processors compute it (PROCESSORS=default:SSE41:1 chooses)
	@failed=; \
	for processor in $(PROCESSORS); do \
	    set -- $$(echo "$$processor" | tr : ' ') && \
	    case $$1 in default) mkl=COMPATIBLE ;; *) mkl=AVX2 ;; esac; \
	    echo "--- ATen and MKL: $$1, oneDNN: $$2, threads: $$3" && \
	    ATEN_CPU_CAPABILITY=$$1 MKL_CBWR=$$mkl ONEDNN_MAX_CPU_ISA=$$2 OMP_NUM_THREADS=$$3 OMP_WAIT_POLICY=passive \
	        $(BIN)/pytest -n $$((2 / $$3)) --dist loadfile $(NUMERICAL) $(ARGS) || failed="$$failed $$processor"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

check: setup ## Lint, format, types and direction of imports: exactly what CI runs first
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports --no-logo

format: setup ## Formats the code and repairs what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Builds the documentation site into out/site; a dead link or anchor fails, and nothing is fetched
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: setup ## Shows the documentation on http://127.0.0.1:8000 (DOCS=127.0.0.1:8001 for another port), follows edits; Ctrl-C ends it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr $(DOCS)

lock: ## Compiles the lock files: development, and under k8s/ those of the images; keeps versions that fit (UPGRADE=1 takes the newest)
	@$(find_uv) && trap 'rm -f $(LOCKS:=.new)' EXIT && \
	compile() { \
	    lock=$$1 source=$$2 && shift 2 && \
	    if [ -z "$(UPGRADE)" ] && [ -f "$$lock" ]; then cp "$$lock" "$$lock.new"; fi && \
	    "$$uv" pip compile --universal --python-version 3.11 --generate-hashes --no-header -q "$$@" "$$source" -o "$$lock.new" && \
	    { echo "# Made by \`make lock\` from $$source: every platform, every dependency by hash. Not for editing by hand."; \
	      grep -v '^# Made by' "$$lock.new"; } > "$$lock"; \
	} && compile requirements.lock pyproject.toml --extra dev --extra dashboard --extra docs --extra export --extra fonts --extra pretrained --extra timm \
	  && compile k8s/requirements.lock pyproject.toml --extra cluster --extra export --extra fonts --extra pretrained --extra timm --constraints requirements.lock \
	  && compile k8s/image/build.lock k8s/image/build.in \
	  && compile k8s/image/mlflow.lock k8s/image/mlflow.in --constraints k8s/requirements.lock

dist: setup ## Builds the wheel and the source distribution into dist/
	@$(BIN)/hatchling build --target sdist --target wheel --directory dist

# Only a registry gives an image the digest by which every cluster finds it: so the images are pushed.
images: setup ## Builds both images, pushes them to REGISTRY, and writes their digests into OVERLAY (production; TAG=0.2.0, VARIANT=cpu)
	@test -n "$(REGISTRY)" || { echo "REGISTRY is not set: make images REGISTRY=registry.example.org/team" >&2; exit 2; }
	@mkdir -p out/images && for target in orchestrator mlflow; do \
	    case $$target in orchestrator) name=continual-orchestrator ;; *) name=continual-orchestrator-mlflow ;; esac; \
	    docker buildx build --push --metadata-file "out/images/$$target.json" --target $$target \
	        --build-arg VARIANT=$(VARIANT) --tag "$(REGISTRY)/$$name:$(TAG)" . || exit; \
	done
	@$(BIN)/python k8s/write_images.py k8s/overlays/$(OVERLAY) out/images/orchestrator.json out/images/mlflow.json

ui: setup ## Shows the runs in MLflow and the sweeps, on http://127.0.0.1:5000 (PORT=5001 for another port); Ctrl-C ends it
	@$(BIN)/orchestrator ui --port $(PORT)

clean: ## Removes caches and builds; keeps .venv and results (out/, mlflow.db, .orchestrator/)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# Exact versions by hash, then the project itself in place: it is built with the locked hatchling, so nothing unlocked
# is fetched. Importing every module compiles what is used, which takes half as long as all that is installed. The stamp
# comes last: an interrupted set-up starts again.
$(STAMP): requirements.lock pyproject.toml
	@$(find_uv) && $(find_python) && \
	if [ -t 2 ]; then verbosity=; else verbosity=--quiet; fi && \
	echo "Setting up .venv from requirements.lock (some minutes the first time: torch is large)" && \
	{ .venv/bin/python -c '$(is_recent)' 2>/dev/null || "$$uv" venv -q --allow-existing --python "$$python" .venv; } && \
	"$$uv" pip sync $$verbosity --python $(BIN)/python --require-hashes requirements.lock && \
	"$$uv" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . && \
	$(BIN)/python -W ignore -c '$(import_all)' && \
	touch $@

import_all := import importlib, pkgutil, orchestrator; \
    [importlib.import_module(each.name) for each in pkgutil.walk_packages(orchestrator.__path__, "orchestrator.") \
        if not each.name.endswith("__main__")]

is_recent := import sys; sys.exit(sys.version_info < (3, 11))

# $$python: PYTHON where it is given, else python3 where it is recent enough, else the newest that uv finds or fetches.
define find_python
{ python="$(PYTHON)"; \
if [ -z "$$python" ]; then \
    if python3 -c '$(is_recent)' 2>/dev/null; then python=python3; else python='>=3.11'; fi; \
fi; }
endef

# $$uv: the one on the PATH, else our own under .uv/. `pip --target` also works where the system's Python is managed
# by the distribution and refuses a plain `pip install`; a private environment serves where pip is missing.
define find_uv
{ uv=uv; \
if ! uv --version >/dev/null 2>&1; then \
    uv="$(CURDIR)/.uv/bin/uv"; \
    "$$uv" --version >/dev/null 2>&1 || { \
        echo "Fetching uv into .uv/"; \
        export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1; \
        { python3 -m pip install -q --upgrade --target .uv 'uv>=0.9' 2>.uv.log || \
          { python3 -m venv --clear .uv && .uv/bin/python -m pip install -q 'uv>=0.9'; } 2>>.uv.log; } \
        && "$$uv" --version >/dev/null && rm -f .uv.log || \
        { cat .uv.log >&2; rm -f .uv.log; \
          echo "uv is missing and could not be fetched with python3: install uv, or python3 with pip, and try again" >&2; \
          false; }; \
    }; \
fi; }
endef
