"""Refusals of the Kubernetes API as errors with a next step. Imports no kubernetes: it goes by what
the server answers.
"""

from __future__ import annotations

import json
import re
from typing import Any

from orchestrator.errors import (
    ClusterUnavailableError,
    ConfigError,
    OrchestratorError,
    UserInputError,
)

_RBAC_FILE = "k8s/base/accounts.yaml"
_CANNOT = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')
_KUBERAY = (
    "helm install kuberay-operator kuberay/kuberay-operator --version 1.7.0 --namespace"
    " kuberay-system --create-namespace"
)
_GATE = "--set featureGates[0].name=RayCronJob --set featureGates[0].enabled=true"
_TRY_LATER = (408, 429, 500, 502, 503, 504)


def refusal(status: int, body: str, kind: str, where: str) -> OrchestratorError:
    """The error that an answer of the API server means.

    Args:
        status: Of the HTTP answer.
        body: Of the answer: a Status object in JSON, or plain text.
        kind: Of the object that was asked for.
        where: Namespace and name, for the message.
    """
    answer = _status(body)
    message = answer.get("message") or body.strip() or f"HTTP {status}"
    match status:
        case 401:
            return UserInputError(
                "the cluster does not know you", where, "log in again: `kubectl get pods` must work"
            )
        case 403 if "exceeded quota" in message:
            return ClusterUnavailableError(
                message, where, "wait until other jobs have ended, or ask for a larger quota"
            )
        case 403:
            return UserInputError(
                _missing_right(message),
                where,
                f"ask for the role orchestrator-researcher of {_RBAC_FILE}",
            )
        case 404 if not answer:
            return UserInputError(
                f"the cluster knows no {kind}: KubeRay is missing there",
                where,
                f"install it: {_install(kind)}",
            )
        case 404 if answer.get("details", {}).get("kind") == "namespaces":
            return UserInputError(
                message,
                where,
                "create it with `kubectl apply -k k8s/overlays/local`, or give another --namespace",
            )
        case 404:
            return UserInputError(message, where, "`orchestrator status` lists what there is")
        case 409:
            return UserInputError(
                message, where, "undo that change, or `orchestrator cancel` it and submit again"
            )
        case 400 if "unknown field" in message:
            return UserInputError(
                f"the KubeRay of the cluster is too old ({message})",
                where,
                "update it, with its definitions, to 1.7",
            )
        case _ if status in _TRY_LATER:
            return ClusterUnavailableError(
                f"the Kubernetes API has trouble ({message})", where, "try again"
            )
        case _:
            return UserInputError(
                f"the Kubernetes API refuses it ({message})", where, "correct what it names"
            )


def unreachable(error: BaseException, server: str) -> ClusterUnavailableError:
    """Nobody answers at the API server's address."""
    reason = getattr(error, "reason", None) or error
    text = re.sub(r"^\[Errno \d+\] ", "", str(reason).rpartition(": ")[2]) or type(error).__name__
    return ClusterUnavailableError(
        f"the Kubernetes API does not answer ({text})",
        server,
        "check the network, or kubectl's context",
    )


def no_access(reason: str) -> ConfigError:
    """There is no configuration by which to reach a cluster."""
    return ConfigError(
        f"no access to a Kubernetes cluster: {reason}",
        next_step=(
            "make `kubectl get pods` work (KUBECONFIG, or ~/.kube/config), or use --dry-run, which"
            " needs none"
        ),
    )


def is_missing_kind(error: OrchestratorError) -> bool:
    """Whether the cluster does not know the kind at all, or keeps it from this user: then it has
    none for him.
    """
    return isinstance(error, UserInputError) and (
        "KubeRay is missing" in error.what or "may not" in error.what
    )


def _status(body: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _missing_right(message: str) -> str:
    found = _CANNOT.search(message)
    return (
        message if found is None else f"{found['user']} may not {found['verb']} {found['resource']}"
    )


def _install(kind: str) -> str:
    return f"{_KUBERAY} {_GATE}" if kind == "RayCronJob" else _KUBERAY
