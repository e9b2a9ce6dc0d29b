"""Evaluate the admission policies of k8s/base with Google's CEL, as the API server does.

Of the API server's own extensions to CEL, only the function `authorizer` is needed; tests tell it
whether the user may read Secrets.
"""

from typing import Any

import pytest
import yaml

from tests.k8s.rendering import K8S, Object

cel = pytest.importorskip(
    "cel_expr_python.cel", reason="cel-expr-python is not installed: `make setup` does that"
)

POLICIES = {
    each["metadata"]["name"]: each["spec"]
    for each in yaml.safe_load_all((K8S / "base" / "admission.yaml").read_text(encoding="utf-8"))
    if each["kind"] == "ValidatingAdmissionPolicy"
}
_MAY_NOT_READ_SECRETS = (
    "!authorizer.group('').resource('secrets').namespace(request.namespace).check('get').allowed()"
)
_ENVIRONMENT = cel.NewEnv(
    variables=dict.fromkeys(("object", "oldObject", "request", "variables"), cel.Type.DYN)
)


def denials(
    policy: str,
    new: Object | None,
    old: Object | None = None,
    *,
    may_read_secrets: bool = False,
    user: Object | None = None,
) -> list[str]:
    """Return the messages with which a policy denies creating, changing or deleting an object.

    Args:
        policy: Name of the policy.
        new: The object; None if it is deleted.
        old: The object before; None if it is new.
        may_read_secrets: Whether RBAC lets the user read the Secrets of the namespace.
        user: `username` and `groups`; None for a researcher.
    """
    spec, known = POLICIES[policy], _request(new, old)
    known["request"]["userInfo"] = user or {"username": "ann", "groups": ["researchers"]}
    for condition in spec.get("matchConditions", []):
        expression = condition["expression"]
        matches = (
            not may_read_secrets
            if expression == _MAY_NOT_READ_SECRETS
            else _evaluate(expression, known)
        )
        if not matches:
            return []
    for variable in spec.get("variables", []):
        known["variables"][variable["name"]] = _evaluate(variable["expression"], known)
    return [
        rule["message"] for rule in spec["validations"] if not _evaluate(rule["expression"], known)
    ]


def _request(new: Object | None, old: Object | None) -> dict[str, Any]:
    kind = (new or old or {})["kind"]
    group = "ray.io" if kind.startswith("Ray") else "batch" if kind.endswith("Job") else ""
    operation = "DELETE" if new is None else "CREATE" if old is None else "UPDATE"
    request = {
        "operation": operation,
        "namespace": "orchestrator",
        "resource": {"group": group, "resource": f"{kind.lower()}s"},
    }
    return {"object": new, "oldObject": old, "request": request, "variables": {}}


def _evaluate(expression: str, known: dict[str, Any]) -> Any:  # noqa: ANN401 - any CEL value
    result = _ENVIRONMENT.compile(expression).eval(data=known)
    assert result.type().name() != "ERROR", f"{expression}: {result}"
    return result.plain_value()
