{{ config(materialized='incremental', incremental_strategy='by_contribution') }}
{{ whole_when_moves('last_month') }}

{{ flow_cells(ref, contributors()) }}
