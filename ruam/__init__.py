"""What the other packages share: settings, command line, dbt runner, publish, disclosure control."""

__version__ = "0.1.0"
