"""The list as SPDX 2.3."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from parts import RESEARCH, Bundle, Part, Whole

NONE = "NOASSERTION"
ROOT = "SPDXRef-polypskd"


def build_spdx(whole: Whole) -> dict[str, Any]:
    """Build the page; its namespace is drawn from what it says."""
    packages, relations = [_build_root(whole)], [("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)]
    files: list[dict[str, Any]] = []
    for part in whole.parts:
        packages.append(_build_package(part))
        relations.append((ROOT, "CONTAINS", packages[-1]["SPDXID"]))
    if whole.bundle is not None:
        package = _build_bundle(whole.bundle)
        files = [_build_file(one, whole.bundle) for one in whole.bundle.files]
        packages.append(package)
        relations.append((ROOT, "DEPENDS_ON", package["SPDXID"]))
        relations += [(package["SPDXID"], "CONTAINS", one["SPDXID"]) for one in files]
    page: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"polypskd-{whole.version}",
        "creationInfo": {
            "created": datetime.fromtimestamp(whole.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: polypskd-docker-sbom-{whole.version}"],
        },
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    if files:
        page["files"] = files
    if whole.left_out:
        page["comment"] = " ".join(whole.left_out)
    digest = hashlib.sha256(json.dumps(page, sort_keys=True).encode()).hexdigest()
    page["documentNamespace"] = f"urn:polypskd:sbom:{digest}"
    return page


def name_part(kind: str, name: str, version: str) -> str:
    """Name a part; what an identifier may not hold becomes its number, so that none fall together.

    >>> name_part("os", "libc6", "2.36-9+deb12")
    'SPDXRef-os-libc6-2.36-9-2b-deb12'
    """
    plain = re.sub(
        r"[^A-Za-z0-9.-]", lambda one: f"-{ord(one[0]):x}-", f"{name}-{version}".strip("-")
    )
    return f"SPDXRef-{kind}-{plain}"


def _mark(purl: str) -> str:
    """Tell apart the same version of a package for two architectures."""
    return hashlib.sha256(purl.encode()).hexdigest()[:8]


def _build_root(whole: Whole) -> dict[str, Any]:
    root = {
        "SPDXID": ROOT,
        "name": "polypskd",
        "versionInfo": whole.version,
        "downloadLocation": NONE,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER" if whole.image else "APPLICATION",
        "licenseDeclared": "Apache-2.0",
        "licenseConcluded": NONE,
        "copyrightText": NONE,
        "supplier": NONE,
        "comment": RESEARCH,
    }
    if whole.image:
        root["checksums"] = [{"algorithm": "SHA256", "checksumValue": whole.image}]
    return root


def _build_package(part: Part) -> dict[str, Any]:
    made: dict[str, Any] = {
        "SPDXID": f"{name_part(part.kind, part.name, part.version)}-{_mark(part.purl)}",
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": NONE,
        "filesAnalyzed": False,
        "licenseDeclared": part.expression or NONE,
        "licenseConcluded": NONE,
        "copyrightText": NONE,
        "supplier": f"Organization: {part.supplier}" if part.supplier else NONE,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": part.purl,
            }
        ],
    }
    if part.licenses:
        made["licenseComments"] = "Told by its maker: " + "; ".join(part.licenses)
    if len(part.sha256) == 1:
        made["checksums"] = [{"algorithm": "SHA256", "checksumValue": part.sha256[0]}]
    elif part.sha256:
        made["comment"] = "SHA-256 of the files that may be installed: " + " ".join(part.sha256)
    return made


def _build_bundle(bundle: Bundle) -> dict[str, Any]:
    joined = "".join(sorted(one.sha1 for one in bundle.files))
    code = hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()
    return {
        "SPDXID": name_part("bundle", bundle.name, bundle.version),
        "name": bundle.name,
        "versionInfo": bundle.version,
        "downloadLocation": NONE,
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": code},
        "primaryPackagePurpose": "OTHER",
        "licenseDeclared": bundle.expression or NONE,
        "licenseConcluded": NONE,
        "licenseInfoFromFiles": [bundle.expression or NONE],
        "copyrightText": NONE,
        "supplier": NONE,
        "checksums": [{"algorithm": "SHA256", "checksumValue": bundle.sha256}],
        "summary": "A network and what belongs to it; the checksum is that of its manifest.json.",
        "comment": RESEARCH,
    }


def _build_file(part: Part, bundle: Bundle) -> dict[str, Any]:
    is_weights = part.kind == "weights"
    made: dict[str, Any] = {
        "SPDXID": name_part("file", f"{bundle.sha256[:12]}-{part.name}", part.version),
        "fileName": f"./{part.name}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": part.sha1},
            {"algorithm": "SHA256", "checksumValue": part.sha256[0]},
        ],
        "fileTypes": ["BINARY" if is_weights else "TEXT"],
        "licenseConcluded": NONE,
        "licenseInfoInFiles": [bundle.expression if is_weights and bundle.expression else NONE],
        "copyrightText": NONE,
    }
    if is_weights:
        made["comment"] = f"Weights of a network. {RESEARCH}"
    return made
