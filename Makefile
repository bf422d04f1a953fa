.PHONY: check format lint types imports test schema sbom offline policy lock

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

# Each worker has one thread (tests/conftest.py) and takes whole files; WORKERS=0 takes none.
WORKERS ?= 2
test:
	pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

schema:
	polypskd schema > configs/config.schema.json

# What the serving image is made of, as CycloneDX and SPDX; IMAGE (a root folder, or what `podman save`
# or `podman export` wrote) and BUNDLE as far as they are given. The same input gives the same bytes.
# VIDEO=yes, here and below: with what decodes videos.
LOCKS = --lock docker/serve.lock $(if $(VIDEO),--lock docker/video.lock)
sbom:
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} python3 docker/sbom $(LOCKS) \
		$(if $(IMAGE),--image "$(IMAGE)") $(if $(BUNDLE),--bundle "$(BUNDLE)") --out build/sbom

# Wheels, checksums and a script for a machine without network, into dist/offline.
offline:
	python3 docker/offline/build.py $(LOCKS) $(if $(BUNDLE),--bundle "$(BUNDLE)") --out dist/offline

# Dockerfile, compose and Kubernetes files against rules, by tools in an environment of their own.
POLICY = build/policy-tool/bin
policy:
	python3 -m venv build/policy-tool
	$(POLICY)/pip install --quiet --requirement docker/policy.txt
	$(POLICY)/hadolint --config docker/hadolint.yaml docker/Dockerfile
	$(POLICY)/shellcheck docker/offline/install.sh docker/test_offline .ci/run
	$(POLICY)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	$(POLICY)/kubernetes-validate --strict --quiet docker/kubernetes.yaml
	cd docker && PYTHONPATH= ../$(POLICY)/checkov --config-file checkov.yaml \
		--file Dockerfile kubernetes.yaml compose.yaml

# Pinned versions with hashes, of every package of the image; for Python 3.11 on Linux. Settings
# of pip, such as a mirror, are put aside, so that everybody gets the same. TORCH_INDEX: another
# index for the image for training, with torch for machines without GPU.
lock:
	python3.11 -m venv build/lock-tool
	build/lock-tool/bin/pip install --quiet pip==26.0.1 pip-tools==7.5.3
	for name in serve video build; do \
		PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= CUSTOM_COMPILE_COMMAND="make lock" \
			build/lock-tool/bin/pip-compile --quiet --no-config \
			--generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
			--upgrade --output-file docker/$$name.lock docker/$$name.in || exit 1; \
	done
	PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= CUSTOM_COMPILE_COMMAND="make lock" \
		build/lock-tool/bin/pip-compile --quiet --no-config \
		--generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
		$(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") \
		--upgrade --extra pdf --output-file docker/train.lock pyproject.toml
