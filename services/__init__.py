"""`make up`, `make status`, `make down`: servers and schedules on this machine."""
