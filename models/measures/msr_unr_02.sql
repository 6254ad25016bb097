{{ config(materialized='incremental', incremental_strategy='by_person') }}

{{ antibiotic_visits('UNR-02', 'CS_AD') }}
