"""`python -m dashboard` is `muscate`."""

from dashboard.cli import main

main()
