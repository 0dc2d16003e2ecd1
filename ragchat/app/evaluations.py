"""Putting a run together from the settings: which questions, which ways, over which model, documents and adapter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ragchat.app import build, meaning
from ragchat.app.context import Context
from ragchat.errors import CancelledError, NotFoundError, RagchatError, Subject, UsageError, about
from ragchat.text import clean_line
from ragchat.types import AdapterScale, CancelToken

if TYPE_CHECKING:
    from ragchat.app.preferences import Preferences
    from ragchat.evaluation.calibration import RefusalCurve
    from ragchat.evaluation.four_ways import Arm, Progress, Run, RunLibrary
    from ragchat.evaluation.question_sets import Asked, SetLibrary
    from ragchat.evaluation.vectors import Prepared
    from ragchat.evaluation.verdict import Verdict
    from ragchat.llm.adapters import AdapterLibrary
    from ragchat.session.chat import AskOptions


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A verdict, and what has changed since, in words."""

    verdict: Verdict
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. Empty: as the chat does it, or all that there is."""

    set_name: str
    arms: tuple[str, ...] = ()
    model: str = ""
    adapter: str = ""
    knowledge_bases: tuple[str, ...] = ()
    limit: int = 0
    max_tokens: int = 0
    tags: tuple[str, ...] = ()


def sets(context: Context) -> SetLibrary:
    """The user's question sets."""
    from ragchat.evaluation.question_sets import SetLibrary

    return SetLibrary(context.paths.question_sets_dir)


def runs(context: Context) -> RunLibrary:
    """All runs."""
    from ragchat.evaluation.four_ways import RunLibrary

    return RunLibrary(context.paths.evaluation_runs_dir)


def questions(context: Context, name: str) -> list[Asked]:
    """Those of a set, or of the chats. Raises NotFoundError, UsageError."""
    from ragchat.evaluation.question_sets import CHAT_SET, from_chats

    if name != CHAT_SET:
        return sets(context).read(name)
    from ragchat.store.chats import ChatStore

    context.paths.create()
    with contextlib.closing(ChatStore(context.paths.chat_database)) as chats:
        return from_chats(chats.evaluation_questions())


def write_questions(context: Context, name: str, before: Sequence[Asked], now: Sequence[Asked]) -> None:
    """Do to a set what turned `before` into `now`; what came in meanwhile stays. Raises UsageError, StorageError."""
    from ragchat.evaluation.question_sets import CHAT_SET

    if name != CHAT_SET:
        sets(context).change(name, before, now)
        return
    from ragchat.store.chats import ChatStore

    with contextlib.closing(ChatStore(context.paths.chat_database)) as chats:
        old = {one.id: one for one in before}
        there = {f"chat-{one.id}": one for one in chats.evaluation_questions()}
        for one in now:
            if old.get(one.id) == one:
                continue
            kept = there.pop(one.id, None)
            chats.add_evaluation_question(
                one.question,
                one.answers,
                source=one.sources[0] if one.sources else "",
                quote=kept.quote if kept else "",
                tags=one.tags,
                answerable=one.answerable,
                message_id=kept.message_id if kept else 0,
            )
            if kept:
                chats.delete_evaluation_question(kept.id)
        for key in old.keys() - {one.id for one in now}:
            if key in there:
                chats.delete_evaluation_question(there[key].id)


def set_names(context: Context) -> list[str]:
    """All sets that hold a question."""
    from ragchat.evaluation.question_sets import CHAT_SET

    own = sets(context).names()
    with contextlib.suppress(RagchatError):
        if questions(context, CHAT_SET):
            own.insert(0, CHAT_SET)
    return own


def options(context: Context, wanted: Wanted) -> AskOptions:
    """How every way is asked: as in a chat, but greedily, with a fixed seed, and with as many hits as the measures look at."""
    from ragchat.evaluation.four_ways import ANSWER_TOKENS
    from ragchat.evaluation.verdict import K

    base = build.ask_options(context)
    sampling = replace(base.sampling, temperature=0.0, seed=0, max_tokens=wanted.max_tokens or ANSWER_TOKENS)
    return replace(base, sampling=sampling, k=max(K, base.k))


def _wanted_questions(context: Context, wanted: Wanted) -> list[Asked]:
    """Those of the set that have one of the tags, at most as many as are wanted. Raises NotFoundError."""
    asked = questions(context, wanted.set_name)
    if wanted.tags:
        asked = [one for one in asked if set(wanted.tags) & set(one.tags)]
    if not asked:
        raise NotFoundError(
            f"The set {wanted.set_name} contains no questions.",
            "Add one with `ragchat eval questions add`, or press E in a chat to keep one.",
        )
    return spread(asked, wanted.limit)


def prepare(context: Context, wanted: Wanted) -> Run:
    """What is to be run: arms that can be, questions without those that the adapter knows. Raises RagchatError."""
    from ragchat.evaluation import leakage
    from ragchat.evaluation.four_ways import ARMS, Run, searches
    from ragchat.evaluation.inputs import collect

    with about(Subject.QUESTIONS):
        asked = _wanted_questions(context, wanted)
    with about(Subject.MODEL):
        base = build.library(context).resolve(wanted.model or context.settings.model.name)
    library = build.adapters(context)
    adapter = wanted.adapter
    names = wanted.knowledge_bases or build.default_knowledge_bases(context)
    arms: list[Arm] = []
    for arm in ARMS:
        possible = (not searches(arm) or names) and ("tuned" not in arm or adapter)
        if wanted.arms and arm in wanted.arms and not possible:
            missing, subject = (
                ("an adapter (--adapter NAME)", Subject.ADAPTER)
                if "tuned" in arm and not adapter
                else ("documents (--kb NAME)", Subject.DOCUMENTS)
            )
            raise UsageError(f"“{arm}” needs {missing}.", subject=subject)
        if possible and (not wanted.arms or arm in wanted.arms):
            arms.append(arm)
    with about(Subject.ADAPTER):
        scales = AdapterScale.typed(adapter)
        files = {f"{each.name}:{each.scale:g}": library.resolve(each.name, base) for each in scales}
    left_out: list[str] = []
    if any("tuned" in arm for arm in arms):
        learned = [print_ for each in scales for print_ in library.learned(each.name)]
        near = leakage.among([leakage.fingerprint(q.question) for q in asked], learned)
        left_out = [q.id for q, is_near in zip(asked, near, strict=True) if is_near]
        asked = [q for q in asked if q.id not in set(left_out)]
        if not asked:
            raise UsageError(
                f"Every question of {wanted.set_name} is in the adapter's training data.",
                "Use other questions.",
                subject=Subject.QUESTIONS,
            )
    from ragchat.llm.fingerprint import sha256_of

    with about(Subject.DOCUMENTS):
        documents, embedding, vectors = _searched(context, names if any(map(searches, arms)) else ())
    inputs = collect(
        model=(base.stem, library.sha256(base)),
        context={"n_ctx": context.settings.model.n_ctx, "plain_format": context.settings.model.plain_format},
        adapters={name: sha256_of(file) for name, file in files.items()} if _uses(arms, "tuned") else {},
        documents=documents,
        embedding=embedding,
        vectors=vectors,
        options=options(context, wanted),
        questions=asked,
        arms=arms,
    )
    return Run(
        id=_id(runs(context), wanted.set_name, inputs),
        set_name=wanted.set_name,
        arms=tuple(arms),
        inputs=inputs,
        questions=tuple(asked),
        left_out=tuple(left_out),
        facts=_facts(library, scales) | {"asked": _as_asked(wanted, base, names)},
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _id(library: RunLibrary, set_name: str, inputs: dict[str, Any]) -> str:
    """That of a run with these inputs, or of one that was stopped and continues with them, else a new one.

    Its own searches embed what they find, so a run that was stopped may have begun with fewer vectors than there are now, and one
    that ended is told apart from the next that begins with as few as it did.
    """
    from ragchat.evaluation.four_ways import run_id
    from ragchat.evaluation.inputs import same

    for run in reversed(library.all()):
        apart_from = () if run.finished_at else ("vectors",)
        if run.set_name == set_name and same(run.inputs, inputs, apart_from=apart_from):
            return run.id
    found = run_id(set_name, inputs)
    if library.find(found) is None:
        return found
    return run_id(set_name, inputs | {"at": datetime.now(UTC).isoformat()})


def _as_asked(wanted: Wanted, base: Path, names: Sequence[str]) -> dict[str, Any]:
    """What the very same run can be asked for again with."""
    return {
        "model": str(base) if wanted.model else "",
        "default_documents": not wanted.knowledge_bases,
        "adapter": wanted.adapter,
        "knowledge_bases": list(names),
        "limit": wanted.limit,
        "max_tokens": wanted.max_tokens,
        "tags": list(wanted.tags),
        "arms": list(wanted.arms),
    }


def again(run: Run, *, limit: int = 0) -> Wanted:
    """What was asked for when the run was made."""
    said = run.facts.get("asked", {})
    return Wanted(
        run.set_name,
        tuple(said.get("arms", ())),
        said.get("model", ""),
        said.get("adapter", ""),
        () if said.get("default_documents") else tuple(said.get("knowledge_bases", ())),
        limit or said.get("limit", 0),
        said.get("max_tokens", 0),
        tuple(said.get("tags", ())),
    )


def fresh(context: Context, run: Run, sample: Sequence[Asked], set_name: str) -> Run:
    """A run of some questions of another one, as things are now, whatever it was then. Raises RagchatError."""
    from ragchat.evaluation.four_ways import run_id

    now = prepare(context, replace(again(run), arms=run.arms))
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    inputs = now.inputs | {"questions": [question.id for question in sample], "at": started}
    return msgspec.structs.replace(
        now,
        id=run_id(set_name, inputs),
        set_name=set_name,
        inputs=inputs,
        questions=tuple(sample),
        started_at=started,
    )


def perform(context: Context, wanted: Wanted, run: Run, cancel: CancelToken) -> Iterator[Prepared | Progress]:
    """Embed what the questions find, ask what is not answered yet, and note the end. Raises RagchatError."""
    import psutil

    from ragchat.evaluation.four_ways import DOCUMENTS, ask_all, searches
    from ragchat.session.without_model import NoModel

    library = runs(context)
    if (known := library.find(run.id)) is not None:
        run = known
    else:
        library.keep(run)
    said = run.facts.get("asked", {})
    with ExitStack() as stack:
        stack.enter_context(library.alone(run.id))
        yield from _embed_first(context, run, library, cancel)
        run = _with_vectors(context, run, library)
        model = build.model(context, wanted.model or said.get("model", ""))
        stack.callback(model.close)

        def memory() -> int:
            try:
                return int(psutil.Process(model.pid).memory_info().rss / 1024**2) if model.pid else 0
            except psutil.Error:
                return 0

        base = options(context, wanted)
        sessions = {
            arm: stack.enter_context(
                build.chat_session(
                    context,
                    None,
                    NoModel() if arm == DOCUMENTS else model,
                    said.get("knowledge_bases", ()) if searches(arm) else (),
                    _asked_as(arm, base, said.get("adapter", "")),
                )
            )
            for arm in run.arms
        }
        done = 0
        for progress in ask_all(run, sessions, library, memory=memory, cancel=cancel):
            done = progress.done
            yield progress
            if cancel.cancelled:
                raise CancelledError(
                    "Stopped. The answers so far are kept. Run the same command to continue."
                )
    if done == len(run.questions) * len(run.arms):
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        run = _with_vectors(context, run, library)
        library.keep(msgspec.structs.replace(run, finished_at=run.finished_at or ended, confirmed_at=ended))


def _asked_as(arm: Arm, base: AskOptions, adapter: str) -> AskOptions:
    """How one way is asked: with the adapter, or without any model."""
    from ragchat.evaluation.four_ways import DOCUMENTS

    adapters = AdapterScale.parse(adapter if "tuned" in arm else "")
    return replace(base, adapters=adapters, quote_only=arm == DOCUMENTS)


def _embed_first(context: Context, run: Run, library: RunLibrary, cancel: CancelToken) -> Iterator[Prepared]:
    """Embed what the questions find, so that all ways are asked over the same vectors. Raises RagchatError."""
    from ragchat.evaluation.four_ways import searches
    from ragchat.evaluation.vectors import prepare

    names = run.facts.get("asked", {}).get("knowledge_bases", ()) if any(map(searches, run.arms)) else ()
    answered = {(answer.question, answer.arm) for answer in library.answers(run.id) if not answer.error}
    left = [
        question.question
        for question in run.questions
        if any((question.id, arm) not in answered for arm in run.arms if searches(arm))
    ]
    if not left:
        return
    with build.knowledge_bases(context, names) as stores:
        ranking = build.ranking(context)
        if (embedder := meaning.meant(context, stores, ranking)) is not None:
            yield from prepare(stores, embedder, left, ranking=ranking, cancel=cancel)
    if cancel.cancelled:
        raise CancelledError("Stopped. The answers so far are kept. Run the same command to continue.")


def _with_vectors(context: Context, run: Run, library: RunLibrary) -> Run:
    """The run with what is embedded by now; what was embedded when its first answers were given stays among its facts."""
    from ragchat.evaluation.four_ways import searches

    if not run.inputs.get("vectors"):
        return run
    was = run.inputs["vectors"]
    _, _, vectors = _searched(context, tuple(was))
    if not vectors or was == vectors:
        return run
    facts = run.facts
    if any(searches(answer.arm) for answer in library.answers(run.id)):
        facts = {"vectors_before": was} | facts
    run = msgspec.structs.replace(run, inputs=run.inputs | {"vectors": vectors}, facts=facts)
    library.keep(run)
    return run


def inputs_now(context: Context, run: Run) -> dict[str, Any]:
    """The run's inputs as they are at this moment, as far as that can be told; what is gone is named so. Raises nothing."""
    try:
        return prepare(context, replace(again(run), arms=run.arms)).inputs
    except RagchatError as error:
        return {error.subject or Subject.MODEL: str(error)}


def stale(context: Context, run: Run) -> list[str]:
    """What has changed since the run, in words; empty: its verdict holds. An adapter that was made since counts, too."""
    from ragchat.evaluation.inputs import changes

    found = changes(run.inputs, inputs_now(context, run))
    with contextlib.suppress(RagchatError):
        base = build.library(context).resolve(again(run).model or context.settings.model.name)
        used = {each.partition(":")[0] for each in run.inputs.get("adapter", {})}
        found += [
            f"a new adapter ({clean_line(one.name)})"
            for one in build.adapters(context).fitting(base)
            if one.name not in used and one.manifest and _after(one.manifest.created_at, run.started_at)
        ]
    return found


def _after(later: str, earlier: str) -> bool:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(later) > datetime.fromisoformat(earlier)
    return False


def newest(context: Context) -> list[Run]:
    """The newest finished run of each set, the newest first; one of too few questions only where there is no other."""
    from ragchat.evaluation.question_sets import WATCHED
    from ragchat.evaluation.verdict import FEWEST

    found: dict[str, Run] = {}
    for run in runs(context).all():
        if not run.finished_at or run.set_name.endswith(WATCHED):
            continue
        if len(run.questions) >= FEWEST or len(found.get(run.set_name, run).questions) < FEWEST:
            found.pop(run.set_name, None)
            found[run.set_name] = run
    return list(found.values())[::-1]


def evaluations(context: Context) -> list[Evaluation]:
    """For the screen: the newest verdict of each set, with what has changed since."""
    from ragchat.evaluation.verdict import judge

    library = runs(context)
    return [
        Evaluation(judge(run, library.answers(run.id)), tuple(stale(context, run))) for run in newest(context)
    ]


def verdict_stale(context: Context) -> list[str]:
    """What has changed since the newest verdict."""
    found = newest(context)
    return stale(context, found[0]) if found else []


def _searched(
    context: Context, names: Sequence[str]
) -> tuple[dict[str, str], tuple[str, str], dict[str, float | None]]:
    """What a search depends on: contents of each knowledge base as a hash, the embedding model, how much it has embedded.

    Raises NotFoundError, StorageError.
    """
    from ragchat.evaluation.inputs import WORDS_ALONE
    from ragchat.evaluation.vectors import shares

    with build.knowledge_bases(context, names) as stores:
        contents = {store.name: store.contents_hash() for store in stores}
        with about(Subject.EMBEDDING):
            embedder = meaning.meant(context, stores, build.ranking(context))
        if embedder is None:
            return contents, WORDS_ALONE, {}
        model = embedder.model
        return contents, (model.name, model.fingerprint), shares(stores, model)


def _uses(arms: Sequence[str], part: str) -> bool:
    return any(part in arm for arm in arms)


def _facts(library: AdapterLibrary, scales: Sequence[AdapterScale]) -> dict[str, Any]:
    """What is known of the adapters: how long they took, and what they lost of what the model could before."""
    seconds: float = 0.0
    forgetting: dict[str, Any] = {}
    for each in scales:
        manifest = library.find(each.name).manifest
        if manifest is not None:
            seconds += float(manifest.checks.get("training", {}).get("seconds", 0) or 0)
            if lost := manifest.checks.get("forgetting"):
                forgetting[each.name] = lost
    unknown = [each.name for each in scales if not library.learned(each.name)]
    found = {"training_seconds": seconds, "forgetting": forgetting, "learned_unknown": unknown}
    return {name: value for name, value in found.items() if value}


def spread(asked: Sequence[Asked], limit: int) -> list[Asked]:
    """At most `limit` of them, evenly over the set, since neighbours ask about the same document."""
    if not limit or limit >= len(asked):
        return list(asked)
    return [asked[i * len(asked) // limit] for i in range(limit)]


class Evaluations:
    """What was measured and with which questions, for a front end. Safe to call from any thread; each call reads files."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    def newest(self) -> list[Evaluation]:
        """The newest verdict of each question set, the newest first, with what has changed since. Takes seconds."""
        return evaluations(self._preferences.context)

    def question_sets(self) -> dict[str, list[Asked]]:
        """All sets with their questions; `chat` are those that were kept in chats."""
        context = self._preferences.context
        return {name: questions(context, name) for name in set_names(context)}

    def write_questions(self, name: str, before: Sequence[Asked], now: Sequence[Asked]) -> None:
        """Do to a set what turned the first into the second. Raises RagchatError."""
        write_questions(self._preferences.context, name, before, now)

    def refusal_curve(self, name: str, cancel: CancelToken) -> RefusalCurve | None:
        """False answers against wrong refusals on the questions of a set; None when cancelled. Seconds. Raises RagchatError."""
        from ragchat.app.calibration import refusal_curve

        context = self._preferences.context
        return refusal_curve(context, name, questions(context, name), (), cancel)

    def stale(self) -> list[str]:
        """What has changed since the newest verdict; empty: nothing, or there is none."""
        return verdict_stale(self._preferences.context)
