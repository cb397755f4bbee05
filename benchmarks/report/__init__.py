"""Effect of leakage: every model under every protocol on one collection, beside the report."""
