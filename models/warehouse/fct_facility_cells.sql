{{ config(materialized='incremental', incremental_strategy='by_contribution') }}

{{ facility_cells(ref, contributors()) }}
