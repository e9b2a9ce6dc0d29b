"""Output about predictions stays short, however many classes and skipped images there are."""

from orchestrator.pipelines.prediction.predict import Prediction, Predictions, Skipped
from orchestrator.terminal.prediction import sheet_title, skipped_lines, summary_line


def found(labels: str, num_skipped: int = 0) -> Predictions:
    return Predictions(
        "3f2a9c1e",
        "student",
        sorted({*labels}),
        [Prediction("a.png", label, 0.5) for label in labels],
        [Skipped(f"{number}.png", "damaged") for number in range(num_skipped)],
    )


def test_the_most_frequent_class_comes_first() -> None:
    assert summary_line(found("abb")) == "3 images: 2 b, 1 a"
    assert summary_line(found("a", 2)) == "1 image: 1 a; 2 skipped"
    assert sheet_title(found("abb")) == "3f2a9c1e: 3 images"


def test_with_many_classes_the_rest_is_counted() -> None:
    said = summary_line(found("aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuvw"))
    assert said.startswith("43 images: 2 a, 2 b, ")
    assert said.endswith(", 2 t, 3 of 3 other classes")


def test_with_many_skipped_images_the_rest_is_counted() -> None:
    assert [*skipped_lines(found("a", 2))] == ["skipped 0.png: damaged", "skipped 1.png: damaged"]
    many = [*skipped_lines(found("a", 23))]
    assert (len(many), many[-1]) == (21, "skipped 3 more images")
