"""The training loop of all networks: batches, optimiser, early stopping, curves.

A network takes a batch of rows, float32 or uint8, and returns logits [shape=(batch, classes)]. All
randomness comes from the seed, and torch uses deterministic algorithms: on one machine, with the
same number of threads, two trainings give the same weights to the byte.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
import torch.utils.deterministic
from torch.nn.functional import cross_entropy, one_hot

from genre.core.errors import ParameterError
from genre.models.base import Epoch, Examples, History, Progress, silent

Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
"""Rows and targets [shape=(batch, classes)] in, augmented rows and targets out."""


class AdamW(torch.optim.AdamW):
    """AdamW without torch's compiler, whose import takes longer than a short training.

    torch decorates these methods to exclude them from the compiler, and imports it for that.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class LoopSettings(Protocol):
    """The settings of the loop; each network's section of `params.yaml` has them."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int


@contextmanager
def _memory_not_filled() -> Iterator[None]:
    """Do not fill uninitialised memory, which deterministic mode does: a third of the time."""
    setting = "fill_uninitialized_memory"  # missing from torch's type hints
    before = getattr(torch.utils.deterministic, setting)
    setattr(torch.utils.deterministic, setting, False)
    try:
        yield
    finally:
        setattr(torch.utils.deterministic, setting, before)


@contextmanager
def deterministic(seed: int) -> Iterator[torch.Generator]:
    """Seed torch and use deterministic algorithms; the former state is restored at the end."""
    mode = torch.get_deterministic_debug_mode()
    with torch.random.fork_rng(devices=[]), _memory_not_filled():
        torch.manual_seed(seed)  # for weights and dropout, which take no generator
        torch.set_deterministic_debug_mode(
            "error"
        )  # use_deterministic_algorithms is slow to import
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_deterministic_debug_mode(mode)


def train_network(
    build: Callable[[], torch.nn.Module],
    train: Examples,
    validation: Examples,
    *,
    settings: LoopSettings,
    seed: int,
    progress: Progress = silent,
    patience: int | None,
    augment: Augment | None = None,
    label_smoothing: float = 0.0,
) -> tuple[torch.nn.Module, History]:
    """Train with AdamW on cross-entropy; return the network and its training curves.

    With a `patience`, training stops after so many epochs without improvement, and the best epoch
    is kept: the one with the highest validation accuracy, among equals the lowest validation loss.
    With `patience=None`, the learning rate rises to `settings.learning_rate` and falls to 0 over
    `settings.max_epochs` (one cycle: Smith and Topin 2018), and the last epoch is kept; validation
    rows are only reported.

    `label_smoothing` (Szegedy et al. 2016) applies to training, not to validation. Training loss
    and accuracy are running means over the epoch, with dropout and augmentation. Raises
    `ParameterError` if the loss is no longer finite.
    """
    if not len(validation) and patience is not None:
        raise ValueError("early stopping needs validation rows")
    with deterministic(seed) as generator:
        network = build()
        optimiser = AdamW(
            network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        batches = math.ceil(len(train) / settings.batch_size)
        steps = settings.max_epochs * batches
        cycle = torch.optim.lr_scheduler.OneCycleLR
        schedule = cycle(optimiser, settings.learning_rate, steps) if patience is None else None
        rows: list[Epoch] = []
        best, best_epoch = copy.deepcopy(network.state_dict()), 0
        highest = (-math.inf, -math.inf)
        data = _tensors(train)
        validation_tensors = _tensors(validation)
        for epoch in range(1, settings.max_epochs + 1):
            before = len(rows)
            loss, accuracy = _one_epoch(
                network, optimiser, schedule, *data, batches, generator, augment, label_smoothing
            )
            if not math.isfinite(loss):
                raise ParameterError(
                    f"training diverged in epoch {epoch}: the loss is {loss}; "
                    f"lower learning_rate ({settings.learning_rate:g})"
                )
            rows.append(Epoch(epoch, "train", loss, accuracy))
            message = f"training loss {loss:.3f}"
            if len(validation):
                loss, accuracy = _evaluate(network, *validation_tensors, settings.batch_size)
                rows.append(Epoch(epoch, "validation", loss, accuracy))
                message = f"validation loss {loss:.3f}, accuracy {accuracy:.1%}"
            if patience is not None:
                if (accuracy, -loss) > highest:
                    best, best_epoch = copy.deepcopy(network.state_dict()), epoch
                    highest = accuracy, -loss
                message += f", best epoch {best_epoch}"
            message = f"epoch {epoch} of at most {settings.max_epochs}, {message}"
            progress(epoch, settings.max_epochs, message, rows[before:])
            if patience is not None and epoch - best_epoch >= patience:
                break
    if patience is None:
        return network.eval(), History(tuple(rows), settings.max_epochs)
    network.load_state_dict(best)
    return network.eval(), History(tuple(rows), best_epoch)


def predict_logits(network: torch.nn.Module, X: torch.Tensor, batch_size: int) -> torch.Tensor:
    """The logits of the rows of `X` [shape=(n, classes)], in batches of `batch_size`."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(rows) for rows in torch.split(X, batch_size)])


def _tensors(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    targets = one_hot(torch.from_numpy(examples.y), len(examples.classes)).to(torch.float32)
    return torch.from_numpy(examples.X), targets


def _one_epoch(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    X: torch.Tensor,
    targets: torch.Tensor,
    batches: int,
    generator: torch.Generator,
    augment: Augment | None,
    label_smoothing: float,
) -> tuple[float, float]:
    """Train on every row once; return the running loss and accuracy."""
    network.train()
    order = torch.randperm(len(X), generator=generator)
    total, hits = 0.0, 0.0
    # Batches of nearly equal size: batch normalisation needs more than a single row.
    for batch in order.tensor_split(batches):
        rows, target = X[batch], targets[batch]
        if augment:
            rows, target = augment(rows, target, generator)
        logits = network(rows)
        loss = cross_entropy(logits, target, label_smoothing=label_smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if schedule:
            schedule.step()
        total += loss.item() * len(batch)
        hits += float(target.gather(1, logits.detach().argmax(1, keepdim=True)).sum())
    return total / len(X), hits / len(X)


def _evaluate(
    network: torch.nn.Module, X: torch.Tensor, targets: torch.Tensor, batch_size: int
) -> tuple[float, float]:
    logits = predict_logits(network, X, batch_size).to(torch.float64)
    loss = cross_entropy(logits, targets.to(torch.float64)).item()
    hits = (logits.argmax(1) == targets.argmax(1)).to(torch.float64)
    return loss, hits.mean().item()
