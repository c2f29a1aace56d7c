"""The page a night ends with: `html.render` turns report.json into one self-contained report.html."""
