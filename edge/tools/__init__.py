"""What a person runs beside the service: aim, doctor, demo, bench."""
