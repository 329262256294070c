"""What a network holds and costs (`summary`), and pages made of such tables."""
