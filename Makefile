# make demo   the same chatbot with and without the guardrail (make demo ARGS=--once ends by itself)
# make test   everything that must hold; needs nothing but python3.11, make and git
# make fuzz   every reader against what a fuzzer thinks of (make fuzz ARGS='--inputs 10000 --reader stream')
# make chaos  a thousand conversations while the proxy is killed, the webhook has moods and the disk fills: docs/chaos.md
# make interop  clients, model servers and a chat page that others wrote, through the proxy: docs/interop.md
# make bench  what the proxy costs, beside a bare pass-through (docs/benchmarks.md; make bench-beside: another's)
# make corpus-check  every line of the corpus: format, spans, doubles, what may not stand there (corpus/README.md)
# make train  the model, from the corpus and a folder of public sets: make train DATA=FOLDER (docs/model.md)
# make dev    .venv with the guardrail command in it, for working on it

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
ARGS ?=
WORKERS ?= 2

.PHONY: train demo test lint bench bench-beside fuzz chaos interop corpus-check dev lock clean

demo:
	@$(PYTHON) tools/bootstrap.py
	@$(VENV)/python -m demo.run $(ARGS)

test: lint
	$(VENV)/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

lint: dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy -p guardrail -p escalation -p demo -p bench -p corpus
	$(VENV)/mypy tools/bootstrap.py tools/pipwheel.py tools/lock.py

bench: dev
	@failed=0; \
	$(VENV)/python -m bench.proxy $(ARGS) || failed=1; \
	for part in conversations history languages streams; do $(VENV)/python -m bench.$$part || failed=1; done; \
	exit $$failed

bench-beside: dev
	$(VENV)/python -m bench.beside $(ARGS)

fuzz: dev
	$(VENV)/python -m tests.fuzz.run $(ARGS)

chaos: dev
	$(VENV)/python -m tests.chaos.driver $(ARGS)

interop: dev
	$(VENV)/python -m tests.interop.prepare
	$(VENV)/python -m pytest -q -o python_files='check_*.py' tests/interop $(ARGS)

corpus-check: dev
	$(VENV)/python -m corpus.check

train:
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet -r training/requirements.txt
	.venv-train/bin/pip install --quiet -r requirements.lock
	.venv-train/bin/python -m training learn --data "$(DATA)"
	.venv-train/bin/python -m training ship

dev:
	@$(PYTHON) tools/bootstrap.py --dev

lock: dev
	$(VENV)/python tools/lock.py $(ARGS)

clean:
	rm -rf .venv .venv-interop .venv-train tests/interop/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
