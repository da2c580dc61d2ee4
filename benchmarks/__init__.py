"""How fast it is: everything side by side, against the same server. See docs/performance.md."""
