"""`python -m processing` is `muscate` without the web."""

from processing.cli import main

main()
