# make demo    install into .venv, make demo.mp4 from a sentence, verify it, say where to look
# make test    install what the tests need, then lint, types and all tests
# make test-redteam   garak, PyRIT and promptfoo against the prompt gate (4 GB, some minutes to install)
# make lint    ruff and mypy alone
# make clean   remove .venv and what was made
#
# Every step runs again only when what it depends on has changed. PYTHON=... chooses the Python of .venv.

VENV := .venv
TOOLS := .redteam-tools
PY := $(VENV)/bin/python
PROMPT := a red sailboat drifts right across the sea at sunset
SOURCES := $(shell find src/kinemark -name '*.py' -o -name '*.toml' -o -name '*.safetensors')

.PHONY: demo test test-redteam lint install clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := demo

$(VENV)/.installed: pyproject.toml scripts/venv.sh
	scripts/venv.sh $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed scripts/packages.sh
	scripts/packages.sh $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

install: $(VENV)/.installed

demo.mp4: $(VENV)/.installed $(SOURCES)
	$(VENV)/bin/kinemark generate "$(PROMPT)" -o $@ --seed 7 --seconds 4 --force

demo: demo.mp4
	$(VENV)/bin/kinemark verify demo.mp4
	@echo
	@echo 'Look at $(CURDIR)/demo.mp4: "$(PROMPT)".'
	@echo 'Make your own:  $(VENV)/bin/kinemark generate "a bird flies over the snow at dawn" -o bird.mp4'

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: lint
	$(PY) -m pytest

$(TOOLS)/.installed: scripts/redteam_tools.sh
	scripts/redteam_tools.sh $(TOOLS)
	@touch $@

test-redteam: $(VENV)/.installed-dev $(TOOLS)/.installed
	REDTEAM_TOOLS=$(CURDIR)/$(TOOLS) $(PY) -m pytest tests/redteam_tools

clean:
	rm -rf $(VENV) $(TOOLS) demo.mp4 .pytest_cache .mypy_cache .ruff_cache .hypothesis
