"""What a binary layer is made of: estimators, binarizers, levels, the verbs of the training loop, methods."""
