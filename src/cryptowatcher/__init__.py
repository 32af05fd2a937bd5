"""cryptowatcher: watches cryptocurrency prices without ever stopping."""
