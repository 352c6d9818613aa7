# The two commands: `make demo` and `make test`. Each sets up what it needs, says so, and is quick the second time.

PYTHON ?= python3
SPEED ?= max
BIN := .venv/bin

.PHONY: help demo test check hooks pytest fuzz bench counts docs screenshots schemas packages release clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo:  ## Play a bundled recording to the daemon and print the events that a subscriber receives (SPEED=realtime|max)
	@deploy/setup.sh demo
	@$(BIN)/python deploy/demo/demo.py --speed $(SPEED)

test: check pytest  ## Check the code, then run every test

check:  ## Lint, check types, spelling, import layers and links
	@deploy/setup.sh test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mkdocs build --strict --quiet

hooks:  ## Run `make check` before each commit, by pre-commit
	@deploy/setup.sh test
	$(BIN)/pre-commit install

# Three processes on two cores: tests with microphone, broker or terminal wait for five sixths of their time.
pytest:
	@deploy/setup.sh test
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses=3 --cov --cov-report=term --durations=5

fuzz:  ## Try config, bundle, sound files, tables, commands and state with ten thousand damaged ones for each property
	@deploy/setup.sh test
	$(BIN)/pytest tests/test_fuzz_*.py --hypothesis-profile=thorough

bench:  ## Measure speed and memory beside peers, and write benchmarks/results.md (ALL=1: also the long ones)
	@deploy/setup.sh test
	$(BIN)/python benchmarks/report.py $(if $(ALL),--all)

counts:  ## Record instruction counts anew, here and on emulated cores of Raspberry Pis; write the estimate for Pis
	@deploy/setup.sh test
	$(BIN)/python benchmarks/instructions.py --record
	$(if $(filter 0,$(shell id -u)),,sudo) benchmarks/aarch64.sh --record

docs:  ## Write the pages as a site to site/, and check their links
	@deploy/setup.sh test
	$(BIN)/mkdocs build --strict
	@echo "open site/index.html in a browser"

screenshots:  ## Make the pictures of terminal, page and Home Assistant in docs/pictures; needs Debian's chromium
	@deploy/setup.sh test
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[pictures]'
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python tests/home_assistant/pictures.py

schemas:  ## Write the JSON Schema of the settings, docs/asyncapi.yaml and the shell completion from the code
	@deploy/setup.sh test
	$(BIN)/earshot config schema >docs/schemas/config.schema.json
	$(BIN)/python docs/make_asyncapi.py
	$(BIN)/python deploy/make_completion.py

packages:  ## Build wheel, source distribution and Debian package into dist/
	@deploy/setup.sh test
	$(BIN)/python -m build --outdir dist
	deploy/debian/build.sh dist

release:  ## Check, date the changelog, commit, tag and build (VERSION=X.Y.Z, SKIP_TESTS=1)
	@deploy/release.sh "$(VERSION)"

clean:  ## Remove the virtual environment and caches
	rm -rf .venv build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
