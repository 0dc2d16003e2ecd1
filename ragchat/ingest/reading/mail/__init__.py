"""Mails of all kinds, calendars and contacts."""
