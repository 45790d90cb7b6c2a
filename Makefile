# `make demo` shows it, `make test` runs every suite; both call `make install`. Nothing is installed outside of this
# folder, but by `make test` as root: the Debian packages that its suites need.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
UV := .uv/bin/uv
# A change of the page's sources installs anew, and the build hook of that builds the page.
PAGE := $(filter-out %.d.ts,$(wildcard $(addprefix dashboard/,package-lock.json index.html vite.config.ts public/* \
	src/*.ts src/*.tsx src/*/*.tsx src/*/*.css)))
# So does a change of the detection, and the hook compiles what it has to.
SETTLED := requirements.lock pyproject.toml hatch_build.py compile_detection.py $(PAGE) \
	$(wildcard stream_detector/detect/*.py stream_detector/detect/*/*.py) $(addprefix stream_detector/events/,decode.py documents.py times.py)
# uv does not read pip's configuration; where pip was told of another index, uv is told the same.
export UV_DEFAULT_INDEX ?= $(or $(PIP_INDEX_URL),$(shell .uv/bin/pip config get global.index-url 2>/dev/null))
ifeq ($(strip $(UV_DEFAULT_INDEX)),)
unexport UV_DEFAULT_INDEX
endif
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy

.PHONY: help install demo test lock clean

help:
	@echo "make demo     install, then replay a real history and open the page's address (ARGS=\"--once --json\")"
	@echo "make test     install, then run every suite"
	@echo "make install  .venv with everything the demo needs"
	@echo "make lock     resolve the locks again"

install: .venv/.installed

demo: install
	$(BIN)/stream-detector up --demo $(ARGS)

test: .venv/.tested
	$(BIN)/python -m tests.suites

.venv/.installed: $(UV) $(SETTLED)
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .venv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.tested: .venv/.installed requirements-test.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-test.lock
	@touch $@

$(UV): requirements-uv.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and not on PATH (Debian: apt-get install python3)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "this Python cannot make virtual environments: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

# Each lock holds for Python 3.11 to 3.13 on every system, with a hash per file and without a registry's address.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(UV)
	$(COMPILE) pyproject.toml --group build -o requirements.lock
	$(COMPILE) pyproject.toml --group build --group test -c requirements.lock -o requirements-test.lock
	echo "uv==$$($(UV) --version | cut -d' ' -f2)" | $(COMPILE) - -o requirements-uv.lock

clean:
	rm -rf .venv .uv dashboard/node_modules stream_detector/serve/static build dist
