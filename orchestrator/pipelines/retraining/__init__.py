"""Retrain on a schedule, promote or reject the trained models, and roll back.

A *tick* is one scheduled execution of a retraining. A tick compares the source of images with the
images that the *champion* (the models in use) has learned. If there are new images, the tick trains
a *candidate* from the champion. The *gate* compares the candidate with the champion on held-out
images, and decides to promote, hold or reject the candidate. A *held* candidate waits for more
held-out images, or for a person's decision. A *version* is a registered teacher with its student,
and its *lineage* lists the files and classes that the version has learned.
"""
