"""Questions about specs: a frame goes in, a small sorted Polars frame comes out; one question a module."""
