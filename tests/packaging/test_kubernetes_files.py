"""The manifests of deploy/kubernetes."""

from __future__ import annotations

from pathlib import Path

import yaml

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy/kubernetes"


def test_no_pod_is_restarted_because_a_store_is_away() -> None:
    deployment, _ = yaml.safe_load_all((MANIFESTS / "deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    # health_check is 503 without Redis; the port is open all the same.
    assert container["startupProbe"]["tcpSocket"] == {"port": "http"}
    assert container["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/health_check", "port": "http"}


def test_secret_is_created_in_a_namespace_that_exists() -> None:
    head = (MANIFESTS / "kustomization.yaml").read_text()

    commands = [line[4:] for line in head.splitlines() if line.startswith("#   kubectl")]
    assert commands[0] == "kubectl apply --filename deploy/kubernetes/namespace.yaml"
    assert " create secret generic scalelite-appliance " in commands[1]
    assert commands[2] == "kubectl apply --kustomize deploy/kubernetes"
