"""Survey a data set image by image: counts, sizes, modes, and irregularities."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.config.image_source import Half
from orchestrator.data.decoding import DecodedImage, Shape, content_digest, decode
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import HALVES, ImageSource, Label, Sample, natural_key
from orchestrator.errors import DataError

_NUM_EXAMPLES = 3
_LEAST_SIDE = 4  # in pixels; images with a smaller side are reported
_MOST_STRETCHED = 20
_ACROSS_HALVES, _ACROSS_CLASSES = "in training and in test", "under several classes"


class ImageFacts(NamedTuple):
    """Facts about a usable image.

    Attributes:
        half: "train" for a training image, "test" for a test image.
        where: Name of the image in messages.
        name: File name of the image; empty if it has none.
        label: Label in the type that the source uses, integer or text.
        digest: SHA-256 of the stored content.
        mode: Pillow's name of the image's mode.
        width: Width in pixels.
        height: Height in pixels.
    """

    half: Half
    where: str
    name: str
    label: Label
    digest: bytes
    mode: str
    width: int
    height: int


class BadImage(NamedTuple):
    """Unusable image, with the reason why it is unusable."""

    half: Half
    where: str
    reason: str


class Examined(NamedTuple):
    """Usable image: the facts about the image, the decoded image and the stored content."""

    facts: ImageFacts
    decoded: DecodedImage
    content: object


def examine(
    sample: Sample, half: Half, shape: Shape, limits: ImageLimits | None = None
) -> Examined | BadImage:
    """Read and decode an image. Return an unusable image as `BadImage` instead of raising an
    exception.
    """
    try:
        label, content = sample.load()
        decoded = decode(content, shape, sample.where, limits)
    except OSError as error:
        return BadImage(half, sample.where, f"cannot be read ({error.strerror or error})")
    except DataError as error:
        return BadImage(half, sample.where, error.what)
    facts = ImageFacts(
        half, sample.where, sample.name, label, content_digest(content), decoded.mode, *decoded.size
    )
    return Examined(facts, decoded, content)


@dataclass
class Survey:
    """Survey of a data set that accumulates facts image by image, without keeping images.

    Attributes:
        empty_classes: Class folders without images.
        stray: Images next to the class folders.
        num_odd_sizes: Number of usable images that are tiny or very elongated.
        odd_sizes: The first tiny or elongated images, with their sizes.
        counts: Number of usable images, by half and class.
        sizes: Number of usable images, by (width, height).
        modes: Number of usable images, by mode.
        bad: Unusable images.
    """

    empty_classes: Sequence[str] = ()
    stray: Sequence[str] = ()
    num_odd_sizes: int = 0
    odd_sizes: list[str] = field(default_factory=list)
    counts: dict[Half, Counter[str]] = field(
        default_factory=lambda: {half: Counter() for half in HALVES}
    )
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    bad: list[BadImage] = field(default_factory=list)
    _labels_are_integers: bool = True
    _by_digest: dict[bytes, list[tuple[Half, str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, image: ImageFacts | BadImage) -> None:
        """Add one image to the survey."""
        if isinstance(image, BadImage):
            self.bad.append(image)
            return
        label = str(image.label)
        self.counts[image.half][label] += 1
        self.sizes[image.width, image.height] += 1
        self.modes[image.mode] += 1
        self._labels_are_integers &= isinstance(image.label, int)
        self._by_digest[image.digest].append((image.half, label, image.where))
        short, long = sorted((image.width, image.height))
        if short < _LEAST_SIDE or long > _MOST_STRETCHED * short:
            self.num_odd_sizes += 1
            if len(self.odd_sizes) < _NUM_EXAMPLES:
                self.odd_sizes.append(f"{image.where} ({image.width}x{image.height})")

    @property
    def num_usable(self) -> int:
        """Return the number of usable images."""
        return sum(counts.total() for counts in self.counts.values())

    @property
    def labels_are_integers(self) -> bool:
        """Return whether all labels are integers."""
        return self._labels_are_integers

    @property
    def classes(self) -> list[str]:
        """Return all labels in order: numbers by value, then text."""
        return sorted({*self.counts["train"], *self.counts["test"]}, key=natural_key)

    def findings(self) -> list[str]:
        """Return one sentence per finding that a person should check, the most serious first."""
        return [
            *self._about_classes(),
            *self._about_bad(),
            *self._about_duplicates(),
            *self._about_sizes(),
            *self._about_strays(),
        ]

    def _about_classes(self) -> Iterator[str]:
        train, test = (self.counts[half] for half in HALVES)
        for folder in self.empty_classes:
            yield f"class folder without images: {folder}"
        for label in self.classes:
            if label not in train:
                yield f"class {label!r} is in test but not in training"
            if label not in test:
                yield f"class {label!r} is in training but not in test"

    def _about_bad(self) -> Iterator[str]:
        if self.bad:
            first = "; ".join(f"{image.where} {image.reason}" for image in self.bad[:_NUM_EXAMPLES])
            yield (
                f"{_counted(len(self.bad), 'image')} that cannot be used:"
                f" {first}{_more(len(self.bad))}"
            )

    def _about_duplicates(self) -> Iterator[str]:
        equal = [places for places in self._by_digest.values() if len(places) > 1]
        kinds = {
            _ACROSS_HALVES: [
                places for places in equal if len({half for half, _, _ in places}) > 1
            ],
            _ACROSS_CLASSES: [
                places for places in equal if len({label for _, label, _ in places}) > 1
            ],
            "twice or more in one class": [
                places for places in equal if len({place[:2] for place in places}) == 1
            ],
        }
        for kind, found in kinds.items():
            if found:
                examples = "; ".join(
                    " = ".join(_pair(places, kind)) for places in found[:_NUM_EXAMPLES]
                )
                yield (
                    f"{_counted(len(found), 'image')} with the same content {kind}:"
                    f" {examples}{_more(len(found))}"
                )

    def _about_sizes(self) -> Iterator[str]:
        if self.num_odd_sizes:
            yield (
                f"{_counted(self.num_odd_sizes, 'image')} of an unusual size (a side under"
                f" {_LEAST_SIDE} pixels, or {_MOST_STRETCHED} times as long as the other):"
                f" {'; '.join(self.odd_sizes)}{_more(self.num_odd_sizes)}"
            )

    def _about_strays(self) -> Iterator[str]:
        if self.stray:
            examples = "; ".join(self.stray[:_NUM_EXAMPLES])
            yield (
                f"{_counted(len(self.stray), 'image')} next to the class folders, in no class:"
                f" {examples}{_more(len(self.stray))}"
            )


def _pair(places: Sequence[tuple[Half, str, str]], kind: str) -> tuple[str, str]:
    """Return the first image and another image with equal content. `kind` determines which other
    image: one from the other half (training or test), one from another class, or any.
    """
    part = {_ACROSS_HALVES: 0, _ACROSS_CLASSES: 1}.get(kind)
    first = places[0]
    second = next(other for other in places[1:] if part is None or other[part] != first[part])
    return first[2], second[2]


def new_survey(source: ImageSource) -> Survey:
    """Return a survey with the findings that need no samples: empty classes, and images next to the
    class folders.
    """
    # only folder sources have this method: the protocol, which other packages implement, does not
    # require it
    stray: Callable[[Half], Sequence[str]] = getattr(source, "stray_images", lambda _half: ())
    return Survey(
        [folder for half in HALVES for folder in source.empty_classes(half)],
        [image for half in HALVES for image in stray(half)],
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _more(number: int) -> str:
    return "; …" if number > _NUM_EXAMPLES else ""
