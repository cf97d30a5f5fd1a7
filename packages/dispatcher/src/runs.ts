import { DelayedError, WaitingError, type Job } from 'bullmq';
import { JobWorker } from '@callyard/shared/job-worker';
import type { RunNotice } from '@callyard/shared/ledger';
import { watch } from '@callyard/shared/metrics';
import type { Redis } from '@callyard/shared/redis';
import type { HeldRun, RunSigns } from '@callyard/shared/runs/run-store';
import { driveHold, type DurableParts, type HoldStops } from './durable/hold.ts';
import { ModelError, type Model } from './model.ts';
import { shownError } from './run-lines.ts';
import { HoldEnd } from './run-over.ts';
import { countRun } from './run-metrics.ts';
import type { RunEnd } from './run-record.ts';

/** A parked run comes back after this, should the dispatcher that parks it die on the way. */
const fuseMs = 5_000;

/** A parked run is looked at this often whatever happens: the workers of its calls may be gone for good. */
const lookAgainMs = 5 * 60_000;

/** A run that this dispatcher cannot drive, but another might, comes back after this. */
const notMineMs = 1_000;

/** Faults of ours that end a run; after each it comes back after twice the time. */
const maxFaults = 5;
const faultMs = 500;

/** What a stopping dispatcher waits for what it holds to be handed over. */
const handOverMs = 1_000;

/** How a hold ended that has not ended its run, as its span says it, and what is to become of its job. */
interface Left {
  ended: string;
  giveBack: () => Promise<void>;
}

export interface RunsOptions extends DurableParts {
  redis: Redis;
}

/** Takes durable runs from their queue, and drives them. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #bull: JobWorker;
  readonly #holds = new Map<string, HoldStops>();
  readonly #lapses: NodeJS.Timeout;
  readonly #stopWatching: () => void;
  #isClosing = false;

  constructor(options: RunsOptions) {
    const { redis, names, config, log, dispatcher } = options;
    this.#options = options;
    this.#bull = new JobWorker(names.runsQueue, (job, token = '') => this.#process(job, token), {
      connection: redis,
      prefix: names.bullPrefix,
      name: dispatcher,
      concurrency: config.maxRuns,
      lockDuration: config.lockMs,
      stalledInterval: config.stalledCheckMs,
      removeOnFail: { count: 0 },
    });
    this.#bull.on('locksRenewed', ({ jobIds }) => {
      this.#leaveLapsed(); // a process that was stopped for long may read only now that they were renewed before
      const lockedUntil = performance.now() + config.lockMs;
      for (const runId of jobIds) Object.assign(this.#holds.get(runId) ?? {}, { lockedUntil });
      this.lookAgain();
    });
    this.#bull.on('lockRenewalFailed', (runIds) => {
      for (const runId of runIds) this.#holds.get(runId)?.leave.abort(new HoldEnd('stale'));
    });
    // With Redis out of reach nobody says that locks are lost: renewals simply fail.
    this.#lapses = setInterval(() => this.#leaveLapsed(), config.lockMs / 4);
    this.#lapses.unref();
    this.#stopWatching = watch('callyard.dispatcher.runs', () => [{ value: this.#holds.size, labels: {} }]);
    this.#bull.onFault((error) => log.warn({ event: 'run.bullmq', reason: error.message }, 'BullMQ reported'));
  }

  /** Something has become of a run that this dispatcher may hold. */
  onNotice({ run, is }: RunNotice): void {
    const hold = this.#holds.get(run);
    if (is === 'cancelled') hold?.cancel.abort();
    if (is === 'watched' && hold) hold.watchedUntil = Number.POSITIVE_INFINITY;
  }

  /** Looks at what is held, as what was said of it may have been said to nobody; and says that this dispatcher lives. */
  lookAgain(): void {
    const { store, log } = this.#options;
    const holds = [...this.#holds];
    if (holds.length === 0) return;
    store.signs(holds.map(([runId, { fence }]) => ({ runId, fence }))).then(
      (signs) => {
        for (const [i, [, hold]] of holds.entries()) heed(hold, signs[i]);
      },
      (error: unknown) => log.warn({ event: 'run.unread', err: error }, 'the runs that are held could not be read'),
    );
  }

  #leaveLapsed(): void {
    const now = performance.now();
    for (const { lockedUntil, leave } of this.#holds.values()) {
      if (lockedUntil < now) leave.abort(new HoldEnd('stale'));
    }
  }

  /** Hands over what is held: model requests are broken off, calls go on where they are. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#lapses);
    this.#stopWatching();
    await this.#bull.pause(true);
    for (const { leave } of this.#holds.values()) leave.abort(new HoldEnd('handed-over'));
    // Not forced: its fetch that is under way may bring back what was handed over, and that is to be given back, too.
    await this.#bull.closeWithin(handOverMs);
  }

  async #process(job: Job, token: string): Promise<void> {
    try {
      if (this.#isClosing) await toFront(job, token); // BullMQ's blocking fetch outlives its pause
      const model = await this.#modelOf(job);
      if (model) return await this.#takeUp(job, token, model);
      this.#bull.bePolite();
      await away(job, token, notMineMs);
    } catch (error) {
      throw isForBull(error) ? error : this.#leaveBehind(error, job);
    }
  }

  /** A run that is over needs no model to be ended: so it ends although nobody has its model any more. */
  async #modelOf(job: Job): Promise<Model | undefined> {
    const { models, store, clock } = this.#options;
    const { model: name } = job.data as { model: string };
    const model = models.get(name);
    if (model) return model;
    const [signs] = await store.signs([{ runId: job.id ?? '' }]);
    return !signs || signs.isCancelled || signs.deadlineAt <= clock.now() ? absent(name) : undefined;
  }

  async #takeUp(job: Job, token: string, model: Model): Promise<void> {
    const { store, dispatcher, log } = this.#options;
    const runId = job.id ?? '';
    const hold = this.#begin(runId); // before it is held, as from then on this dispatcher is told of it
    try {
      const held = await store.hold(runId, dispatcher, token);
      switch (held.kind) {
        case 'held':
          return await this.#drive(job, token, held, model, hold);
        case 'stale':
          throw new WaitingError(); // BullMQ takes it for moved elsewhere, which it is
        case 'early':
          return await away(job, token, notMineMs);
        case 'too-new':
          log.warn({ event: 'run.too_new', run_id: runId, v: held.v }, 'a run is left to a newer dispatcher');
          return await away(job, token, notMineMs);
        case 'gone':
          log.error({ event: 'run.gone', run_id: runId }, 'the record of a run is no more');
          return;
        case 'ended':
      }
    } finally {
      if (this.#holds.get(runId) === hold) this.#holds.delete(runId);
    }
  }

  /** A hold that was here before has lost its lock, though BullMQ may not have said so yet. */
  #begin(runId: string): HoldStops {
    const lockedUntil = performance.now() + this.#options.config.lockMs;
    const [leave, cancel] = [new AbortController(), new AbortController()];
    const hold = { leave, cancel, watchedUntil: 0, lockedUntil };
    if (this.#isClosing) leave.abort(new HoldEnd('handed-over'));
    this.#holds.get(runId)?.leave.abort(new HoldEnd('stale'));
    this.#holds.set(runId, hold);
    return hold;
  }

  async #drive(job: Job, token: string, held: HeldRun, model: Model, hold: HoldStops): Promise<void> {
    const { watchedUntil = '0', cancelledAt } = held.fields;
    hold.watchedUntil = Math.max(hold.watchedUntil, Number(watchedUntil));
    hold.fence = held.fence;
    if (cancelledAt !== undefined) hold.cancel.abort();
    let left: Promise<Left> | undefined;
    const leave = (why: unknown) => (left ??= this.#letGo(why, job, token, held));
    const letGo = async (why: unknown) => (await leave(why)).ended;
    try {
      await driveHold(job.id ?? '', held, model, hold, { ...this.#options, letGo });
    } catch (error) {
      await (await leave(error)).giveBack();
    }
  }

  /** BullMQ would drop a run whose processor throws. Left alone, it is found again. */
  #leaveBehind(error: unknown, job: Job): WaitingError {
    const line = { event: 'run.left', err: error, run_id: job.id };
    this.#options.log.error(line, 'a run could not be given back; it is taken over when its lock ends');
    return new WaitingError();
  }

  /** Writes that a hold has ended: somebody else goes on with the run. */
  async #letGo(end: unknown, job: Job, token: string, held: HeldRun): Promise<Left> {
    if (!(end instanceof HoldEnd)) return this.#afterFault(end, job, token, held);
    const { store, clock } = this.#options;
    const hold = { runId: job.id ?? '', fence: held.fence };
    const { why, missing } = end;
    if (why === 'handed-over')
      return { ended: endedBy(await store.release(hold, why), why), giveBack: () => toFront(job, token) };
    if (why === 'parked') {
      await job.moveToDelayed(Date.now() + fuseMs, token);
      const lookAt = Math.min(clock.now() + lookAgainMs, Number(held.fields.deadlineAt));
      const ended = endedBy(await store.park(hold, lookAt, missing), why);
      return { ended, giveBack: () => Promise.reject(new DelayedError()) };
    }
    return { ended: why, giveBack: () => Promise.reject(new WaitingError()) };
  }

  /** Something that cannot be; it may pass, so the run is tried again, but not for ever. */
  async #afterFault(error: unknown, job: Job, token: string, { fence, fields }: HeldRun): Promise<Left> {
    const { store, config, clock, log } = this.#options;
    const runId = job.id ?? '';
    const faults = 1 + (typeof job.progress === 'number' ? job.progress : 0);
    const line = {
      event: 'run.fault',
      err: shownError(error, config),
      run_id: runId,
      trace_id: fields.traceId,
      faults,
    };
    log.error(line, 'a run could not be driven');
    if (faults < maxFaults) {
      await job.updateProgress(faults);
      const ended = endedBy(await store.release({ runId, fence }, 'fault'), 'fault');
      return { ended, giveBack: () => away(job, token, faultMs * 2 ** faults) };
    }
    const why = error instanceof Error ? error.message : String(error);
    const { runKeepMs: keepMs, conversationTtlMs } = config;
    const finish = (end: RunEnd) => store.finish({ runId, fence }, { end, keepMs, conversationTtlMs, messages: [] });
    let end: RunEnd = { state: 'failed', stop: 'internal_error', error: why };
    let { kind } = await finish(end);
    if (kind === 'cancelled') ({ kind } = await finish((end = { state: 'cancelled', stop: 'cancelled', error: why })));
    if (kind === 'written') countRun(end, Number(fields.createdAt), clock.now());
    return { ended: endedBy(kind, 'fault'), giveBack: async () => {} };
  }
}

/** What is refused has been told of by whoever has the run now, or is told of by nobody. */
const endedBy = (answer: string, why: string): string => (answer === 'stale' || answer === 'gone' ? answer : why);

function heed(hold: HoldStops, signs: RunSigns | undefined): void {
  if (!signs) return hold.leave.abort(new HoldEnd('gone'));
  if (signs.isCancelled) hold.cancel.abort();
  hold.watchedUntil = Math.max(hold.watchedUntil, signs.watchedUntil);
}

const absent = (name: string): Model => ({
  name,
  provider: 'none',
  ask: () => Promise.reject(new ModelError(`no dispatcher has the model ${name}`)),
});

/** What tells BullMQ where a job is now. */
const isForBull = (error: unknown): boolean => error instanceof WaitingError || error instanceof DelayedError;

async function toFront(job: Job, token: string): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}

async function away(job: Job, token: string, ms: number): Promise<never> {
  await job.moveToDelayed(Date.now() + ms, token);
  throw new DelayedError();
}
