"""Accounts over HTTP: who asks, what they may, and how one becomes somebody. See docs/accounts.md."""
