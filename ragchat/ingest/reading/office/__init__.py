"""Word, Excel, PowerPoint, OpenDocument and RTF."""
