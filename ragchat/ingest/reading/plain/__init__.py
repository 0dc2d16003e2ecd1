"""Formats that are text already: data, notebooks, subtitles, org, LaTeX."""
