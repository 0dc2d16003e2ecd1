"""Databases: connections, migrations and tables. The only place that imports sqlite3 and sqlite_utils."""
