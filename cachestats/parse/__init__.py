"""From the bytes of pages to Arrow tables and rejections; nothing here touches disk or network."""
