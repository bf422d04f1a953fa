"""The Kubernetes file: the restricted Pod Security Standard, rule by rule, and what it calls.

The rules are written out here from the standard (baseline and restricted, all versions up to 1.35),
apart from the file and from the tools of `make policy`. No cluster runs here.
"""

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from small_bundle import write_bundle
from typer.testing import CliRunner

from polypskd.cli import app

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "kubernetes.yaml"
PAGES = {page["kind"]: page for page in yaml.safe_load_all(FILE.read_text())}
JOB = PAGES["Job"]
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def list_containers(pod: dict) -> list[dict]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [one for kind in kinds for one in pod.get(kind, [])]


def find_breaches(pod: dict) -> Iterator[str]:
    """Name each rule of the standard that a pod's spec breaks."""
    whole = pod.get("securityContext", {})
    inner = [one.get("securityContext", {}) for one in list_containers(pod)]
    contexts = [whole, *inner]
    rules = {
        "host process": any(one.get("windowsOptions", {}).get("hostProcess") for one in contexts),
        "host namespaces": any(pod.get(f"host{name}") for name in ("Network", "PID", "IPC")),
        "privileged": any(one.get("privileged") for one in inner),
        "host path": any("hostPath" in one for one in pod.get("volumes", [])),
        "host ports": any(
            port.get("hostPort") for one in list_containers(pod) for port in one.get("ports", [])
        ),
        "host probes": any(
            handler.get(kind, {}).get("host")
            for one in list_containers(pod)
            for handler in (
                *(one.get(f"{name}Probe", {}) for name in ("liveness", "readiness", "startup")),
                *one.get("lifecycle", {}).values(),
            )
            for kind in ("httpGet", "tcpSocket")
        ),
        "apparmor": any(
            one.get("appArmorProfile", {}).get("type", "RuntimeDefault")
            not in {"RuntimeDefault", "Localhost"}
            for one in contexts
        ),
        "selinux": any(
            one.get("seLinuxOptions", {}).get("type", "") not in SELINUX
            or one.get("seLinuxOptions", {}).keys() & {"user", "role"}
            for one in contexts
        ),
        "proc mount": any(one.get("procMount", "Default") != "Default" for one in inner),
        "sysctls": any(one["name"] not in SAFE_SYSCTLS for one in whole.get("sysctls", [])),
        "volume types": any({*one} - {"name"} - VOLUMES for one in pod.get("volumes", [])),
        "escalation": any(one.get("allowPrivilegeEscalation") is not False for one in inner),
        "root allowed": any(
            one.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True for one in inner
        ),
        "root user": any(one.get("runAsUser") == 0 for one in contexts),
        "seccomp": any(
            one.get("seccompProfile", whole.get("seccompProfile", {})).get("type")
            not in {"RuntimeDefault", "Localhost"}
            for one in inner
        ),
        "capabilities": any(
            "ALL" not in one.get("capabilities", {}).get("drop", [])
            or {*one.get("capabilities", {}).get("add", [])} - {"NET_BIND_SERVICE"}
            for one in inner
        ),
    }
    yield from (rule for rule, is_broken in rules.items() if is_broken)


POD = JOB["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def inside(change):
    """Change the container's security context."""
    return lambda pod: change(pod["containers"][0]["securityContext"])


SOFTER = {
    "host process": lambda pod: pod["securityContext"].update(windowsOptions={"hostProcess": True}),
    "host namespaces": lambda pod: pod.update(hostNetwork=True),
    "privileged": inside(lambda one: one.update(privileged=True)),
    "host path": lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "host ports": lambda pod: pod["containers"][0].update(ports=[{"hostPort": 80}]),
    "host probes": lambda pod: pod["containers"][0].update(
        livenessProbe={"httpGet": {"host": "169.254.169.254"}}
    ),
    "apparmor": inside(lambda one: one.update(appArmorProfile={"type": "Unconfined"})),
    "selinux": lambda pod: pod["securityContext"].update(seLinuxOptions={"type": "spc_t"}),
    "proc mount": inside(lambda one: one.update(procMount="Unmasked")),
    "sysctls": lambda pod: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax"}]),
    "volume types": lambda pod: pod["volumes"].append({"name": "x", "nfs": {"path": "/"}}),
    "escalation": inside(lambda one: one.pop("allowPrivilegeEscalation")),
    "root allowed": lambda pod: pod["securityContext"].pop("runAsNonRoot"),
    "root user": lambda pod: pod["securityContext"].update(runAsUser=0),
    "seccomp": lambda pod: pod["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "capabilities": inside(lambda one: one.update(capabilities={"drop": ["NET_RAW"]})),
}


def test_the_job_keeps_every_rule_of_the_restricted_standard():
    assert list(find_breaches(POD)) == []


@pytest.mark.parametrize(("rule", "soften"), SOFTER.items(), ids=SOFTER)
def test_each_rule_would_find_its_breach(rule, soften):
    pod = copy.deepcopy(POD)
    soften(pod)
    assert rule in list(find_breaches(pod))


def test_every_rule_is_tried():
    every = {"hostNetwork": True, "containers": [{}]}
    assert {*find_breaches(every)} <= {*SOFTER}


def test_the_job_goes_beyond_the_standard_where_it_can():
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    assert POD["securityContext"]["runAsUser"] >= 10000
    limits, requests = CONTAINER["resources"]["limits"], CONTAINER["resources"]["requests"]
    assert limits == requests
    assert {*limits} == {"cpu", "memory", "ephemeral-storage"}
    assert "@sha256:" in CONTAINER["image"]
    assert not {"env", "envFrom", "ports"} & CONTAINER.keys()
    assert not any("secret" in one for one in POD["volumes"])


def test_all_places_are_read_only_but_the_output_and_a_bounded_scratch():
    mounts = {one["name"]: one for one in CONTAINER["volumeMounts"]}
    volumes = {one["name"]: one for one in POD["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert {name for name, one in mounts.items() if not one.get("readOnly")} == {"output", "tmp"}
    assert volumes["tmp"]["emptyDir"]["sizeLimit"]
    for name in ("bundle", "input"):
        assert volumes[name]["persistentVolumeClaim"]["readOnly"] is True


def test_no_pod_of_the_namespace_speaks_with_anybody():
    policy = PAGES["NetworkPolicy"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_all_is_in_the_namespace_that_enforces_the_standard():
    name = PAGES["Namespace"]["metadata"]["name"]
    labels = PAGES["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {PAGES[kind]["metadata"]["namespace"] for kind in ("NetworkPolicy", "Job")} == {name}


def test_wrong_input_and_wrong_usage_are_not_tried_again_but_an_evicted_pod_is():
    rules = JOB["spec"]["podFailurePolicy"]["rules"]
    assert [(one["action"], one.get("onExitCodes", {}).get("values")) for one in rules] == [
        ("FailJob", [1, 2]),
        ("Ignore", None),
    ]
    assert rules[0]["onExitCodes"]["containerName"] == CONTAINER["name"]
    assert POD["restartPolicy"] == "Never"  # what a policy of failures needs


def test_the_file_is_of_the_official_schema():
    pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed") == len(PAGES)


def test_the_command_predicts_where_it_is_given_such_places(tmp_path):
    places = {one["mountPath"]: tmp_path / one["name"] for one in CONTAINER["volumeMounts"]}
    for path in places.values():
        path.mkdir()
    write_bundle(places["/bundle"])
    cv2.imwrite(str(places["/input"] / "a.png"), np.full((48, 48, 3), 90, np.uint8))

    def move(word: str) -> str:
        for mount, path in places.items():
            if word == mount or word.startswith(f"{mount}/"):
                return word.replace(mount, str(path), 1)
        return word

    assert CONTAINER["command"] == ["polypskd"]
    done = CliRunner().invoke(app, [move(word) for word in CONTAINER["args"]])
    assert done.exit_code == 0, done.output
    assert (places["/output"] / "results" / "predictions.csv").read_text().count("a.png") == 1
    assert (places["/output"] / "audit.jsonl").exists()
