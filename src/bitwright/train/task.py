"""The training task for Lightning, which owns the loop: the three verbs, the loss, and what is written down."""

import time
from collections.abc import Callable
from math import isfinite
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bitwright.core.hooks import after_step, penalty, set_progress
from bitwright.nas.lesson import SupernetLesson
from bitwright.nas.supernet import Supernet
from bitwright.nn.bayesian import hold_rest
from bitwright.pretext.heads import head_name, in_head
from bitwright.train.augment import Targets
from bitwright.train.batches import EvaluationBatches, TrainingBatches
from bitwright.train.config import Recipe, write_recipe
from bitwright.train.density import measure_density
from bitwright.train.diagnostics import Diagnostics, LayerRow
from bitwright.train.optim import lr_factor, make_optimizer
from bitwright.train.questions import Question, asked_in_judging, asked_in_training
from bitwright.train.teacher import make_teacher

Row = dict[str, float]


@torch.inference_mode()
def judge(net: nn.Module, batches: EvaluationBatches, question: Question) -> float:
    """What a network's answers are worth, in eval mode, which is the deployed arithmetic.

    Args:
        net: The network; it is left in eval mode.
        batches: Of labelled images, scenes, or a pretext.
        question: What it is asked.
    """
    net.eval()
    question.reset()
    for x, targets in batches:
        question.count(net(x), targets, torch.zeros(()))
    return question.value


class Task(pl.LightningModule):
    """Trains a network by a recipe.

    Every epoch adds a row to `history`: epoch, lr, train_loss, train_accuracy, loss, accuracy, penalty, density, score,
    seconds. The rows are part of each checkpoint, so a resumed run goes on with exactly the rows of its whole epochs.

    `accuracy` is the figure of what is asked: of a detector it is mean average precision, and nothing for the training
    scenes. `score`, by which the best epoch is chosen, is the accuracy on the validation images, less 1 while the
    method's penalty is not 0, or the density still falls: an epoch that is as sparse as it should be comes before all
    that are not.

    `diagnostics` has a row for each binary layer and epoch.

    Args:
        recipe: The recipe, resolved.
        net: The network, binarized.
        report: Called with the history and the layers' rows whenever they have grown.
    """

    def __init__(
        self,
        recipe: Recipe,
        net: nn.Module,
        report: Callable[[list[Row], list[LayerRow]], None] = lambda history, layers: None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.net = net
        self.report = report
        if recipe.train == "head":
            for name, parameter in net.named_parameters():
                parameter.requires_grad_(in_head(net, name))
        self.history: list[Row] = []
        self.diagnostics = Diagnostics(net)
        # A function, not a module: a second registration of the network would double its state-dict keys.
        self._compiled = torch.compile(net.__call__) if recipe.machine.compile else None
        # no modules of ours: their weights are not saved with it
        self._teacher = SupernetLesson() if isinstance(net, Supernet) else make_teacher(recipe.teacher, recipe.data)
        self._training = asked_in_training(recipe, net)
        self._validation = asked_in_judging(recipe)
        self._started = 0.0

    @property
    def _learning(self) -> nn.Module:
        """What the recipe trains; no attribute, which would double the state-dict keys."""
        return self.net if self.recipe.train == "all" else self.net.get_submodule(head_name(self.net))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the recipe; `_move_to` sets its learning rate."""
        return make_optimizer(self.net, self.recipe.optimizer)

    def _move_to(self, epoch: float) -> None:
        # Rate and progress follow from the moment alone, so there is no scheduler state to save and to restore.
        rate = self.recipe.optimizer.lr * lr_factor(self.recipe.schedule, epoch, self.recipe.epochs)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["factor"]
        set_progress(self._learning, epoch / self.recipe.epochs)

    def on_train_epoch_start(self) -> None:
        """Tell optimizer, method and batches which epoch this is."""
        batches = self.trainer.train_dataloader
        assert isinstance(batches, TrainingBatches)
        batches.epoch = self.current_epoch
        # Networks with dropout draw from torch's own generator: it too must depend on the epoch alone.
        torch.manual_seed(self.recipe.seed + 1_000_003 * (self.current_epoch + 1))
        if self._learning is not self.net:  # the frozen body is what it will be when deployed
            set_progress(self.net, 1.0)
            self.net.eval()
            self._learning.train()
        self._move_to(self.current_epoch)
        hold_rest(self.net)
        self._training.reset()
        self._started = time.perf_counter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Watch the gradients of the epoch's last step; a compiled network cannot be watched."""
        if self._compiled is None and batch_idx == self.trainer.num_training_batches - 1:
            self.diagnostics.watch_gradients()

    def training_step(self, batch: tuple[Tensor, Targets], index: int) -> Tensor:
        """The loss of a batch, with the method's penalty."""
        x, targets = batch
        if self.recipe.machine.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.recipe.schedule.per == "step":
            self._move_to(self.current_epoch + index / self.trainer.num_training_batches)
        run = self.net if self._compiled is None else self._compiled
        x, right = self._training.show(self.net, x, targets)

        def label_loss(outputs: Any) -> Tensor:
            assert right is not None  # or it would have no weight
            return self._training.loss(outputs, right)

        if self._teacher is None:
            outputs = run(x)
            loss = label_loss(outputs)
        else:
            outputs, loss = self._teacher.step(self.net, run, x, label_loss)
        self._training.count(outputs, right, loss)
        return loss + penalty(self._learning, loss)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the method correct the weights that the optimizer moved."""
        self.diagnostics.close()
        after_step(self._learning)

    def on_validation_epoch_start(self) -> None:
        """Count from zero."""
        self._validation.reset()
        self.diagnostics.watch_inputs()

    def validation_step(self, batch: tuple[Tensor, Targets], index: int) -> None:
        """Count a batch of the validation images, in eval mode, which is the deployed arithmetic."""
        x, targets = batch
        # Not the compiled network, and no mixed precision: fused or rounded operations could give other bits.
        with torch.autocast(x.device.type, enabled=False):
            outputs = self.net(x)
        self._validation.count(outputs, targets, self._validation.loss(outputs, targets))

    def on_validation_epoch_end(self) -> None:
        """Stop watching."""
        self.diagnostics.close()

    def on_train_epoch_end(self) -> None:
        """Write the epoch's row, and that of each layer."""
        density = measure_density(self.net)
        set_progress(self.net, 1.0)  # what counts is the budget at the end of training
        with torch.no_grad():
            penalized = float(penalty(self._learning))
        row = {
            "epoch": self.current_epoch,
            "lr": max(group["lr"] for group in self.trainer.optimizers[0].param_groups),
            "train_loss": self._training.mean_loss,
            "train_accuracy": self._training.value,
            "loss": self._validation.mean_loss,
            "accuracy": self._validation.value,
            "penalty": penalized,
            "density": density.total,
            "score": self._score(penalized),
            "seconds": time.perf_counter() - self._started,
        }
        self.history.append(row)
        layers = self.diagnostics.end_epoch(self.current_epoch)
        self.report(self.history, self.diagnostics.rows)
        self.log_dict({name: value for name, value in row.items() if name != "epoch"})
        for layer in layers:
            figures = {key: value for key, value in layer.items() if isinstance(value, float) and isfinite(value)}
            self.log_dict({f"{key}/{layer['layer']}": value for key, value in figures.items()})

    def _score(self, penalized: float) -> float:
        ramping = self.current_epoch < self.recipe.pruning.falling * self.recipe.epochs
        return self._validation.value - (penalized > 0 or ramping)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the recipe and the history into every checkpoint."""
        checkpoint["recipe"] = write_recipe(self.recipe)
        checkpoint["history"] = self.history
        checkpoint["diagnostics"] = self.diagnostics.state()
        if state := self._training.state():
            checkpoint["momentum"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the history of the checkpoint."""
        self.history = list(checkpoint["history"])
        self.diagnostics.load(checkpoint["diagnostics"])
        self._training.load(checkpoint.get("momentum", {}))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave the batch where it is: the data set lives on the device already."""
        return batch
