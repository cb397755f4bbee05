"""Parameters of models: training, selection, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genre.core.params.section import Count, Positive, Section, Share

TableModel = Literal["mlp", "lda", "logistic", "svm", "boosting", "report_mlp"]
PictureModel = Literal["cnn", "resnet"]
PICTURES: dict[PictureModel, Literal["spectrogram", "log_mel"]] = {  # what each is trained on
    "cnn": "spectrogram",
    "resnet": "log_mel",
}
BASELINE: Literal["report_mlp"] = "report_mlp"


class MlpParams(Section):
    """The report's multilayer perceptron."""

    hidden: Annotated[list[Count], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count
    patience: Count


class LdaParams(Section):
    """Linear discriminant analysis on normalised features."""

    shrinkage: Literal["auto"] | Share


class LogisticParams(Section):
    """Multinomial logistic regression on normalised and whitened features."""

    C: Positive
    whitening: Annotated[float, Field(gt=0, le=1)]


class SvmParams(Section):
    """Support vector machine with an RBF kernel, on normalised and whitened features."""

    C: Positive
    gamma: Literal["auto"] | Positive
    whitening: Annotated[float, Field(gt=0, le=1)]
    folds: Annotated[int, Field(ge=2)]


class BoostingParams(Section):
    """Gradient boosting of small trees."""

    n_estimators: Count
    learning_rate: Positive
    max_depth: Annotated[int, Field(ge=1, le=16)]
    min_samples_leaf: Count
    subsample: Annotated[float, Field(gt=0, le=1)]
    max_features: Annotated[float, Field(gt=0, le=1)]


class CnnParams(Section):
    """The report's SimpleCNN."""

    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count
    patience: Count


class ResnetParams(Section):
    """The small residual network."""

    width: Annotated[int, Field(ge=1, le=256)]
    blocks: Annotated[int, Field(ge=1, le=8)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    crop_frames: Annotated[int, Field(ge=32)]
    mask_frames: Annotated[int, Field(ge=0)]
    mask_bands: Annotated[int, Field(ge=0)]
    mixup: Annotated[float, Field(ge=0)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count


class TrainParams(Section):
    """Which models are trained, and how."""

    models: Annotated[list[TableModel], Field(min_length=1)]
    picture_models: list[PictureModel]
    seed: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    mlp: MlpParams
    lda: LdaParams
    logistic: LogisticParams
    svm: SvmParams
    boosting: BoostingParams
    cnn: CnnParams
    resnet: ResnetParams
    report_mlp: MlpParams

    @model_validator(mode="after")
    def _models_are_different(self) -> TrainParams:
        for key, names in (("models", self.models), ("picture_models", self.picture_models)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} is {names}, expected each name once")
        if self.models == [BASELINE]:
            raise ValueError(f"models is {self.models}, expected another model beside the baseline")
        return self

    @property
    def names(self) -> list[str]:
        """All models that are trained."""
        return [*self.models, *self.picture_models]


class SelectParams(Section):
    """How the classifier is selected among the trained models."""

    vote: bool


class EvaluateParams(Section):
    """Bootstrap intervals, and the folder of new songs."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    new_songs: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]
