"""The manifests in deploy/, rendered and held against Kubernetes' own schemas and our settings; and the Dockerfile."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from midcourse.server.config import load
from midcourse.server.vllm_guard import check_settings
from midcourse.server.vllm_version import check_version

ROOT = Path(__file__).resolve().parents[1]
OVERLAYS = ["base", "overlays/tensor-parallel", "overlays/data-parallel"]
VALIDATE = ROOT / ".venv-peers" / "bin" / "kubernetes-validate"
KUBERNETES = "1.34"  # that of clusters which are a year behind
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here, which renders deploy/")


@cache
def rendered(overlay: str) -> str:
    done = subprocess.run(
        ("kubectl", "kustomize", str(ROOT / "deploy" / overlay)), check=True, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    return done.stdout


def resource(overlay: str, kind: str) -> Any:
    (found,) = [each for each in yaml.safe_load_all(rendered(overlay)) if each["kind"] == kind]
    return found


def pod(overlay: str) -> Any:
    return resource(overlay, "Deployment")["spec"]["template"]["spec"]


@needs_kubectl
@pytest.mark.skipif(not VALIDATE.exists(), reason="make test builds .venv-peers, which has Kubernetes' schemas")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_rendered_is_what_kubernetes_accepts(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(rendered(overlay))
    done = subprocess.run(
        (VALIDATE, "--strict", "--kubernetes-version", KUBERNETES, file), capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and said.count(" passed for resource ") == 4, said


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_policy_of_the_config_map_is_one_that_the_server_starts_with(overlay: str, tmp_path: Path) -> None:
    (container,) = pod(overlay)["containers"]
    (name,) = resource(overlay, "ConfigMap")["data"]
    file = tmp_path / name
    file.write_text(resource(overlay, "ConfigMap")["data"][name])
    env = {each["name"]: each.get("value", "postgresql://host/name") for each in container["env"]}
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "settings"]
    assert env.pop("MIDCOURSE_CONFIG") == f"{mount['mountPath']}/{name}" and "subPath" not in mount
    settings = load(file, {}, {name: text for name, text in env.items() if name.startswith("MIDCOURSE_")})
    check_settings(settings)
    assert settings.policy.mode == "shadow" and len(settings.admin_keys) == 1
    assert {flag[2:-1] for flag in container["args"] if flag.startswith("$(")} <= env.keys()
    assert settings.store.startswith("sqlite:" if overlay == "base" else "postgresql:")


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_is_nobody_special_and_has_the_gpus_that_its_flags_ask_for(overlay: str) -> None:
    (container,) = pod(overlay)["containers"]
    uid = pod(overlay)["securityContext"]["runAsUser"]
    assert pod(overlay)["securityContext"]["runAsNonRoot"] and f"--uid {uid} " in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    asked = 1
    for flag in container["args"]:
        if match := re.fullmatch(r"--(?:tensor|pipeline|data)-parallel-size=(\d+)", flag):
            asked *= int(match[1])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(asked)
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")} == {
        "/health"
    }


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS[1:])
def test_a_service_monitor_finds_the_service_and_its_port(overlay: str) -> None:
    service, monitor = resource(overlay, "Service"), resource(overlay, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_image_of_vllm_is_one_that_we_know() -> None:
    (version,) = re.findall(
        r"^ARG VLLM_IMAGE=vllm/vllm-openai:v(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    check_version(version)


def test_the_dockerfile_has_the_targets_that_the_page_names_and_serves_by_default() -> None:
    file, page = ((ROOT / name).read_text() for name in ("Dockerfile", "docs/deploy.md"))
    stages = re.findall(r"^FROM \S+(?: AS (\w+))?$", file, re.MULTILINE)
    assert set(re.findall(r"--target (\w+)", page)) == {"vllm", "light"} < set(stages)
    assert stages[-1] == "" and file.rstrip().endswith('ENTRYPOINT ["midcourse", "serve", "--host", "0.0.0.0"]')


def test_an_image_gets_everything_that_the_package_links_to() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    links = [link for link in (ROOT / "src" / "midcourse").iterdir() if link.is_symlink()]
    assert len(links) >= 5
    assert {str(link.resolve().relative_to(ROOT)) for link in links} <= allowed
