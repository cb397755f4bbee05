"""The tables and files that the steps share."""
