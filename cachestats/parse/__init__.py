"""Turn the bytes of pages and indices into Arrow tables and findings; nothing here touches disk or network."""
