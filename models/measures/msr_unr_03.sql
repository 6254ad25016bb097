{{ antibiotic_visits('UNR-03', 'CS_FTW') }}
