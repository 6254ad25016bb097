{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{{ imaging_soon_after('UNR-08', 'CS_LBP', 'CS_LBP_EXCLUDED', is_first_only=true, once_a_year=true) }}
