"""`python -m ruam.cli`."""

from ruam.cli import main

main()
