{{ config(materialized='incremental', incremental_strategy='by_contribution') }}
{{ whole_when_moves('first_day', 'last_month') }}

{{ measure_persons(ref, contributors()) }}
