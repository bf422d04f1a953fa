"""The compose file: every line that hardens it is held, and its Orthanc answers as it says.

No engine that understands compose runs here: held is what the file says, and what the real Orthanc
of Debian does with its settings, health check included. `docker/test_compose.py` gives the lines of
the file to podman.
"""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from polypskd.cli import app
from polypskd.deployment.pacs.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.yaml"
PAGE = yaml.safe_load(FILE.read_text())
SERVICES = ("orthanc", "polypskd")
WRITABLE = {"orthanc": {"/var/lib/orthanc/db"}, "polypskd": {"/state"}}
TMPFS = {"rw", "noexec", "nosuid", "nodev"}


def find_breaches(page: dict) -> list[str]:
    """List what is not as a hospital's IT wants it, service by service."""
    told = []
    for name, service in page["services"].items():

        def hold(is_so: object, what: str, where: str = name) -> None:
            if not is_so:
                told.append(f"{where}: {what}")

        hold(service.get("read_only") is True, "read_only")
        hold(service.get("cap_drop") == ["ALL"] and not service.get("cap_add"), "capabilities")
        hold(service.get("security_opt") == ["no-new-privileges:true"], "security_opt")
        hold(service.get("privileged") is False, "privileged")
        user, _, group = str(service.get("user", "")).partition(":")
        hold(user.isdecimal() and int(user) >= 10000 and group.isdecimal(), "user")
        hold({"pid", "userns_mode", "network_mode", "cgroup_parent"}.isdisjoint(service), "spaces")
        hold(service.get("ipc") == "private", "ipc")
        hold({"devices", "env_file", "environment", "extends"}.isdisjoint(service), "extras")
        hold(re.fullmatch(r"\d+[mg]", str(service.get("mem_limit"))), "mem_limit")
        hold(service.get("memswap_limit") == service.get("mem_limit"), "memswap_limit")
        hold(0 < service.get("pids_limit", 0) <= 512, "pids_limit")
        hold(service.get("cpus"), "cpus")
        hold(service.get("healthcheck", {}).get("test", [None])[0] == "CMD", "healthcheck")
        hold("max-size" in service.get("logging", {}).get("options", {}), "logging")
        for mount in service.get("tmpfs", []) or [""]:
            options = {*mount.partition(":")[2].split(",")}
            hold(options >= TMPFS and any(one.startswith("size=") for one in options), "tmpfs")
        for volume in service["volumes"]:
            is_closed = volume.get("read_only") is True or volume["target"] in WRITABLE[name]
            hold(volume["type"] == "bind" and is_closed, "volumes")
            hold("docker.sock" not in volume["source"], "volumes")
        hold(all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), "ports")
        hold(not (name == "polypskd" and service.get("ports")), "ports")
    networks = page["services"]["polypskd"].get("networks")
    if networks != ["archive"] or page["networks"]["archive"].get("internal") is not True:
        told.append("polypskd: networks")
    if any(set(secret) != {"file"} for secret in page["secrets"].values()):
        told.append("secrets")
    return told


def test_every_hardening_line_holds():
    assert find_breaches(PAGE) == []
    assert {*PAGE["services"]} == {*SERVICES}


SOFTER = {
    "read_only": lambda s: s.update(read_only=False),
    "capabilities": lambda s: s.update(cap_add=["NET_ADMIN"]),
    "security_opt": lambda s: s.pop("security_opt"),
    "privileged": lambda s: s.update(privileged=True),
    "user": lambda s: s.update(user="0:0"),
    "spaces": lambda s: s.update(network_mode="host"),
    "ipc": lambda s: s.update(ipc="host"),
    "extras": lambda s: s.update(environment={"PASSWORD": "x"}),
    "mem_limit": lambda s: s.pop("mem_limit"),
    "memswap_limit": lambda s: s.update(memswap_limit=-1),
    "pids_limit": lambda s: s.update(pids_limit=-1),
    "cpus": lambda s: s.pop("cpus"),
    "healthcheck": lambda s: s.pop("healthcheck"),
    "logging": lambda s: s.pop("logging"),
    "tmpfs": lambda s: s.update(tmpfs=["/scratch:rw"]),
    "volumes": lambda s: s["volumes"][0].update(read_only=False),
    "ports": lambda s: s.update(ports=["8042:8042"]),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("what", "soften"), SOFTER.items(), ids=SOFTER)
def test_each_softer_line_would_be_found(service, what, soften):
    page = copy.deepcopy(PAGE)
    soften(page["services"][service])
    assert f"{service}: {what}" in find_breaches(page)


def test_a_way_out_and_a_secret_in_the_file_would_be_found():
    page = copy.deepcopy(PAGE)
    page["networks"]["archive"]["internal"] = False
    page["secrets"]["pacs_password"] = {"environment": "PASSWORD"}
    assert find_breaches(page) == ["polypskd: networks", "secrets"]


def test_the_archives_image_is_pinned_by_version_and_by_a_digest_that_must_be_given():
    image = PAGE["services"]["orthanc"]["image"]
    assert re.match(r"docker\.io/\S+:\d+\.\d+\.\d+@\$\{ORTHANC_DIGEST:\?", image)
    assert PAGE["services"]["polypskd"]["pull_policy"] == "never"


def test_every_file_that_it_mounts_is_here_and_none_is_made_up():
    for service in PAGE["services"].values():
        for volume in service["volumes"]:
            assert volume["bind"] == {"create_host_path": False}
            if volume["source"].startswith("./orthanc/"):
                assert (FILE.parent / volume["source"]).is_file()


def test_the_file_is_of_the_official_schema():
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_watcher_is_called_as_the_verb_wants_it_and_reads_what_is_mounted(tmp_path):
    service = PAGE["services"]["polypskd"]
    verb, *arguments = service["command"]
    context = get_command(app).commands[verb].make_context(verb, [*arguments])
    targets = {volume["target"] for volume in service["volumes"]}
    assert str(context.params["settings"]) in targets
    assert str(context.params["bundle"]) in targets
    assert context.params["out"].parent.as_posix() == "/state"
    group, echo, place = service["healthcheck"]["test"][2:]
    assert get_command(app).commands[group].commands[echo].make_context(echo, [place])
    settings = read_settings(ROOT / "docker" / "orthanc" / "pacs.yaml")
    assert settings.archive.kind == "dicomweb"
    host, _, port = settings.archive.url.split("/")[2].partition(":")
    assert host in PAGE["services"]
    archive = json.loads((ROOT / "docker" / "orthanc" / "orthanc.json").read_text())
    assert int(port) == archive["HttpPort"]
    assert settings.archive.url.endswith(archive["DicomWeb"]["Root"].rstrip("/"))
    assert settings.archive.password_file.name in service["secrets"]


def test_orthanc_takes_its_settings_and_its_health_check_needs_no_password(tmp_path):
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if program is None or not plugin.exists():
        pytest.skip("no Orthanc with DICOMweb (Debian: orthanc orthanc-dicomweb)")
    if subprocess.run(
        ["unshare", "-rnp", "--fork", "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("no network namespace can be had (unshare -rnp)")
    page = json.loads((ROOT / "docker" / "orthanc" / "orthanc.json").read_text())
    page |= {"Plugins": [str(plugin)], "StorageDirectory": "db", "IndexDirectory": "db"}
    config = tmp_path / "config"
    config.mkdir()
    (config / "orthanc.json").write_text(json.dumps(page))
    (config / "users.json").write_text('{"RegisteredUsers": {"polypskd": "let-me-in"}}')
    *_, probe = PAGE["services"]["orthanc"]["healthcheck"]["test"]
    (tmp_path / "probe").write_text(probe.replace("$$", "$"))
    (tmp_path / "ask").write_text(
        "ip link set lo up\n"
        f'{program} config > log 2>&1 & trap "kill $!; wait" EXIT\n'
        "bash probe 2> /dev/null && exit 9\n"  # nobody answers yet
        "for turn in $(seq 100); do bash probe 2> /dev/null && break; sleep 0.1; done\n"
        "bash probe || exit 8\n"
        f"{sys.executable} ask.py\n"
    )
    (tmp_path / "ask.py").write_text(
        "import base64, http.client\n"
        "for user in ('', 'polypskd:let-me-in', 'polypskd:wrong', 'orthanc:orthanc'):\n"
        "    head = {'Authorization': 'Basic ' + base64.b64encode(user.encode()).decode()}\n"
        "    for path in ('/dicom-web/studies', '/system'):\n"
        "        asked = http.client.HTTPConnection('127.0.0.1', 8042, timeout=10)\n"
        "        asked.request('GET', path, headers=head if user else {})\n"
        "        print(asked.getresponse().status, end=' ')\n"
    )
    done = subprocess.run(
        ["unshare", "-rnp", "--fork", "--kill-child", "bash", "ask"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()[-2000:]
    assert done.stdout.split() == ["401", "401", "200", "200", "401", "401", "401", "401"]
    log = (tmp_path / "log").read_text()
    assert "Insecure" not in log
    assert "The DICOM server is disabled" in log
