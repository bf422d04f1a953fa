"""The structured report of a study: Comprehensive 3D SR, TID 1500 with TID 1501 a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from polypskd.artifacts import fingerprint
from polypskd.deployment.audit import own_version
from polypskd.deployment.bundle import PRIVATE, Bundle, Code
from polypskd.deployment.dicom_objects.patients import clean_text
from polypskd.deployment.dicom_objects.result_objects import (
    MANUFACTURER,
    MOST,
    RESEARCH,
    Exam,
    Finding,
    derive_device,
    describe_origin,
    finish_result,
)
from polypskd.deployment.results import NOT_ASSESSABLE, ORDER, UNSURE, Answer

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# With a colon, which no code that is made of a name has.
TERMS = {
    "subclass": "Subclass",
    "confidence": "Confidence of the model",
    "withheld": "Answer withheld",
    "too-dark": "Not assessable: too dark",
    "too-bright": "Not assessable: too bright",
    "not-colon": "Not assessable: not a colonoscopy frame",
    "blurred": "Not assessable: blurred",
    "out-of-range": "Not assessable: out of range",
    "unsure": "Unsure: risk within the band of low confidence",
}
REASONS = {
    "too dark": "too-dark",
    "too bright": "too-bright",
    "not a colonoscopy frame": "not-colon",
    "blurred": "blurred",
    "out of range": "out-of-range",
}
COLONOSCOPY = Code(value="73761001", scheme="SCT", meaning="Colonoscopy")
NOTICE = f"{RESEARCH}. Not a medical device; unverified output of a model."


def name_term(name: str) -> Code:
    """Name one of our own terms.

    >>> name_term("withheld").value
    'skd:withheld'
    """
    return Code(value=f"skd:{name}", scheme=PRIVATE, meaning=TERMS[name])


def list_reasons(abstained: str) -> tuple[Code, ...]:
    """List the codes of why an answer is withheld.

    Args:
        abstained: as `Answer` has it; "" where it is not withheld.

    >>> [code.value for code in list_reasons("not assessable: blurred (blur 1 is above 0.5)")]
    ['skd:blurred']
    """
    if abstained.startswith(UNSURE):
        return (name_term("unsure"),)
    if not abstained.startswith(NOT_ASSESSABLE):
        return ()
    found = [REASONS[word] for word in ORDER if f"{word} (" in abstained]
    return tuple(name_term(name) for name in found or ["out-of-range"])


def find_subclass(answer: Answer, bundle: Bundle) -> int | None:
    """Find the most probable subclass of the class that was named; None where none was.

    Args:
        answer: of a frame.
        bundle: whose answer it is.
    """
    if not answer.predicted:
        return None
    named = bundle.classes.index(answer.predicted)
    own = [turn for turn, of in enumerate(bundle.subclass_to_class) if of == named]
    return max(own, key=lambda turn: (answer.subclass_probabilities[turn], -turn))


def list_parts(findings: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """Divide frames among reports, as none may grow without end."""
    return [tuple(findings[at : at + MOST]) for at in range(0, len(findings), MOST)]


def build_structured_report(exam: Exam, part: int) -> Dataset:
    """Build a structured report.

    Args:
        exam: the study.
        part: which of `list_parts`, from 0.

    Returns:
        The object with file meta information, not yet written.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    parts = list_parts(exam.findings)
    findings = parts[part]
    evidence = {one.image.instance: one.image.refer() for one in findings}
    algorithm = _describe_algorithm(exam.bundle)
    content = hd.sr.MeasurementReport(
        observation_context=_describe_observer(exam.bundle),
        procedure_reported=_code(COLONOSCOPY),
        imaging_measurements=[_build_group(findings[0], exam.bundle, algorithm)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    # Before the measurements, so that whoever reads from above meets it first.
    content[0].ContentSequence.insert(-1, _comment(_tell(exam, part, len(parts))))
    origin = describe_origin(exam, "SR")
    report = hd.sr.Comprehensive3DSR(
        evidence=list(evidence.values()),
        content=content[0],
        sop_instance_uid=name_report(exam, part),
        instance_number=part + 1,
        is_complete=not exam.unread,
        coding_schemes=_list_schemes(exam.bundle),
        **origin,
    )
    # The constructor copies and searches all content several times over: the rest goes in after.
    measured = report.ContentSequence[-1].ContentSequence
    for one in findings[1:]:
        measured.extend(_build_group(one, exam.bundle, algorithm))
    if exam.unread:
        report.CompletionFlagDescription = f"{exam.unread} files or frames could not be read"
    finish_result(report, exam, findings[0].image)
    return report


def name_report(exam: Exam, part: int) -> str:
    """Derive the UID of a structured report.

    Args:
        exam: the study.
        part: which of `list_parts`, from 0.
    """
    parts = list_parts(exam.findings)
    about = (f"{part} of {len(parts)}", f"{exam.unread} unread")
    return exam.derive_instance("SR", parts[part], *about)


def _tell(exam: Exam, part: int, parts: int) -> str:
    told = [NOTICE]
    if parts > 1:
        told.append(f"Part {part + 1} of {parts}.")
    if exam.unread:
        told.append(f"{exam.unread} files or frames of the study could not be read.")
    return " ".join(told)


def _build_group(finding: Finding, bundle: Bundle, algorithm: Any) -> Any:
    """Build the measurement group of one frame (TID 1501)."""
    import highdicom as hd

    answer = finding.answer
    named = bundle.classes.index(answer.predicted) if answer.predicted else None
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=finding.tracking_uid, identifier=finding.tracking_name
        ),
        finding_type=None if named is None else _code(bundle.codebook.classes[named].code),
        algorithm_id=algorithm,
        measurements=_list_measurements(answer, bundle),
        qualitative_evaluations=_list_evaluations(answer, bundle),
        # Not made of the data set: real files have more frames than their class allows.
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(
                finding.image.sop_class, finding.image.instance, finding.frame_numbers
            )
        ],
    )
    if answer.abstained:
        group[0].ContentSequence.append(_comment(clean_text(answer.abstained, 1024)))
    return group


def _list_measurements(answer: Answer, bundle: Bundle) -> list[Any]:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    told = []
    for one, share in zip(bundle.codebook.classes, answer.class_probabilities, strict=True):
        number = hd.sr.Measurement(codes.DCM.Probability, share, codes.UCUM.NoUnits)
        # Of which class: the modifier that TID 300 has for it.
        number[0].ContentSequence = hd.sr.ContentSequence(
            [
                *number[0].get("ContentSequence", []),
                hd.sr.CodeContentItem(
                    codes.DCM.Finding, _code(one.code), hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD
                ),
            ]
        )
        told.append(number)
    name = _code(name_term("confidence"))
    return [*told, hd.sr.Measurement(name, answer.confidence, codes.UCUM.NoUnits)]


def _list_evaluations(answer: Answer, bundle: Bundle) -> list[Any]:
    import highdicom as hd

    told = [
        hd.sr.QualitativeEvaluation(_code(name_term("withheld")), _code(why))
        for why in list_reasons(answer.abstained)
    ]
    subclass = find_subclass(answer, bundle)
    if subclass is not None:
        code = _code(bundle.codebook.subclasses[subclass].code)
        told.append(hd.sr.QualitativeEvaluation(_code(name_term("subclass")), code))
    return told


def _describe_algorithm(bundle: Bundle) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    limits = fingerprint(bundle.limits.model_dump(mode="json"))
    parameters = [f"model sha256 {bundle.model_hash}", f"limits sha256 {limits}"]
    parameters.append(f"precision {bundle.precision}")
    band = bundle.limits.confidence
    if band is not None:
        parameters.append(
            f"unsure where risk lies between {band.negative_to:g} and {band.positive_from:g}"
        )
    rules = bundle.limits.quality.model_dump(exclude_none=True)
    if rules:
        told = ", ".join(f"{name} {bound:g}" for name, bound in sorted(rules.items()))
        parameters.append(f"not assessable beyond: {told}")
    return hd.sr.AlgorithmIdentification(
        name=clean_text(bundle.manifest.name, 64) or "model",
        version=clean_text(f"{bundle.manifest.version} (polypskd {own_version()})", 64),
        parameters=[*parameters, "research use only: not for diagnosis"],
        family=codes.cid7162.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
    )


def _describe_observer(bundle: Bundle) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=derive_device(bundle),
        name="polypskd (research use only)",
        manufacturer_name=MANUFACTURER,
        model_name=clean_text(bundle.manifest.name, 64) or "model",
        serial_number=bundle.model_hash,
    )
    context = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    return hd.sr.ObservationContext(observer_device_context=context)


def _list_schemes(bundle: Bundle) -> list[Any]:
    """Declare the coding schemes that are nobody else's."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    given = [one.code.scheme for one in bundle.codebook.classes]
    given += [one.code.scheme for one in bundle.codebook.subclasses]
    found = {PRIVATE, *(scheme for scheme in given if scheme.startswith("99"))}
    return [
        CodingSchemeIdentificationItem(
            designator=scheme,
            name="polypskd: classes of the bundle and terms of its results"
            if scheme == PRIVATE
            else "private scheme of the bundle's codebook",
            responsible_organization=MANUFACTURER if scheme == PRIVATE else None,
        )
        for scheme in sorted(found)
    ]


def _comment(text: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.sr.TextContentItem(codes.DCM.Comment, text, hd.sr.RelationshipTypeValues.CONTAINS)


def _code(code: Code) -> Any:
    import highdicom as hd

    meaning = clean_text(code.meaning, 64) or "unnamed"
    value = clean_text(code.value, 16) or "unnamed"
    return hd.sr.CodedConcept(value, clean_text(code.scheme, 16), meaning)
