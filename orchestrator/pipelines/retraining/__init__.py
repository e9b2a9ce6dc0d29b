"""Retrain on a schedule, promote or reject the trained models, and roll back.

A *tick* is one scheduled execution of a retraining. A tick compares the source of images with the
images that the *champion* (the models in use) has learned. If there is enough to learn, such as new
classes, the tick trains a *candidate*, which continues from the champion or from a held candidate.
The *gate* compares the candidate with the champion on held-out images, and decides to promote, hold
or reject the candidate, or to ask a person. A *held* candidate waits for more held-out images, or
for a person's decision. A *version* is a registered teacher or student; the *lineage* of a version
lists the files and classes that it has learned.
"""
