"""The graph: its vocabulary (`ops`), what a well-formed one is (`verify`), and what it means (`interpret`)."""
