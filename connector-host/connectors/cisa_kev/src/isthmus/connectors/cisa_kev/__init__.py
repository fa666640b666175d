"""The Known Exploited Vulnerabilities catalogue of CISA."""
