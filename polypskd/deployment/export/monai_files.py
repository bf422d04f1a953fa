"""The MONAI bundle files: for those who go on in PyTorch, and checked by MONAI's own verifier."""

from __future__ import annotations

import logging
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from polypskd.config import Crop
from polypskd.deployment.bundle import INFERENCE, METADATA, WEIGHTS
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import Stored
from polypskd.models.networks import name_architecture

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
NETWORK = "network_def"


def describe_metadata(stored: Stored, name: str, version: str) -> dict[str, Any]:
    """Describe the network as MONAI's metadata.json does.

    Args:
        stored: the student.
        name: of the experiment.
        version: of polypskd.
    """
    channels = {str(number): name for number, name in enumerate(stored.subclasses)}
    side = [stored.size, stored.size]
    return {
        "schema": SCHEMA,
        "version": version,
        "changelog": {version: "exported by polypskd"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch").partition("+")[0],
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {"safetensors": metadata.version("safetensors")},
        "name": name,
        "task": "Classification of colonoscopy frames",
        "description": (
            "A student distilled from clinicians' votes on colonoscopy frames. Research use only: "
            "not a medical device, not for diagnosis."
        ),
        "authors": "to be told by the authors",
        "copyright": "to be told by the authors",
        "intended_use": "Research use only: not a medical device, not for diagnosis.",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "RGB",
                    "modality": "endoscopy",
                    "num_channels": 3,
                    "spatial_shape": side,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "red", "1": "green", "2": "blue"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "classification",
                    "num_channels": len(stored.subclasses),
                    "spatial_shape": [],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": channels,
                }
            },
        },
    }


def describe_inference(stored: Stored, temperature: float, crop: Crop) -> dict[str, Any]:
    """Describe how MONAI runs the student, with the frames prepared as in training.

    Args:
        stored: the student.
        temperature: fitted on validation.
        crop: what of a frame is looked at.
    """
    name, arguments = name_architecture(stored.config, len(stored.subclasses))
    return {
        "imports": [
            "$import torch",
            "$from pathlib import Path",
            "$from polypskd.cohort.cropping import read_cropped",
            "$from polypskd.cohort.frames import list_frames",
            # One name a line: MONAI's parser takes the first alone.
            "$from polypskd.cohort.preparation import normalize",
            "$from polypskd.cohort.preparation import prepare_frame",
            "$from safetensors.torch import load_file",
        ],
        "bundle_root": ".",
        "dataset_dir": "/input",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "size": stored.size,
        "temperature": temperature,
        "class_of": list(stored.class_of),
        "classes": list(stored.classes),
        "crop": {"_target_": f"polypskd.config.{type(crop).__name__}", **crop.model_dump()},
        NETWORK: {"_target_": f"monai.networks.nets.{name}", **arguments},
        "network": f"$@{NETWORK}.to(@device).eval()",
        "weights": f"$@network.load_state_dict(load_file(@bundle_root + '/{WEIGHTS}'))",
        "datalist": "$list_frames(Path(@dataset_dir))[0]",
        "preprocessing": "$lambda name: torch.from_numpy(normalize(prepare_frame("
        "read_cropped(Path(@dataset_dir), name, @crop), @size))).permute(2, 0, 1)",
        "dataset": {
            "_target_": "monai.data.Dataset",
            "data": "@datalist",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "monai.data.DataLoader",
            "dataset": "@dataset",
            "batch_size": 32,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {"_target_": "monai.inferers.SimpleInferer"},
        "postprocessing": "$lambda logits: (torch.stack([logits[:, [s for s, of in "
        "enumerate(@class_of) if of == k]].logsumexp(1) for k in range(len(@classes))], 1) "
        "/ @temperature).softmax(1)",
        "probabilities": "$[@postprocessing(@inferer(batch.to(@device), @network)) "
        "for batch in @dataloader]",
        "initialize": ["$@weights"],
        "run": ["$print(torch.cat(@probabilities).tolist())"],
    }


def verify_files(folder: Path) -> None:
    """Let MONAI build the network from the bundle's files and run it once.

    Its other verifier, of metadata.json, loads a schema from the network, and is not called.

    Raises:
        ArtifactError: it does not verify.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.bundle import scripts, verify_net_in_out

        level = scripts.logger.level
        scripts.logger.setLevel(logging.ERROR)
        try:
            verify_net_in_out(
                NETWORK,
                meta_file=str(folder / METADATA),
                config_file=str(folder / INFERENCE),
                device="cpu",
            )
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            raise ArtifactError(
                f"{INFERENCE}: MONAI does not verify it ({type(error).__name__}); this is our fault"
            ) from None
        finally:
            scripts.logger.setLevel(level)
