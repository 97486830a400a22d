# make demo   the same chatbot with and without the guardrail (make demo ARGS=--once ends by itself)
# make test   everything that must hold; needs nothing but python3.11, make and git
# make fuzz   every reader against what a fuzzer thinks of (make fuzz ARGS='--inputs 10000 --reader stream')
# make dev    .venv with the guardrail command in it, for working on it

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
ARGS ?=
WORKERS ?= 2

.PHONY: demo test lint bench fuzz dev lock clean

demo:
	@$(PYTHON) tools/bootstrap.py
	@$(VENV)/python -m demo.run $(ARGS)

test: lint
	$(VENV)/python -m pytest -q -n $(WORKERS) $(ARGS)

lint: dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy -p guardrail -p escalation -p demo -p bench
	$(VENV)/mypy tools/bootstrap.py tools/pipwheel.py tools/lock.py

bench: dev
	$(VENV)/python -m bench.proxy $(ARGS)

fuzz: dev
	$(VENV)/python -m tests.fuzz.run $(ARGS)

dev:
	@$(PYTHON) tools/bootstrap.py --dev

lock: dev
	$(VENV)/python tools/lock.py $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
