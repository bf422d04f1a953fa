"""The list as CycloneDX 1.6."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from parts import RESEARCH, Bundle, Part, Whole

TYPES = {"os": "library", "python": "library", "weights": "machine-learning-model", "data": "data"}
ORIGIN = "polypskd"


def build_cyclonedx(whole: Whole) -> dict[str, Any]:
    """Build the page; its serial number is drawn from what it says."""
    parts = [_build_component(one, _name(one)) for one in whole.parts]
    bundle = [] if whole.bundle is None else [_build_bundle(whole.bundle)]
    root = _build_root(whole)
    refs = [one["bom-ref"] for one in parts + bundle]
    depends = [{"ref": root["bom-ref"], "dependsOn": sorted(refs)}]
    if whole.bundle is not None:
        inside = [one["bom-ref"] for one in bundle[0]["components"]]
        depends.append({"ref": bundle[0]["bom-ref"], "dependsOn": sorted(inside)})
    page: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(whole.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [_build_tool(whole)]},
            "authors": [{"name": "The polypskd authors"}],
            "component": root,
        },
        "components": parts + bundle,
        "dependencies": depends,
        "compositions": [
            {
                "aggregate": "incomplete" if whole.left_out else "complete",
                "assemblies": [root["bom-ref"]],
            }
        ],
    }
    digest = hashlib.sha256(json.dumps(page, sort_keys=True).encode()).digest()
    page["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    return page


def _name(part: Part) -> str:
    return part.purl


def _build_tool(whole: Whole) -> dict[str, Any]:
    return {"type": "application", "name": "docker/sbom of polypskd", "version": whole.version}


def _build_root(whole: Whole) -> dict[str, Any]:
    told = {"research_use_only": "true"}
    for turn, what in enumerate(whole.left_out, 1):
        told[f"left_out:{turn}"] = what
    root: dict[str, Any] = {
        "type": "container" if whole.image else "application",
        "bom-ref": "polypskd",
        "name": "polypskd",
        "version": whole.version,
        "description": RESEARCH,
        "licenses": [{"expression": "Apache-2.0"}],
        "properties": _build_properties(told),
    }
    if whole.image:
        root["hashes"] = [{"alg": "SHA-256", "content": whole.image}]
    return root


def _build_component(part: Part, ref: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": TYPES[part.kind],
        "bom-ref": ref,
        "name": part.name,
        "version": part.version,
    }
    if part.purl:
        made["purl"] = part.purl
    if part.supplier:
        made["supplier"] = {"name": part.supplier}
    if part.expression:
        made["licenses"] = [{"expression": part.expression}]
    elif part.licenses:
        made["licenses"] = [{"license": {"name": name}} for name in part.licenses]
    if part.kind == "python":
        # Hashes of the files that may be installed; which of them was, depends on the machine.
        told = {f"lock:sha256:{turn}": value for turn, value in enumerate(part.sha256, 1)}
        if told:
            made["properties"] = _build_properties(told)
        if len(part.sha256) == 1:
            made["hashes"] = [{"alg": "SHA-256", "content": part.sha256[0]}]
    elif part.sha256:
        made["hashes"] = [{"alg": "SHA-256", "content": part.sha256[0]}]
    return made


def _build_bundle(bundle: Bundle) -> dict[str, Any]:
    told = {"research_use_only": "true"}
    if not bundle.expression:
        told["license"] = "not stated by who made the bundle"
    made: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"bundle:{bundle.sha256}",
        "name": bundle.name,
        "version": bundle.version,
        "description": RESEARCH,
        "hashes": [{"alg": "SHA-256", "content": bundle.sha256}],
        "modelCard": _build_card(bundle),
        "components": [
            _build_component(one, f"bundle:{bundle.sha256}/{one.name}") for one in bundle.files
        ],
        "properties": _build_properties(told),
    }
    for one in made["components"]:
        if one["type"] == TYPES["weights"] and bundle.expression:
            one["licenses"] = [{"expression": bundle.expression}]
        if one["type"] == TYPES["data"]:
            one["data"] = [{"type": "configuration", "name": one["name"]}]
    if bundle.expression:
        made["licenses"] = [{"expression": bundle.expression}]
    return made


def _build_card(bundle: Bundle) -> dict[str, Any]:
    size = bundle.model.get("size")
    inputs = "uint8 frames, RGB" + ("" if size is None else f", {size} x {size}")
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image classification",
            "modelArchitecture": str(bundle.model.get("network", "unknown")),
            "inputs": [{"format": inputs}],
            "outputs": [{"format": "probabilities of classes and subclasses, confidence"}],
        },
        "considerations": {"technicalLimitations": [RESEARCH]},
    }
    metrics = [
        {
            "type": name,
            "value": f"{one['value']:.6f}",
            "slice": "test frames",
            "confidenceInterval": {
                "lowerBound": f"{one['low']:.6f}",
                "upperBound": f"{one['high']:.6f}",
            },
        }
        for name, one in sorted(bundle.test.items())
        if isinstance(one, dict)
    ]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _build_properties(told: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": f"{ORIGIN}:{key}", "value": value} for key, value in told.items()]
