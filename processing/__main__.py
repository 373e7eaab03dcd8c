"""`python -m processing` is `muscate`."""

from .cli import main

main()
