"""`python -m genre.cli`: the command `genre`."""

from genre.cli import main

main()
