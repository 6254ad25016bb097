{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{{ imaging_soon_after('UNR-11', 'CS_SINUS', 'CS_SINUS_EXCLUDED', is_first_only=true) }}
