"""The forms of a bundle's network, and how each is opened: float32, int8 or bfloat16."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.bundle import INT8, MODEL, Bundle, Precision
from polypskd.errors import ArtifactError, ConfigError

EXPORT = "export the run again"
WAYS: dict[Precision, tuple[str, str]] = {
    "int8": ("int8", "--int8"),
    "bfloat16": ("bf16", "--bf16"),
}  # the manifest's name, and the option of export


class Session(Protocol):
    """A network that runs, in the way of ONNX Runtime; it may be shared between threads."""

    def run(
        self, outputs: Sequence[str], inputs: dict[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        """Give the outputs that were named."""

    def get_inputs(self) -> Sequence[Any]:
        """List the inputs, each with name, type and shape."""

    def get_outputs(self) -> Sequence[Any]:
        """List the outputs, likewise."""


def choose_form(bundle: Bundle, precision: Precision) -> Bundle:
    """Give the bundle with another form of its network as its own.

    Args:
        bundle: as `open_bundle` gives it.
        precision: of the form.

    Raises:
        ArtifactError: the bundle holds no such form.
    """
    if precision == "float32":
        return bundle
    name, option = WAYS[precision]
    told = bundle.manifest.precisions.get(name, {})
    network = INT8 if precision == "int8" else MODEL
    if told.get("kept") is not True or network not in bundle.manifest.files:
        why = "it did not stay within its margins" if told else f"`polypskd export {option}` tries"
        raise ArtifactError(f"{bundle.folder}: holds no {precision} form of the student; {why}")
    return replace(bundle, precision=precision, model_hash=bundle.manifest.files[network].sha256)


def open_network(bundle: Bundle, threads: int) -> Session:
    """Open the bundle's network in its form.

    Args:
        bundle: the network's bytes are hashed as they are read.
        threads: that one frame may use.

    Raises:
        ConfigError: what runs it is not installed, or this processor cannot.
        ArtifactError: the network's bytes are not the manifest's, or no network.
    """
    name = INT8 if bundle.precision == "int8" else MODEL
    session = open_onnx(bundle.read(name), threads, str(bundle.folder / name))
    if bundle.precision == "bfloat16":
        return _OpenVino(bundle.read(name), threads, session, str(bundle.folder / name))
    return session


def open_onnx(data: bytes, threads: int, where: str) -> Session:
    """Open a graph in ONNX Runtime.

    Args:
        data: the graph.
        threads: that one frame may use.
        where: for messages.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        ArtifactError: it cannot load the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("predictions need ONNX Runtime; pip install 'polypskd[serve]'") from None
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what it has to say comes as an error
    # Waiting threads sleep: the processor belongs to whoever decodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        session: Session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common class of their own
        name = type(error).__name__
        raise ArtifactError(f"{where}: ONNX Runtime cannot load it ({name}); {EXPORT}") from None
    return session


class _OpenVino:
    """A graph in OpenVINO with bfloat16; shapes are told as ONNX Runtime reads them."""

    def __init__(self, data: bytes, threads: int, like: Session, where: str) -> None:
        try:
            import openvino
        except ImportError:
            raise ConfigError(
                "--precision bfloat16 needs OpenVINO; pip install 'polypskd[openvino]'"
            ) from None
        core = openvino.Core()
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigError(
                "--precision bfloat16: this processor does not compute in it (AVX512-BF16 or AMX "
                "do); leave it out"
            )
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
        try:
            self._compiled = core.compile_model(core.read_model(data, b""), "CPU", settings)
        except RuntimeError:
            raise ArtifactError(f"{where}: OpenVINO cannot load it; {EXPORT}") from None
        self._like = like
        self._own = threading.local()

    def run(
        self, outputs: Sequence[str], inputs: dict[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer(inputs)
        return [np.array(found[name], np.float32) for name in outputs]

    def get_inputs(self) -> Sequence[Any]:
        return self._like.get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        return self._like.get_outputs()
