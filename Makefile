.PHONY: check format lint types imports test schema sbom

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

sbom:
	python3 -m venv build/sbom-tool
	build/sbom-tool/bin/pip install --quiet cyclonedx-bom==7.5.0
	build/sbom-tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.cdx.json "$$(command -v python)"
