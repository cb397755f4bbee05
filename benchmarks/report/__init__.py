"""What leakage is worth: every model under every protocol, on one collection, beside the report."""
