"""The verb `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say

if TYPE_CHECKING:
    from polypskd.deployment.export.assembly import Exported


def export(
    run: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/demo.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the bundle; RUN/bundle if not given.")
    ] = None,
    codebook: Annotated[
        Path | None, typer.Option("--codebook", help="YAML: the classes' DICOM codes.")
    ] = None,
    parity_frames: Annotated[
        Path | None,
        typer.Option("--parity-frames", help="Images in place of the run's, if those are gone."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize too; kept if it stays within the margins.")
    ] = False,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Judge OpenVINO's bfloat16; kept likewise.")
    ] = False,
    margin_f1: Annotated[
        float, typer.Option(min=0, max=1, help="Macro-F1 that int8 or bf16 may lose.")
    ] = 0.01,
    margin_ece: Annotated[
        float, typer.Option(min=0, max=1, help="ECE that int8 or bf16 may gain.")
    ] = 0.01,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle that stands there.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's student as a bundle for the hospital: ONNX, limits, codes, hashes."""
    from polypskd.account import is_study_fresh
    from polypskd.artifacts import lock_run
    from polypskd.cohort.location import locate_frames
    from polypskd.deployment.export.placing import check_place
    from polypskd.errors import ArtifactError
    from polypskd.runs import reopen_run
    from polypskd.terminal import show_progress

    folder = out or run / "bundle"
    with let_stop(), show_progress(quiet) as listen:
        opened = reopen_run(run)
        check_place(folder, overwrite=overwrite)  # before torch is loaded
        _need_packages()
        from polypskd.deployment.export.assembly import Source, Wish, export_bundle
        from polypskd.deployment.export.smaller import Margins

        with lock_run(run):
            if not is_study_fresh(opened):
                raise ArtifactError(
                    f"{run / 'study.json'}: missing, or of other numbers than evaluation.json; "
                    f"`polypskd report {run}` makes it"
                )
            listen({"step": "export", "event": "start"})
            exported = export_bundle(
                Source(run, opened.config, locate_frames(opened.config.cohort, opened.cohort)),
                folder,
                Wish(codebook, parity_frames, int8, bf16, Margins(margin_f1, margin_ece)),
                overwrite=overwrite,
                tell=lambda step, done, total: listen(
                    {"step": step, "event": "progress", "done": done, "total": total}
                ),
            )
            listen({"step": "export", "event": "done"})
    say(*_describe(exported, folder), as_json)


def _need_packages() -> None:
    from importlib.util import find_spec

    from polypskd.errors import ConfigError

    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"export: needs {' and '.join(missing)}; pip install 'polypskd[export]' brings them"
        )


def _describe(exported: Exported, folder: Path) -> tuple[dict[str, Any], str]:
    """Describe what came of it, for machines and for people."""
    manifest, parity = exported.bundle.manifest, exported.parity
    result = {
        "bundle": str(folder),
        "name": manifest.name,
        "model_sha256": exported.bundle.model_hash,
        "files": {name: entry.size for name, entry in sorted(manifest.files.items())},
        "parity": parity.to_dict(),
        "precisions": manifest.precisions,
        "skipped": dict(exported.skipped),
    }
    codes = exported.bundle.codebook.classes
    own = [one.name for one in codes if one.code.scheme.startswith("99")]
    lines = [
        f"Bundle     {folder}",
        f"Student    {manifest.model['network']}, {manifest.model['parameters']:,} parameters, "
        f"SHA-256 {exported.bundle.model_hash[:16]}...",
        f"Parity     {parity.largest:.1e} in probability on {parity.frames} {parity.origin}",
        *(f"{name:<10} {judgement}" for name, judgement in exported.forms.items()),
    ]
    lines += [f"NOTE  {name} is not judged: {why}" for name, why in exported.skipped.items()]
    if own:
        lines.append(
            f"NOTE  no public DICOM code for {', '.join(own)}; --codebook FILE gives them one"
        )
    lines.append("Research use only: not a medical device, not for diagnosis.")
    return result, "\n".join(lines)
