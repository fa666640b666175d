"""The Known Exploited Vulnerabilities catalogue of CISA."""

from isthmus.connectors.cisa_kev.connector import CisaKev, Settings, Vulnerability

__all__ = ["CisaKev", "Settings", "Vulnerability"]
