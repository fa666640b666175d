# Two commands are all a newcomer needs: `make run` and `make test`.
# They want Python 3.11 or newer, make, and a package index.
.DEFAULT_GOAL := help
PYTHON ?= python3
BOOT := .venv/boot
UV := $(BOOT)/bin/uv
RUN := .venv/bin
SOURCES := $(filter-out libs/contracts/src,$(wildcard libs/*/src services/*/src connector-host/host/src connector-host/connectors/*/src deploy/local/src))
PROTOS := $(shell find proto -name '*.proto')

.PHONY: help
help: ## Show what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml uv.lock
	@test -x $(UV) || { $(PYTHON) -c 'import sys; sys.exit("Isthmus needs Python 3.11 or newer; set PYTHON=/path/to/it.") if sys.version_info < (3, 11) else None' && $(PYTHON) -m venv --clear .venv && .venv/bin/python -m venv $(BOOT) && $(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; }
	@echo "installing the workspace …" && $(UV) sync --quiet --locked --inexact --compile-bytecode && touch $@

.PHONY: setup
setup: .venv/.ready ## Install everything into .venv

.PHONY: proto
proto: setup ## Regenerate libs/contracts from proto/
	@rm -rf libs/contracts/src && mkdir -p libs/contracts/src
	@cd proto && ../$(RUN)/python -m grpc_tools.protoc -I. --plugin=../$(RUN)/protoc-gen-mypy --plugin=../$(RUN)/protoc-gen-mypy_grpc --python_out=../libs/contracts/src --grpc_python_out=../libs/contracts/src --mypy_out=quiet:../libs/contracts/src --mypy_grpc_out=quiet:../libs/contracts/src $(PROTOS:proto/%=%)
	@for d in libs/contracts/src/isthmus/*/v1; do touch $$d/py.typed; done

.PHONY: descriptors
descriptors: setup ## Write dist/isthmus.binpb: the whole contract, for tools that cannot ask by reflection
	@mkdir -p dist && $(RUN)/buf build -o dist/isthmus.binpb && echo "the contract is in dist/isthmus.binpb"

.PHONY: surface
surface: setup ## Rewrite proto/surface.txt after a change of the contract
	@$(RUN)/python tests/contract/surface.py > proto/surface.txt

.PHONY: docs
docs: setup ## Rewrite the pages of docs/ that follow from the code
	@$(RUN)/python tests/docs/pages.py

.PHONY: run
run: setup ## Start the mesh and collect evidence from its own back ends
	@ISTHMUS_HOME="$${ISTHMUS_HOME:-$(CURDIR)/.isthmus}" $(RUN)/isthmus demo

.PHONY: down
down: ## Stop the mesh that `make run` started
	@ISTHMUS_HOME="$${ISTHMUS_HOME:-$(CURDIR)/.isthmus}" $(RUN)/isthmus down

# A file's tests share what is expensive to make, so one worker runs them all; the longest files are the last folder's.
WORKERS ?= 2
.PHONY: test
test: setup ## Run every test on real back ends
	@$(RUN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

RECORDS ?= 200000
RUNS ?= 3
GROWTH ?= 1000000
.PHONY: bench
bench: setup ## Compare with others doing the same job; ONLY=, RECORDS= and RUNS= choose
	@PYTHONPATH=tests/bench $(RUN)/python -m comparison --records "$(RECORDS)" --runs $(RUNS) --growth $(GROWTH) --only "$(ONLY)" --page docs/benchmarks.md

SEED ?= 0
FAULTS ?= 200
.PHONY: chaos
chaos: setup ## Break a mesh at work and account for every record; SEED= and FAULTS= choose
	@PYTHONPATH=tests/chaos $(RUN)/python -m campaign --seed $(SEED) --faults $(FAULTS) --page docs/reliability.md

EVALUATIONS ?= 1000000
.PHONY: expressions
expressions: setup ## Evaluate random CEL expressions compiled and by the library; EVALUATIONS= and SEED= choose
	@ISTHMUS_EVALUATIONS="$(EVALUATIONS)" ISTHMUS_SEED="$(SEED)" $(RUN)/pytest -q -s -n0 -o timeout=0 libs/mapper/tests/test_cel_differential.py libs/mapper/tests/test_batches.py

COUNT ?= 100000
.PHONY: attempts
attempts: setup ## Try to reach what is another tenant's, over every RPC; COUNT= and SEED= choose
	@ISTHMUS_ATTEMPTS="$(COUNT)" ISTHMUS_SEED="$(SEED)" $(RUN)/pytest -q -s -n0 tests/mesh/test_attempts.py

.PHONY: fuzz
fuzz: setup ## Send malformed requests to every RPC; COUNT= and SEED= choose
	@ISTHMUS_FUZZ="$(COUNT)" ISTHMUS_SEED="$(SEED)" $(RUN)/pytest -q -s -n0 tests/mesh/test_malformed.py

.PHONY: check
check: setup ## Format, lint, types, import rules, contract
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy $(SOURCES) tests/bench/comparison tests/bench/peers tests/chaos/campaign
	@$(RUN)/lint-imports --no-logo
	@$(RUN)/buf lint
	@$(RUN)/buf format --diff --exit-code
	@$(MAKE) --no-print-directory breaking
	@$(MAKE) --no-print-directory proto-is-current
	@$(MAKE) --no-print-directory audit
	@echo "all checks passed"

# On a branch the contract is compared with main, on main with the commit before.
.PHONY: breaking
breaking: setup
	@against=main; test "$$(git rev-parse HEAD)" != "$$(git rev-parse -q --verify main)" || against=HEAD~1; \
	if git rev-parse -q --verify "$$against:proto" >/dev/null; then $(RUN)/buf breaking --against ".git#ref=$$(git rev-parse $$against)"; else echo "buf breaking: $$against has no contract to compare with"; fi

.PHONY: proto-is-current
proto-is-current: proto
	@git diff --exit-code --stat -- libs/contracts || { echo "Generated code differs from proto/: commit what 'make proto' wrote."; exit 1; }

# Ends with 1 when something is found; where nobody can be asked, says so and goes on. OSV= names a mirror.
OSV ?= https://api.osv.dev
.PHONY: audit
audit: setup ## Look for known vulnerabilities in what is locked
	@UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=10 $(UV) audit --quiet --locked --no-dev --service-url "$(OSV)" >.venv/audit.log 2>&1; case $$? in \
	0) echo "no known vulnerability in what is locked";; \
	1) cat .venv/audit.log; echo "Update these packages: uv lock --upgrade-package NAME"; exit 1;; \
	*) echo "WARNING: nobody has looked for known vulnerabilities: $$(grep -m1 '^error' .venv/audit.log || echo "see .venv/audit.log")";; esac

.PHONY: sbom
sbom: setup ## Write dist/sbom.cdx.json: what Isthmus is made of, as CycloneDX, with hashes
	@mkdir -p dist && $(UV) export --quiet --locked --all-packages --no-dev --format cyclonedx1.5 --preview-features sbom-export --output-file dist/sbom.cdx.json >/dev/null
	@$(RUN)/python -c 'import json, sys; made = json.load(open(sys.argv[1])); print(len(made["components"]), "components in", sys.argv[1])' dist/sbom.cdx.json

.PHONY: format
format: setup ## Format the code and the contract
	@$(RUN)/ruff format . && $(RUN)/ruff check --fix . && $(RUN)/buf format -w

.PHONY: clean
clean: ## Stop the mesh of this folder and remove its data and the environment
	@test ! -x $(RUN)/isthmus || test ! -d .isthmus || ISTHMUS_HOME="$(CURDIR)/.isthmus" $(RUN)/isthmus down || true
	@rm -rf .isthmus .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
