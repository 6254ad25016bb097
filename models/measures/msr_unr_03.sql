{{ config(materialized='incremental', incremental_strategy='by_person') }}

{{ antibiotic_visits('UNR-03', 'CS_FTW') }}
