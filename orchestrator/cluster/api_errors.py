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
    LoginRequiredError,
    OrchestratorError,
    RightMissingError,
    UserInputError,
)

_RBAC_FILE = "k8s/base/accounts.yaml"
_CANNOT = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')
_KUBERAY = (
    "helm install kuberay-operator kuberay/kuberay-operator --version 1.7.0 --namespace"
    " kuberay-system --create-namespace"
)
_GATE = "--set featureGates[0].name=RayCronJob --set featureGates[0].enabled=true"
_RAY_CRON_JOB_RIGHT = (
    "add the component k8s/components/raycronjob to your overlay, whose role has this right, or"
    " write schedule.kind=cron_job"
)
# the answers to a field that a definition lacks: to `apply`, and to `create`
_UNDECLARED = ("field not declared in schema", "strict decoding error: unknown field")
# a policy's or a webhook's own words; the API server wraps them
_REFUSED_BY = re.compile(
    r"(?P<who>ValidatingAdmissionPolicy '[^']*'|admission webhook \"[^\"]*\")"
    r"(?: with binding '[^']*')? denied (?:the )?request(?:: | )(?P<why>.*)",
    re.DOTALL,
)
_TRY_LATER = (408, 429, 500, 502, 503, 504)


def refusal(status: int, body: str, kind: str, where: str) -> OrchestratorError:
    """Return the error that an answer of the API server means.

    Args:
        status: Of the HTTP answer.
        body: Of the answer: a Status object in JSON, or plain text.
        kind: Of the object that was asked for.
        where: Namespace and name, for the message.
    """
    answer = _status(body)
    message = answer.get("message") or body.strip() or f"HTTP {status}"
    if any(sign in message for sign in _UNDECLARED):
        return _undeclared(message, kind, where)
    if status < 500 and (found := _REFUSED_BY.search(message)):
        return UserInputError(
            f"{found['who']} refuses it: {found['why']}",
            where,
            "change what it names, or ask who runs the cluster about it",
        )
    match status:
        case 401:
            return LoginRequiredError(
                "the cluster does not know you", where, "log in again: `kubectl get pods` must work"
            )
        case 403:
            return _forbidden(message, kind, where)
        case 404:
            return _not_found(answer, message, kind, where)
        case 409:
            return UserInputError(
                message, where, "undo that change, or `orchestrator cancel` it and submit again"
            )
        case _ if status in _TRY_LATER:
            return ClusterUnavailableError(
                f"the Kubernetes API has trouble ({message})", where, "try again"
            )
        case _:
            return UserInputError(
                f"the Kubernetes API refuses it ({message})", where, "correct what it names"
            )


def _undeclared(message: str, kind: str, where: str) -> UserInputError:
    """Return the error of a field that the cluster's definition of a kind lacks: 500 to an applied
    object, 400 to a created one.
    """
    if not kind.startswith("Ray"):
        return UserInputError(
            f"the Kubernetes of the cluster is too old ({message})", where, "update it to 1.31"
        )
    return UserInputError(
        f"the KubeRay of the cluster is too old ({message})",
        where,
        'update it to 1.7, with its definitions (README of k8s/, "Install")',
    )


def _forbidden(message: str, kind: str, where: str) -> OrchestratorError:
    """Return the error of a 403, which the API server answers for several reasons: only where a
    right is missing can a role help.
    """
    if found := _CANNOT.search(message):
        return RightMissingError(
            f"{found['user']} may not {found['verb']} {found['resource']}",
            where,
            _RAY_CRON_JOB_RIGHT
            if kind == "RayCronJob"
            else f"ask for the role orchestrator-researcher of {_RBAC_FILE}",
        )
    if "exceeded quota" in message:
        return ClusterUnavailableError(
            message, where, "wait until other jobs have ended, or ask for a larger quota"
        )
    if "is being terminated" in message:
        return ClusterUnavailableError(
            message, where, "wait until the namespace is gone and made again, or use another one"
        )
    return UserInputError(
        f"the Kubernetes API refuses it ({message})",
        where,
        "change what it names, or ask who runs the cluster about it",
    )


def _not_found(answer: dict[str, Any], message: str, kind: str, where: str) -> UserInputError:
    if not answer:
        return UserInputError(
            f"the cluster knows no {kind}: KubeRay is missing there",
            where,
            f"install it: {_install(kind)}",
        )
    if answer.get("details", {}).get("kind") == "namespaces":
        return UserInputError(
            message,
            where,
            "create it with `kubectl apply -k k8s/overlays/local`, or give another --namespace",
        )
    return UserInputError(message, where, "`orchestrator status` lists what there is")


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
    """Return whether the cluster does not know the kind at all, or keeps it from this user: then it
    has none for him.
    """
    return isinstance(error, RightMissingError) or (
        isinstance(error, UserInputError) and "KubeRay is missing" in error.what
    )


def _status(body: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _install(kind: str) -> str:
    return f"{_KUBERAY} {_GATE}" if kind == "RayCronJob" else _KUBERAY
