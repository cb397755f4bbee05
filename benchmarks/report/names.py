"""The models' names on the page."""

NAMES = {
    "mlp": "MLP",
    "cnn": "SimpleCNN",
    "resnet": "ResNet",
    "lda": "LDA",
    "logistic": "logistic regression",
    "svm": "RBF-SVM",
    "boosting": "gradient boosting",
    "vote": "vote",
}
