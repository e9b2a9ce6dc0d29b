"""Draw runs, sweeps and data sets. No other package imports Matplotlib.

```
run                   accuracy matrices, and an overview of a whole run
parallel_coordinates  parameters and objective of every trial of a sweep
parallel_axes         axes of the parallel coordinates
importances           importance of each parameter of a sweep
pareto_front          Pareto front of a sweep with several objectives
best_curves           accuracy after each task, for the best trials of a sweep
sample_sheet          some images of every class of a data set
suspicious_labels     training images with labels that teacher and student doubt
charts, timeline      line charts of an HTML page, over numbers and over dates
chart_lines           classes that describe a line chart
saving, svg           write a figure to a file, or embed it into an HTML page
fonts, heat_map, matrix_colours, palette, layout, texts, trials        used by several figures
```

Figures are created without pyplot. So there is no global state, any thread may draw, and no display
is needed. Matplotlib is slow to import, so callers import these modules only when they draw.
"""
