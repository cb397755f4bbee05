"""The classifiers: networks, scikit-learn families, one way to train, save and load them."""
