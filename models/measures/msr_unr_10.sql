{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{{ imaging_soon_after('UNR-10', 'CS_SYNCOPE', 'CS_SYNCOPE_EXCLUDED') }}
