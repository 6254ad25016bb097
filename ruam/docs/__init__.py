"""The documentation that opens offline: dbt's own pages, and the catalogue of measures, tables and fields."""
