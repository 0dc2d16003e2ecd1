"""PDF: characters with their places, put into lines, columns, headings and pages."""
