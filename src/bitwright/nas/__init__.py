"""Architecture search for binary networks: spaces, their supernet, and what is best for each cost."""
