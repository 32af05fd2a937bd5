"""Shipped for tests and demos: virtual time, fakes, contract suites, a fake CoinGecko."""
