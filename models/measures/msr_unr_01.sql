{{ config(materialized='incremental', incremental_strategy='by_person') }}

{{ antibiotic_visits('UNR-01', 'CS_URI') }}
