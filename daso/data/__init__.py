"""Images and labels on disk: sources, stores, long-tailed splits, bundles, and the rows of a batch."""
