"""The training itself: `transformers.Trainer` with a loss over the answers alone, measured on held-out examples, which can be
paused, stopped and resumed at every step. Runs in the training process; events go to a callback.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ragchat.finetune import wire
from ragchat.finetune.recipe import Recipe
from ragchat.finetune.training import checkpoints
from ragchat.finetune.training.engine import Prepared
from ragchat.types import TokenSample

CHECKPOINT_EVERY_S = 45.0
_IGNORED = -100
_LARGEST_DIFFERENCE = 1e-3
_PROGRESS = "progress.json"
_ANSWERED = 8
_ANSWER_TOKENS = 32
BEST = "best"
"""Folder of a run that holds the adapter of the best step, as PEFT writes it."""


class Control(Protocol):
    """What the user wants of the run. `wait_while_paused` comes back when it is to continue, and says whether it waited."""

    @property
    def cancelled(self) -> bool:
        """Whether to end after this step."""

    @property
    def paused(self) -> bool:
        """Whether to wait after this step."""

    def wait_while_paused(self) -> bool:
        """Block until the training may continue. Whether it waited."""


@dataclass(slots=True)
class Progress:
    """What a run has found so far; kept with each checkpoint. `worse` counts measurements since the best one."""

    best_step: int = 0
    best_loss: float = math.inf
    worse: int = 0
    ended: str = ""
    held_out: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """`reason` as in `wire.Done`."""

    reason: str
    step: int
    best_step: int
    best_loss: float
    step_s: float
    held_out: list[tuple[int, float]]
    answers: list[list[int]]


def total_steps(recipe: Recipe, examples: int) -> int:
    """Optimizer steps of a whole run."""
    per_epoch = math.ceil(examples / recipe.batch_size)
    return recipe.max_steps or max(1, math.ceil(per_epoch * recipe.epochs))


def train(
    prepared: Prepared,
    recipe: Recipe,
    samples: wire.Samples,
    run_dir: Path,
    *,
    control: Control,
    say: Callable[[wire.Events], None],
    dry_steps: int = 0,
) -> Result:
    """Train to the end, until the held-out loss no longer falls, or until it is cancelled; the best adapter is in run_dir/best.

    Continues from the newest whole checkpoint in run_dir. With `dry_steps` only so many steps are timed, and nothing is kept.
    """
    folder, steps = run_dir / "checkpoints", total_steps(recipe, len(samples.training))
    checkpoints.clear(folder)
    found = None if dry_steps else checkpoints.newest(folder)
    loss = _Loss(prepared.model)
    hold = _Rehearsal(prepared.model, loss, samples.rehearsal, recipe)
    keeper = _Keeper(prepared, recipe, samples, run_dir, loss, control, say, steps, dry=bool(dry_steps))
    trainer = _answer_trainer(loss, hold, keeper, folder)(
        model=prepared.model,
        args=_arguments(recipe, run_dir, steps, dry_steps),
        train_dataset=_Rows(samples.training),
        data_collator=_collate,
        callbacks=[keeper.callback()],
    )
    keeper.device = trainer.args.device
    keeper.save_now = lambda: trainer._save_checkpoint(prepared.model, None)
    if found:
        keeper.progress = msgspec.convert(
            msgspec.json.decode((found[1] / _PROGRESS).read_bytes(), strict=False), Progress, strict=False
        )
    if not (found and keeper.progress.ended):
        trainer.train(resume_from_checkpoint=str(found[1] / f"checkpoint-{found[0]}") if found else None)
    answers = [] if dry_steps else _answers(prepared.model, run_dir / BEST, samples.held_out)
    return keeper.result(trainer.state.global_step, answers)


def _arguments(recipe: Recipe, run_dir: Path, steps: int, dry_steps: int) -> Any:
    """The `TrainingArguments`. The schedule is that of the whole run, in a dry one, too."""
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(run_dir),
        max_steps=min(steps, dry_steps) if dry_steps else steps,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        fp16=False,
        save_strategy="no",
        logging_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        dataloader_num_workers=0,
        average_tokens_across_devices=False,
    )


def _answer_trainer(loss: _Loss, hold: _Rehearsal, keeper: _Keeper, folder: Path) -> Any:
    """The class of the trainer, made here because transformers is imported so late."""
    from transformers import Trainer

    class AnswerTrainer(Trainer):  # type: ignore[misc]
        """Transformers' trainer, with our loss, and checkpoints that are whole or not there."""

        into = folder.parent

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
        ) -> Any:
            value = loss(inputs)
            keeper.saw(value, inputs)
            value = value + hold(self.state.global_step)
            return (value, None) if return_outputs else value

        def _get_output_dir(self, trial: Any) -> str:
            return str(self.into)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            def write(new: Path) -> None:
                self.into = new
                super(AnswerTrainer, self)._save_checkpoint(model, trial)
                (new / _PROGRESS).write_bytes(msgspec.json.encode(asdict(keeper.progress)))

            checkpoints.save(folder, self.state.global_step, write)
            keeper.saved_at = time.monotonic()

    return AnswerTrainer


def _answers(model: Any, best: Path, held_out: Sequence[TokenSample]) -> list[list[int]]:
    """What the best weights say to the first held-out prompts, to be compared with the exported adapter."""
    import torch
    from peft import load_peft_weights, set_peft_model_state_dict

    if not best.is_dir():
        return []
    set_peft_model_state_dict(model, load_peft_weights(str(best), device="cpu"))
    model.eval()
    said = []
    for sample in held_out[:_ANSWERED]:
        prompt = torch.tensor([sample.tokens[: sample.answer_start]], device=model.device)
        with torch.no_grad():
            tokens = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=_ANSWER_TOKENS,
                eos_token_id=sample.tokens[-1],
                pad_token_id=0,
            )
        said.append(tokens[0, prompt.shape[1] :].tolist())
    return said


class _Rows:
    """A data set as the Trainer reads it."""

    def __init__(self, samples: Sequence[TokenSample]) -> None:
        self._samples = samples
        self.lengths = [len(sample.tokens) for sample in samples]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, at: int) -> dict[str, Any]:
        sample = self._samples[at]
        return {
            "input_ids": list(sample.tokens),
            "answer_start": sample.answer_start,
            "length": len(sample.tokens),
        }


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """(batch, longest) tensors; labels are `_IGNORED` for prompts and padding."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, _IGNORED)
    for at, row in enumerate(rows):
        tokens, start = torch.tensor(row["input_ids"]), row["answer_start"]
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
        labels[at, start : len(tokens)] = tokens[start:]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class _Loss:
    """Mean -ln p of the answers' tokens. The vocabulary is applied at their positions only, which is most of the cost of a
    small model; whether that gives what the model's own loss gives is looked at once, else its own is used.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.gathers: bool | None = None

    def __call__(self, inputs: dict[str, Any]) -> Any:
        if self.gathers is None:
            self.gathers = self._is_exact(inputs)
        return self._gathered(inputs) if self.gathers else self._own(inputs)

    def _own(self, inputs: dict[str, Any]) -> Any:
        return self._model(**inputs).loss

    def _gathered(self, inputs: dict[str, Any]) -> Any:
        from torch.nn import functional

        logits, labels = self.logits(inputs)
        return functional.cross_entropy(logits, labels)

    def logits(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """(logits before each answer token (tokens, n_vocab), these tokens)."""
        whole = self._model.get_base_model()
        hidden = whole.get_decoder()(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        ).last_hidden_state
        labels = inputs["labels"][:, 1:]
        wanted = labels != _IGNORED
        logits = whole.get_output_embeddings()(hidden[:, :-1][wanted]).float()
        if cap := getattr(whole.config, "final_logit_softcapping", None):
            logits = (logits / cap).tanh() * cap
        return logits, labels[wanted]

    def _is_exact(self, inputs: dict[str, Any]) -> bool:
        import torch

        training = self._model.training
        self._model.eval()
        one = {name: value[:1] for name, value in inputs.items()}
        try:
            with torch.no_grad():
                return abs(float(self._gathered(one)) - float(self._own(one))) < _LARGEST_DIFFERENCE
        except (AttributeError, TypeError, RuntimeError):
            return False
        finally:
            self._model.train(training)


class _Rehearsal:
    """Keeps the tuned model near its base where nothing new is to be learned: the Kullback-Leibler divergence of what both expect
    next, over the base's own answers to general questions (after Li and Hoiem, Learning without Forgetting, 2016).
    """

    def __init__(self, model: Any, loss: _Loss, samples: Sequence[TokenSample], recipe: Recipe) -> None:
        self._model, self._loss, self._samples = model, loss, samples
        self._weight, self._batch, self._seed = recipe.rehearsal, recipe.rehearsal_batch, recipe.seed

    def __call__(self, step: int) -> Any:
        """The weighted divergence on the batch of this step, which is the same after a resume."""
        if not self._weight or not self._samples or not self._loss.gathers:
            return 0.0
        import random

        import torch
        from torch.nn import functional

        chosen = random.Random(self._seed * 1_000_003 + step).sample(
            range(len(self._samples)), min(self._batch, len(self._samples))
        )
        rows = _Rows([self._samples[n] for n in chosen])
        device = next(self._model.parameters()).device
        inputs = {k: v.to(device) for k, v in _collate([rows[n] for n in range(len(rows))]).items()}
        with torch.no_grad(), self._model.disable_adapter():
            wanted = functional.log_softmax(self._loss.logits(inputs)[0], dim=-1)
        found = functional.log_softmax(self._loss.logits(inputs)[0], dim=-1)
        return self._weight * functional.kl_div(found, wanted, log_target=True, reduction="batchmean")


class _Keeper:
    """Looks after a run between its steps: says how it goes, measures, keeps the best, listens to the user."""

    def __init__(  # noqa: PLR0913
        self,
        prepared: Prepared,
        recipe: Recipe,
        samples: wire.Samples,
        run_dir: Path,
        loss: _Loss,
        control: Control,
        say: Callable[[wire.Events], None],
        steps: int,
        *,
        dry: bool,
    ) -> None:
        self._model, self._recipe, self._samples = prepared.model, recipe, samples
        self._run_dir, self._loss, self._control, self._say = run_dir, loss, control, say
        self._steps, self._dry = steps, dry
        per_epoch = math.ceil(len(samples.training) / recipe.batch_size)
        self._measure_every = max(1, round(per_epoch / recipe.measurements_per_epoch))
        self.progress = Progress()
        self.device: Any = "cpu"
        self.save_now: Callable[[], object] = lambda: None
        self.saved_at = time.monotonic()
        self._seen: tuple[Any, int] = (0.0, 0)
        self._began = time.monotonic()
        self._times: list[float] = []

    def saw(self, loss: Any, inputs: dict[str, Any]) -> None:
        """A batch and its loss."""
        self._seen = (loss.detach(), int(inputs["attention_mask"].sum()))

    def callback(self) -> Any:
        """The Trainer's view of this."""
        from transformers import TrainerCallback

        keeper = self

        class Between(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                keeper.begin(state.global_step)

            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                keeper._began = time.monotonic()

            def on_step_end(
                self, args: Any, state: Any, control: Any, lr_scheduler: Any = None, **_: Any
            ) -> None:
                rate = float(lr_scheduler.get_last_lr()[0]) if lr_scheduler else 0.0
                keeper.step(state.global_step, rate, control)

        return Between()

    def begin(self, step: int) -> None:
        if step == 0 and not self._dry and self._samples.held_out:
            self._measure(0)

    def step(self, step: int, learning_rate: float, control: Any) -> None:
        """After each step of the optimizer."""
        took = time.monotonic() - self._began
        self._times.append(took)
        recent = sorted(self._times[-20:])[len(self._times[-20:]) // 2]
        loss, tokens = self._seen
        self._say(
            wire.Stepped(
                step,
                self._steps,
                float(loss),
                learning_rate,
                tokens / took if took else 0.0,
                took,
                recent * (self._steps - step),
                rss_mib(),
            )
        )
        if self._dry:
            control.should_training_stop = control.should_training_stop or self._control.cancelled
            return
        last = step >= self._steps
        if self._samples.held_out and (last or step % self._measure_every == 0):
            self._measure(step)
            if self._recipe.patience and self.progress.worse >= self._recipe.patience and not last:
                self.progress.ended = "early"
        if last:
            self.progress.ended = "finished"
        if self._control.paused:
            self.save_now()  # whoever pauses may switch the machine off
            self._say(wire.Paused(step))
            if self._control.wait_while_paused():
                self._say(wire.Resumed(step))
        if self._control.cancelled and not self.progress.ended:
            self.progress.ended = "cancelled"
        if self.progress.ended:
            control.should_training_stop = True
        late = time.monotonic() - self.saved_at > CHECKPOINT_EVERY_S
        if self.progress.ended and (not self._samples.held_out or not self.progress.best_step):
            self._keep(step)
        control.should_save = late or bool(self.progress.ended)

    def result(self, step: int, answers: list[list[int]]) -> Result:
        """The end of the run."""
        times = sorted(self._times)
        # The first step warms up caches and threads.
        step_s = sorted(self._times[1:] or [0.0])[len(self._times[1:] or [0.0]) // 2] if times else 0.0
        progress = self.progress
        return Result(
            progress.ended or "cancelled",
            step,
            progress.best_step,
            progress.best_loss,
            step_s,
            progress.held_out,
            answers,
        )

    def _measure(self, step: int) -> None:
        import torch

        held_out, size = self._samples.held_out, 2 * self._recipe.batch_size
        order = sorted(held_out, key=lambda sample: len(sample.tokens))
        self._model.eval()
        nll = tokens = 0.0
        with torch.no_grad():
            for first in range(0, len(order), size):
                rows = _Rows(order[first : first + size])
                inputs = _collate([rows[n] for n in range(len(rows))])
                count = int((inputs["labels"][:, 1:] != _IGNORED).sum())
                nll += float(self._loss({k: v.to(self.device) for k, v in inputs.items()})) * count
                tokens += count
        self._model.train()
        loss, progress = nll / tokens, self.progress
        better = loss < progress.best_loss
        progress.held_out.append((step, loss))
        if better:
            progress.best_loss, progress.worse = loss, 0
            if step:
                self._keep(step)
        else:
            progress.worse += 1
        self._say(wire.Measured(step, loss, better))

    def _keep(self, step: int) -> None:
        """These weights are the best so far; whole on the disk before the old ones go."""
        import os
        import shutil

        self.progress.best_step = step
        final, new = self._run_dir / BEST, self._run_dir / f".{BEST}.{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        self._model.save_pretrained(str(new), save_embedding_layers=False)
        old = self._run_dir / f".{BEST}.old"
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        new.rename(final)
        shutil.rmtree(old, ignore_errors=True)


def rss_mib() -> int:
    """Resident memory of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss / 2**20)


def peak_rss_mib() -> int:
    """The most there ever was, where the system tells it."""
    try:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
    except ImportError:  # Windows
        return rss_mib()
