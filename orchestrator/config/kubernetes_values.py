"""Define the types of Kubernetes values: names, quantities, labels, paths and addresses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.masking import secrets_advice, shown

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^\d{1,15}(\.\d{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


def _without_inline_secret(uri: str) -> str:
    if shown(uri) != uri:
        msg = (
            "contains a secret; put it into a Secret that `secrets` names, as environment"
            f" variables: {secrets_advice(uri)}"
        )
        raise ValueError(msg)
    return uri


# Environment variables that users may not set. Most of them make a value run as code, before or
# instead of the program. The others override values of the manifest: HOME (the scratch folder),
# Ray's token, and the address of the Kubernetes API.
_STARTS_CODE = re.compile(
    r"^(LD_\w*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|BASH_\w*|BASHOPTS|SHELLOPTS|ENV|IFS|PS4|PATH"
    r"|PYTHON(PATH|HOME|STARTUP|USERBASE|EXECUTABLE|PLATLIBDIR|BREAKPOINT|WARNINGS|INSPECT"
    r"|PYCACHEPREFIX|CASEOK)|KUBERNETES_\w*|RAY_AUTH_\w*|HOME)$"
)


def _starts_no_code(name: str) -> str:
    if _STARTS_CODE.match(name):
        msg = (
            f"{name} determines which code a pod runs, or overrides a value of the rendered"
            " manifest; build it into the image instead"
        )
        raise ValueError(msg)
    return name


Uri = Annotated[str, Field(min_length=1), AfterValidator(_without_inline_secret)]
MountPath = Annotated[str, Field(pattern=r"^/[^:\s]+$")]
VariableName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256), AfterValidator(_starts_no_code)
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
LabelKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]
