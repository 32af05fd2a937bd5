"""Where rules, alerts, deliveries, candles and cursors are kept."""
