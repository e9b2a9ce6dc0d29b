"""Draw runs, sweeps and data sets. No other package imports Matplotlib.

```
run                   accuracy matrices, and a whole run in one picture
parallel_coordinates  every trial of a sweep         (parallel_axes: computes the axes)
importances           what the objective of a sweep depends on
pareto_front          the front of a sweep with several objectives
best_curves           accuracy after each task of the best trials
sample_sheet          some images of every class
suspicious_labels     training images whose labels teacher and student doubt
charts                line charts of a page          (timeline: over dates)
saving, svg           a figure as a file, or as part of a page
chart_lines           what a line chart shows
fonts, heat_map, matrix_colours, palette, layout, texts, trials        parts that figures share
```

Figures are created without pyplot, so there is no global state, any thread may draw, and no display
is needed. Matplotlib is slow to import, so callers import these modules only when they draw.
"""
