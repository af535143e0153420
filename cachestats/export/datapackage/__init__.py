"""The data package for BI tools: the tables, what describes them, what to mind, and views."""
