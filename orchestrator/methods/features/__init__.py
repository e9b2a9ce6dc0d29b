"""Parts that several methods share: extractors, their features, and classifiers computed from the
features in closed form.
"""
