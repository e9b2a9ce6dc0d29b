"""Evaluate network policies with an independent implementation of Kubernetes' rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.k8s.rendering import Object, of_kind, selects

NAMESPACE = "orchestrator"


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod with its labels and namespace, or an external address."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str | None = None

    @property
    def namespace_labels(self) -> dict[str, str]:
        """Return the namespace's labels; Kubernetes adds its name as one."""
        return {"kubernetes.io/metadata.name": self.namespace}


def lets_through(
    objects: Iterable[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Return whether the source's egress and the target's ingress rules allow a connection."""
    policies = of_kind(objects, "NetworkPolicy")
    return _may(policies, "Egress", source, target, port, protocol) and _may(
        policies, "Ingress", target, source, port, protocol
    )


def _may(
    policies: list[Object], direction: str, own: Peer, other: Peer, port: int, protocol: str
) -> bool:
    if own.address is not None or own.namespace != NAMESPACE:
        return True  # these policies do not apply to it
    applying = [
        policy
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    ]
    if not applying:
        return True
    peers_key = {"Egress": "to", "Ingress": "from"}[direction]
    rules = [rule for policy in applying for rule in policy["spec"].get(direction.lower(), [])]
    return any(
        _is_port(rule, port, protocol) and _is_peer(rule.get(peers_key), other) for rule in rules
    )


def _is_port(rule: Object, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("protocol", "TCP") == protocol and each.get("port", port) == port for each in ports
    )


def _is_peer(allowed: list[Object] | None, other: Peer) -> bool:
    return not allowed or any(_is_one(each, other) for each in allowed)


def _is_one(allowed: Object, other: Peer) -> bool:
    if "ipBlock" in allowed:
        block = allowed["ipBlock"]
        return (
            other.address is not None
            and ip_address(other.address) in ip_network(block["cidr"])
            and not any(
                ip_address(other.address) in ip_network(each) for each in block.get("except", [])
            )
        )
    if other.address is not None:
        return False
    if "namespaceSelector" not in allowed and other.namespace != NAMESPACE:
        return False
    return selects(allowed.get("namespaceSelector", {}), other.namespace_labels) and selects(
        allowed.get("podSelector", {}), other.labels
    )
