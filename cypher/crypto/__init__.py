"""Keys and what is done with them. Nothing above this package derives, wraps or seals anything by itself."""
