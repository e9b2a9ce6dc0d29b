"""Parts that methods share: extractors, their features, and closed forms on them."""
