"""`python -m kinemark` is `kinemark`."""

from kinemark.cli import main

main()
