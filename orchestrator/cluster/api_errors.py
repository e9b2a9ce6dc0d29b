"""Convert error answers of the Kubernetes API to errors that suggest a next step.

The module reads only status and body of an answer, so it does not need to import `kubernetes`.
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
# messages of the server for `apply` and for `create` if the definition of a kind lacks a field
_UNDECLARED = ("field not declared in schema", "strict decoding error: unknown field")
# message of an admission policy or webhook, inside a message of the API server
_REFUSED_BY = re.compile(
    r"(?P<who>ValidatingAdmissionPolicy '[^']*'|admission webhook \"[^\"]*\")"
    r"(?: with binding '[^']*')? denied (?:the )?request(?:: | )(?P<why>.*)",
    re.DOTALL,
)
_TRY_LATER = (408, 429, 500, 502, 503, 504)


def refusal(status: int, body: str, kind: str, where: str) -> OrchestratorError:
    """Return the error that corresponds to an error answer of the API server.

    Args:
        status: HTTP status of the answer.
        body: Body of the answer: a Status object in JSON, or plain text.
        kind: Kind of the requested object.
        where: Namespace and name of the object, for the error message.
    """
    answer = _status(body)
    message = answer.get("message") or body.strip() or f"HTTP {status}"
    if any(sign in message for sign in _UNDECLARED):
        return _undeclared(message, kind, where)
    if status < 500 and (found := _REFUSED_BY.search(message)):
        return UserInputError(
            f"{found['who']} refuses the object: {found['why']}",
            where,
            "change the named value, or ask the administrator of the cluster",
        )
    match status:
        case 401:
            return LoginRequiredError(
                "the cluster rejects your login",
                where,
                "log in again: `kubectl get pods` must work",
            )
        case 403:
            return _forbidden(message, kind, where)
        case 404:
            return _not_found(answer, message, kind, where)
        case 409:
            return UserInputError(
                message,
                where,
                "undo that change, or remove the object with `orchestrator cancel` and submit"
                " again",
            )
        case _ if status in _TRY_LATER:
            return ClusterUnavailableError(
                f"the Kubernetes API cannot answer now ({message})", where, "try again"
            )
        case _:
            return UserInputError(
                f"the Kubernetes API refuses the request ({message})",
                where,
                "correct the named value",
            )


def _undeclared(message: str, kind: str, where: str) -> UserInputError:
    """Return the error for a field that the cluster's definition of a kind lacks.

    The server rejects such a field with status 500 for `apply`, and with status 400 for `create`.
    """
    if not kind.startswith("Ray"):
        return UserInputError(
            f"the cluster's Kubernetes is too old ({message})", where, "update Kubernetes to 1.31"
        )
    return UserInputError(
        f"the cluster's KubeRay is too old ({message})",
        where,
        'update KubeRay to 1.7, with its definitions (README of k8s/, "Install")',
    )


def _forbidden(message: str, kind: str, where: str) -> OrchestratorError:
    """Return the error for status 403, which the API server uses for several reasons.

    The error suggests asking for a role only if a right is missing.
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
            message, where, "wait until the namespace is recreated, or use another one"
        )
    return UserInputError(
        f"the Kubernetes API refuses the request ({message})",
        where,
        "change the named value, or ask the administrator of the cluster",
    )


def _not_found(answer: dict[str, Any], message: str, kind: str, where: str) -> UserInputError:
    if not answer:
        return UserInputError(
            f"the cluster has no kind {kind}: KubeRay is missing in the cluster",
            where,
            f"install it: {_install(kind)}",
        )
    if answer.get("details", {}).get("kind") == "namespaces":
        return UserInputError(
            message,
            where,
            "create the namespace with `kubectl apply -k k8s/overlays/local`, or give another"
            " --namespace",
        )
    return UserInputError(message, where, "`orchestrator status` lists the existing jobs")


def unreachable(error: BaseException, server: str) -> ClusterUnavailableError:
    """Return the error for an API server that does not answer."""
    reason = getattr(error, "reason", None) or error
    text = re.sub(r"^\[Errno \d+\] ", "", str(reason).rpartition(": ")[2]) or type(error).__name__
    return ClusterUnavailableError(
        f"the Kubernetes API does not answer ({text})",
        server,
        "check the network, or kubectl's context",
    )


def no_access(reason: str) -> ConfigError:
    """Return the error for a missing or invalid kubeconfig or in-cluster configuration."""
    return ConfigError(
        f"no access to a Kubernetes cluster: {reason}",
        next_step=(
            "make `kubectl get pods` work (KUBECONFIG, or ~/.kube/config), or use --dry-run, which"
            " needs none"
        ),
    )


def is_missing_kind(error: OrchestratorError) -> bool:
    """Return whether an error means that the user sees no objects of the requested kind.

    Either the cluster lacks the kind, or the user has no right to see it.
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
