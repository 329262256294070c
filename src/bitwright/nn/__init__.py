"""Binary layers, and the conversion of ordinary networks."""
