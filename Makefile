.PHONY: check format lint types imports test schema

check: lint types imports test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

types:
	mypy

imports:
	lint-imports

test:
	pytest

schema:
	polypskd schema > configs/config.schema.json
