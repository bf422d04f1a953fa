"""The bundle put together: it appears whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.bundle import (
    CARD,
    CODEBOOK,
    EVIDENCE,
    INFERENCE,
    INT8,
    LIMITS,
    METADATA,
    MODEL,
    WEIGHTS,
    Bundle,
    open_bundle,
)
from polypskd.deployment.export.codebook import build_codebook
from polypskd.deployment.export.evidence import (
    build_evidence,
    check_maps,
    map_with_onnx,
    map_with_torch,
)
from polypskd.deployment.export.graph import build_graph
from polypskd.deployment.export.limits import derive_limits
from polypskd.deployment.export.material import Material, Source, open_material
from polypskd.deployment.export.monai_files import (
    describe_inference,
    describe_metadata,
    verify_files,
)
from polypskd.deployment.export.parity import (
    Parity,
    answer_with_onnx,
    answer_with_torch,
    check_parity,
    compare_answers,
)
from polypskd.deployment.export.placing import place_folder
from polypskd.deployment.export.record import describe_export
from polypskd.deployment.export.smaller import (
    Judgement,
    Margins,
    find_obstacle,
    judge_forms,
    quantize,
    run_with_bf16,
    run_with_onnx,
)
from polypskd.deployment.manifest import FORMAT, MANIFEST, VERSION, write_canonical
from polypskd.errors import ConfigError

__all__ = ["Exported", "Source", "Wish", "export_bundle"]

PARITY_FRAMES = 256
QUALITY_FRAMES = 1000
Tell = Callable[[str, int, int], None]  # told (step, done, in all)


@dataclass(frozen=True)
class Wish:
    """What is asked of an export.

    Args:
        codebook: codebook.yaml with codes; None for those of our own scheme.
        parity_frames: folder of images in place of the run's frames.
        int8: whether a quantized form is made.
        bf16: whether OpenVINO's bfloat16 is judged.
        margins: within which these are kept.
    """

    codebook: Path | None = None
    parity_frames: Path | None = None
    int8: bool = False
    bf16: bool = False
    margins: Margins = field(default_factory=Margins)


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Args:
        bundle: as it can be opened now.
        parity: student.onnx beside PyTorch.
        forms: what smaller forms cost, by name; kept or not.
        skipped: why other forms could not be judged here, by name.
    """

    bundle: Bundle
    parity: Parity
    forms: Mapping[str, Judgement]
    skipped: Mapping[str, str]


def export_bundle(
    source: Source,
    out: Path,
    wish: Wish,
    *,
    overwrite: bool = False,
    tell: Tell = lambda step, done, total: None,
) -> Exported:
    """Write a bundle.

    Args:
        source: a run that has been judged and reported.
        out: where the bundle appears.
        wish: what is asked of it.
        overwrite: whether a bundle that stands there is replaced.
        tell: told how far it is.

    Raises:
        ArtifactError: a file of the run is missing or does not belong to the others, or the graph
            does not answer as PyTorch does.
        CohortError: the frames are gone or damaged.
        ConfigError: the codebook does not fit, or a wish cannot be met.
        OutputError: something stands in the way, or the disk is full.
    """
    material = open_material(source, wish.parity_frames)
    if material.labels is None and (wish.int8 or wish.bf16):
        raise ConfigError(
            "--int8 and --bf16 are judged on the run's validation frames; leave --parity-frames out"
        )
    obstacle = find_obstacle() if wish.bf16 else ""
    if obstacle:
        wish = replace(wish, bf16=False)
    codebook = build_codebook(material.scheme, material.positive, wish.codebook)

    def write(folder: Path) -> tuple[Parity, dict[str, Judgement]]:
        stored, temperature = material.stored, material.temperature
        graph = build_graph(stored, temperature)
        sample = material.validation.pick(PARITY_FRAMES)[:]
        parity = compare_answers(
            answer_with_torch(stored, temperature, sample),
            answer_with_onnx(graph, sample),
            material.validation.origin,
        )
        check_parity(parity)
        evidence, apart = _build_evidence(material, sample)
        parity = replace(parity, evidence=apart)
        models, forms = _try_forms(graph, sample, wish, material, tell)
        pages = _write_pages(material, tell) | {CODEBOOK: codebook.model_dump(mode="json")}
        copies = {name: (source.run / name).read_bytes() for name in (WEIGHTS, CARD)}
        texts = {name: write_canonical(page) for name, page in pages.items()}
        files = {MODEL: graph} | evidence | models | copies | texts
        for name, data in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        verify_files(folder)
        told = describe_export(material, parity, forms)
        (folder / MANIFEST).write_bytes(_write_manifest(files, source.config.name, told))
        open_bundle(folder)
        return parity, forms

    parity, forms = place_folder(out, write, overwrite=overwrite)
    return Exported(open_bundle(out), parity, forms, {"bf16": obstacle} if obstacle else {})


def _build_evidence(
    material: Material, sample: NDArray[np.uint8]
) -> tuple[dict[str, bytes], float | None]:
    """Build the graph of the evidence map, where the network has one, and compare it."""
    stored, temperature = material.stored, material.temperature
    graph = build_evidence(stored, temperature)
    if graph is None:
        return {}, None
    expected = map_with_torch(stored, temperature, sample)
    return {EVIDENCE: graph}, check_maps(expected, map_with_onnx(graph, sample))


def _write_pages(material: Material, tell: Tell) -> dict[str, dict[str, Any]]:
    config, stored = material.source.config, material.stored
    measured = material.known.pick(QUALITY_FRAMES).measure(
        lambda done, total: tell("quality", done, total)
    )
    limits = derive_limits(config, material.positive, material.study, measured, material.known)
    return {
        LIMITS: limits.to_page(),
        METADATA: describe_metadata(stored, config.name, metadata.version("polypskd")),
        INFERENCE: describe_inference(stored, material.temperature, config.cohort.crop),
    }


def _try_forms(
    graph: bytes, sample: NDArray[np.uint8], wish: Wish, material: Material, tell: Tell
) -> tuple[dict[str, bytes], dict[str, Judgement]]:
    """Make the smaller forms that were wished for, and judge them on all of validation."""
    if material.labels is None or not (wish.int8 or wish.bf16):
        return {}, {}
    runs = {"float32": run_with_onnx(graph)}
    models = {}
    if wish.int8:
        models[INT8] = quantize(graph, sample)
        runs["int8"] = run_with_onnx(models[INT8])
    if wish.bf16:
        runs["bf16"] = run_with_bf16(graph)
    forms = judge_forms(
        runs,
        material.validation,
        material.labels,
        wish.margins,
        bins=material.source.config.evaluation.calibration_bins,
        progress=lambda done, total: tell("precisions", done, total),
    )
    return (models if wish.int8 and forms["int8"].kept else {}), forms


def _write_manifest(files: Mapping[str, bytes], name: str, told: Mapping[str, Any]) -> bytes:
    return write_canonical(
        {
            "format": FORMAT,
            "format_version": VERSION,
            "name": name,
            "version": metadata.version("polypskd"),
            "research_use_only": True,
            "files": {
                path: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                for path, data in files.items()
            },
            **told,
        }
    )
