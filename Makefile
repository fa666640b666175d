# Two commands are all a newcomer needs: `make run` and `make test`.
# They want Python 3.11 or newer, make, and a package index.
.DEFAULT_GOAL := help
PYTHON ?= python3
BOOT := .venv/boot
UV := $(BOOT)/bin/uv
RUN := .venv/bin
PROTOS := $(shell find proto -name '*.proto')

.PHONY: help
help: ## Show what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml uv.lock
	@test -x $(UV) || { $(PYTHON) -c 'import sys; sys.exit("Isthmus needs Python 3.11 or newer; set PYTHON=/path/to/it.") if sys.version_info < (3, 11) else None' && $(PYTHON) -m venv --clear .venv && .venv/bin/python -m venv $(BOOT) && $(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; }
	@echo "installing the workspace …" && $(UV) sync --quiet --locked --inexact && touch $@

.PHONY: setup
setup: .venv/.ready ## Install everything into .venv

.PHONY: proto
proto: setup ## Regenerate libs/contracts from proto/
	@rm -rf libs/contracts/src && mkdir -p libs/contracts/src
	@cd proto && ../$(RUN)/python -m grpc_tools.protoc -I. --plugin=../$(RUN)/protoc-gen-mypy --plugin=../$(RUN)/protoc-gen-mypy_grpc --python_out=../libs/contracts/src --grpc_python_out=../libs/contracts/src --mypy_out=../libs/contracts/src --mypy_grpc_out=../libs/contracts/src $(PROTOS:proto/%=%)
	@for d in libs/contracts/src/isthmus/*/v1; do touch $$d/py.typed; done
