{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{{ imaging_soon_after('UNR-09', 'CS_HEADACHE', 'CS_HEADACHE_EXCLUDED') }}
