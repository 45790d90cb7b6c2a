# `make` lists the targets. Nothing is installed outside this directory, except that `make test` and `make drills` run as
# root install the Debian packages that their suites need.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
UV := .uv/bin/uv
# Changed dashboard sources trigger a new installation, whose build hook builds the dashboard.
PAGE := $(filter-out %.d.ts,$(wildcard $(addprefix dashboard/,package-lock.json index.html vite.config.ts public/* \
	src/*.ts src/*.tsx src/*/*.tsx src/*/*.css)))
# Changed detection sources trigger only a new compilation (the demo runs without it).
DETECTION := compile_detection.py $(wildcard $(addprefix stream_detector/,detect/*.py detect/*/*.py events/*.py))
# uv does not read pip's configuration: pass on an index that is configured for pip.
export UV_DEFAULT_INDEX ?= $(or $(PIP_INDEX_URL),$(shell .uv/bin/pip config get global.index-url 2>/dev/null))
ifeq ($(strip $(UV_DEFAULT_INDEX)),)
unexport UV_DEFAULT_INDEX
endif
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy

.PHONY: help install demo lint types unit test drills generate format lock sbom audit digests clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: .venv/.compiled  ## create .venv with everything a user needs, compile the detection
demo: .venv/.sources  ## replay a real history and print the dashboard's URL (ARGS="--once --json")
	$(BIN)/stream-detector up --demo $(ARGS)
lint: .venv/.tested  ## ruff (lint and format) and import-linter
types: .venv/.tested  ## mypy (strict) over the package
unit: .venv/.tested  ## unit tests, about a minute
test: .venv/.tested  ## all test suites except the drills
drills: .venv/.tested  ## fault-injection drills, and proof that each can fail; records the date in docs/delivery.md
lint types unit test drills:
	$(BIN)/python -m tests.suites $@

generate: .venv/.tested  ## regenerate all generated files
	$(BIN)/python -m tests.generate

format: .venv/.tested  ## sort imports and format the Python files
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format --quiet .

# What a wheel needs, in an environment of its own: without what builds and tests it.
.audit/.made: $(UV) requirements-audit.lock
	@test -x .audit/bin/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .audit
	$(UV) pip install --quiet --python .audit/bin/python --require-hashes -r requirements-audit.lock
	@touch $@

sbom: .audit/.made  ## write dist/sbom.cdx.json: what the wheel contains and needs (CycloneDX)
	@mkdir -p dist
	$(UV) pip compile --quiet --python .audit/bin/python --generate-hashes --no-emit-index-url --no-header \
		-c requirements.lock pyproject.toml -o .audit/runtime.txt
	$(UV) venv --quiet --clear --python .audit/bin/python .audit/runtime
	$(UV) pip install --quiet --python .audit/runtime/bin/python --require-hashes -r .audit/runtime.txt
	.audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
		-o dist/sbom.cdx.json .audit/runtime/bin/python
	.audit/bin/python deploy/sbom.py dist/sbom.cdx.json

audit: .audit/.made  ## known vulnerabilities of the locked packages (pip-audit); .ci/audit runs it on a schedule
	.audit/bin/python deploy/audit.py requirements.lock requirements-test.lock requirements-uv.lock

digests: $(UV)  ## write the digests of the images where their registry can be reached
	.uv/bin/python deploy/images.py --digests

clean:  ## remove installed and built files
	rm -rf .venv .uv .audit dashboard/node_modules stream_detector/serve/static build dist
	find stream_detector -name '*.so' -delete

$(UV): requirements-uv.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and not on PATH (Debian: apt-get install python3)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "this Python cannot make virtual environments: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

.venv/.packages: $(UV) requirements.lock
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .venv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@touch $@

# The package and its dashboard. The build hook would also compile the detection, which has its own target here.
.venv/.installed: .venv/.packages pyproject.toml hatch_build.py $(PAGE)
	STREAM_DETECTOR_PURE=1 $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.compiled: .venv/.installed $(DETECTION)
	$(BIN)/python compile_detection.py
	@touch $@

# The demo compiles nothing; it uses what `make install` compiled, unless the source is newer.
.venv/.sources: .venv/.installed $(DETECTION)
	@$(BIN)/python compile_detection.py --remove-stale
	@touch $@

# The suites compile the detection themselves, at the same time as what runs from the sources.
.venv/.tested: .venv/.installed requirements-test.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-test.lock
	@touch $@

# Each lock is valid for Python 3.11 to 3.13 on every system, with a hash per file and without registry URLs.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(UV)  ## resolve the lock files
	$(COMPILE) pyproject.toml --group build -o requirements.lock
	$(COMPILE) pyproject.toml --group build --group test -c requirements.lock -o requirements-test.lock
	$(COMPILE) --group audit -o requirements-audit.lock
	echo "uv==$$($(UV) --version | cut -d' ' -f2)" | $(COMPILE) - -o requirements-uv.lock
