"""All SQL of the pages, over the published serving file alone."""
