"""`make up`, `make status` and `make down`: the servers and the schedule on this machine."""
