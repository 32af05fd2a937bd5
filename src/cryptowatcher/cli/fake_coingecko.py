"""`cryptowatcher fake-coingecko`: a simulated market behind CoinGecko's paths, for trying things out."""
