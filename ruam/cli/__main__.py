"""`python -m ruam.cli`."""

from ruam.cli import main

if __name__ == "__main__":  # Worker processes import this module again.
    main()
