"""Write images by their digests, with tags beside, into an overlay: what `make images` calls after
`docker buildx build --push --metadata-file` has said which digests the registry has.

    python k8s/write_images.py k8s/overlays/production out/images/*.json

`images.yaml` of the overlay is written anew; in its `cluster.yaml` the line `image:` changes.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

NAMES = ("continual-orchestrator", "continual-orchestrator-mlflow")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(r"(?P<place>.+/(?P<name>[a-z-]+)):(?P<tag>[\w][\w.-]{0,127})")
_OF_JOBS = re.compile(r"^image: \S+", re.MULTILINE)
_HEAD = "# Written by `make images`: a tag can be moved to another image, a digest cannot.\n"
_TRANSFORMER = """\
apiVersion: builtin
kind: ImageTagTransformer
metadata: {{name: {name}}}
imageTag:
  name: {name}
  newName: {place}
  newTag: {tag}
  digest: {digest}
"""


class MetadataError(ValueError):
    """Metadata of a build that do not say what was pushed, or where."""


@dataclass(frozen=True)
class Image:
    """An image in a registry.

    Attributes:
        name: What the base calls it.
        place: Registry and name.
        tag: Its tag.
        digest: Of what the registry has under that tag.
    """

    name: str
    place: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """Return it as Kubernetes fetches it: by digest, whatever becomes of the tag."""
        return f"{self.place}:{self.tag}@{self.digest}"


def read_metadata(file: Path) -> Image:
    """Read what buildx wrote about a build.

    Raises:
        MetadataError: It is no JSON, has no digest, or is not one of our images with a registry
            and a tag: it was not pushed.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        digest, given = str(found["containerimage.digest"]), str(found["image.name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MetadataError(f"{file}: not the metadata of a pushed build ({error})") from None
    reference = _REFERENCE.fullmatch(given)
    if reference is None or reference["name"] not in NAMES:
        raise MetadataError(f"{file}: {given!r} is not REGISTRY/NAME:TAG, NAME one of {NAMES}")
    if not _DIGEST.fullmatch(digest):
        raise MetadataError(f"{file}: {digest!r} is no digest")
    return Image(reference["name"], reference["place"], reference["tag"], digest)


def write_images(overlay: Path, images: list[Image]) -> None:
    """Write both images into an overlay.

    Raises:
        MetadataError: An image is missing, or the overlay has no `image:` in its cluster.yaml.
    """
    of_name = {image.name: image for image in images}
    if missing := sorted(set(NAMES) - set(of_name)):
        raise MetadataError(f"nothing says the digest of {', '.join(missing)}")
    cluster = overlay / "cluster.yaml"
    text, count = _OF_JOBS.subn(
        f"image: {of_name[NAMES[0]].reference}", cluster.read_text(encoding="utf-8")
    )
    if count != 1:
        raise MetadataError(f"{cluster}: has {count} lines `image:`, not one; write one")
    documents = [_TRANSFORMER.format(**vars(of_name[name])) for name in NAMES]
    (overlay / "images.yaml").write_text(_HEAD + "---\n".join(documents), encoding="utf-8")
    cluster.write_text(text, encoding="utf-8")


def main(overlay: str, *files: str) -> None:
    """Write the images that the files describe."""
    try:
        images = [read_metadata(Path(file)) for file in files]
        write_images(Path(overlay), images)
    except (MetadataError, OSError) as error:
        sys.exit(f"error: {error}")
    for image in images:
        print(image.reference)


if __name__ == "__main__":
    main(*sys.argv[1:])
