from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.figures.parallel_axes import ParallelAxis, parameter_axes, value_axis


def axis_of(values: list[Any]) -> ParallelAxis:
    return value_axis("name", dict(enumerate(values)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([16, 64, 32], [(0, "16"), (1 / 3, "32"), (1, "64")]),
        ([0.01, 1.0], [(0, "0.01"), (1, "1")]),
        ([1e-6, 1e-5], [(0, "1e-6"), (1, "1e-5")]),
        ([True, False], [(0.25, "false"), (0.75, "true")]),
        (["b", "a", "b"], [(0.25, "a"), (0.75, "b")]),
        ([[["x"]], {"y": 1}], [(0.25, '[["x"]]'), (0.75, '{"y": 1}')]),
        ([7, 7], [(0.5, "7")]),
        ([0.25, None], [(0.5, "0.25")]),
        ([None], []),
    ],
    ids=str,
)
def test_a_few_values_each_have_a_tick(
    values: list[Any], expected: list[tuple[float, str]]
) -> None:
    ticks = axis_of(values).ticks
    assert [text for _, text in ticks] == [text for _, text in expected]
    np.testing.assert_allclose(
        [height for height, _ in ticks], [height for height, _ in expected], atol=1e-12
    )


def test_a_span_of_more_than_one_and_a_half_decades_is_logarithmic() -> None:
    # 31.6 is 1.5 decades. The middle of 1 … 31 is 16; that of 1 … 100 is 10.
    assert axis_of([1.0, 16.0, 31.0]).heights[1] == pytest.approx(0.5)
    assert axis_of([1.0, 10.0, 100.0]).heights[1] == pytest.approx(0.5)
    assert axis_of([0.0, 50.0, 100.0]).heights[1] == pytest.approx(0.5)


def test_many_numbers_have_round_ticks_at_their_positions() -> None:
    linear = axis_of(np.linspace(0.13, 0.88, 40).tolist())
    assert [text for _, text in linear.ticks] == ["0.2", "0.4", "0.6", "0.8"]
    np.testing.assert_allclose(
        [height for height, _ in linear.ticks],
        [(tick - 0.13) / 0.75 for tick in (0.2, 0.4, 0.6, 0.8)],
    )
    logarithmic = axis_of(np.geomspace(1e-4, 1.0, 40).tolist())
    assert [text for _, text in logarithmic.ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    np.testing.assert_allclose(
        [height for height, _ in logarithmic.ticks], [0, 0.25, 0.5, 0.75, 1], atol=1e-12
    )


@given(
    st.lists(
        st.floats(-1e6, 1e6) | st.floats(1e-9, 1e9) | st.integers(0, 1000), min_size=1, max_size=30
    )
)
def test_each_tick_is_at_the_height_of_a_trial_with_that_value(values: list[float]) -> None:
    axis = axis_of(values)
    assert axis.ticks
    assert all(
        -1e-6 <= height <= 1 + 1e-6
        for height in [*axis.heights.values(), *(height for height, _ in axis.ticks)]
    )
    assert len({text for _, text in axis.ticks}) == len(axis.ticks) <= 10
    by_height = sorted(axis.ticks)
    assert [float(text) for _, text in by_height] == sorted(float(text) for _, text in axis.ticks)


def test_a_short_list_has_an_axis_per_element_and_a_table_one_for_its_mean() -> None:
    axes = parameter_axes(
        [
            {"a.limits": [1, 2], "a.ratios": [[1.0, 0.5], [0.3, 0.2]]},
            {"a.limits": [3, 4], "a.ratios": [[1.0, 0.9], [0.9, 0.8]]},
        ]
    )
    assert [(axis.name, [axis.values[0], axis.values[1]]) for axis in axes] == [
        ("limits[0]", [1, 3]),
        ("limits[1]", [2, 4]),
        ("ratios (mean)", [pytest.approx(0.5), pytest.approx(0.9)]),
    ]


def test_lists_become_means_if_their_elements_would_crowd_the_picture() -> None:
    wide = [{f"limits_{i}": [n, 2 * n, 3 * n] for i in range(5)} for n in range(3)]
    assert [axis.name for axis in parameter_axes(wide)] == [f"limits_{i} (mean)" for i in range(5)]
    assert parameter_axes(wide)[0].values == {0: 0, 1: 2, 2: 4}
