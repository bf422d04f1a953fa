"""The sections `teacher` and `student`: how the networks are trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polypskd.config.networks import Network, ResNet
from polypskd.config.section import Count, Section


class Fit(Section):
    """How a network is trained."""

    epochs: Count = 30
    batch_size: Annotated[int, Field(ge=2)] = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1.0e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1.0e-2
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    clip: Annotated[float, Field(gt=0)] = 5.0  # gradient norm
    precision: Literal["auto", "fp32", "bf16"] = (
        "auto"  # auto: bf16 where the machine is fast at it
    )


class Teacher(Section):
    """The heavy network."""

    network: Network = ResNet(kind="resnet18")
    fit: Fit = Fit()


class Plain(Section):
    """The student learns from the labels alone."""

    kind: Literal["none"] = "none"


class ConventionalKD(Section):
    """Hinton, Vinyals & Dean 2015, from a class-only teacher."""

    kind: Literal["kd"] = "kd"
    temperature: Annotated[float, Field(gt=0)] = 4.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5


class SubclassKD(Section):
    """Sajedi & Plataniotis 2022 (a reconstruction: which hard term they used is not published)."""

    kind: Literal["skd"] = "skd"
    temperature: Annotated[float, Field(gt=0)] = 4.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    hard_term: Literal["class", "subclass"] = "class"


Method = Annotated[Plain | ConventionalKD | SubclassKD, Field(discriminator="kind")]


class Student(Section):
    """The light network."""

    network: Network = ResNet(kind="resnet10", width=16)
    method: Method = SubclassKD()
    fit: Fit = Fit()
