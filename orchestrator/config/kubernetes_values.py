"""Values as Kubernetes writes them: names, quantities, labels, paths and addresses."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.masking import secrets_advice, shown

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


def _without_inline_secret(uri: str) -> str:
    if shown(uri) != uri:
        msg = (
            "holds a secret; put it into a Secret that `secrets` names, as environment variables:"
            f" {secrets_advice(uri)}"
        )
        raise ValueError(msg)
    return uri


Uri = Annotated[str, Field(min_length=1), AfterValidator(_without_inline_secret)]
MountPath = Annotated[str, Field(pattern=r"^/[^:\s]+$")]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
LabelKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]
