"""Every number the project holds itself to, beside a peer where one exists."""
