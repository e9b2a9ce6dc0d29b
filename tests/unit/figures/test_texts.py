from orchestrator.figures.texts import short_names


def test_a_name_is_shortened_as_far_as_it_stays_unique() -> None:
    paths = [
        "teacher.training.learning_rate",
        "student.training.learning_rate",
        "teacher.augmentation.learning_rate",
    ]
    others = [
        "student.transfer.kind",
        "teacher.ratios.0.1",
        "seed",
        "data.seed",
        "student.temperature",
    ]
    assert list(short_names([*paths, *others]).values()) == [
        "teacher.training.learning_rate",
        "student.training.learning_rate",
        "augmentation.learning_rate",
        "transfer.kind",
        "ratios.0.1",
        "seed",
        "data.seed",
        "temperature",
    ]
