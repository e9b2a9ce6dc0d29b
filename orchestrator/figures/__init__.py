"""Draw runs, sweeps and data sets with Matplotlib; no other package imports it.

```
run                   accuracy matrices, and a whole run in one picture
parallel_coordinates  every trial of a sweep         (parallel_axes: the values of its axes)
importances           what the objective of a sweep depends on
pareto_front          the front of a sweep with several objectives
best_curves           accuracy after each task of the best trials
sample_sheet          some images of every class
suspicious_labels     training images whose labels teacher and student doubt
charts                line charts of a page          (timeline: over dates)
saving, svg           a figure as a file, or as part of a page
fonts, heat_map, matrix_colours, palette, layout, texts, trials        what they are made of
```

Figures are made without pyplot: there is no global state, so any thread may draw, and no display is
needed. Matplotlib is slow to import, so callers import these modules only to draw.
"""
