"""The data package for BI tools: the tables, their descriptions, known issues, and views."""
