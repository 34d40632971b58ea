"""End-to-end scripts; nothing imports them."""
