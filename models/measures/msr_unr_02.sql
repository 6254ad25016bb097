{{ antibiotic_visits('UNR-02', 'CS_AD') }}
