import type { Dispatcher } from '@callyard/dispatcher';
import type { Mixture, Request } from './mixture.ts';
import { scripted } from './scripted.ts';
import { keepPace } from './pace.ts';
import { newTally, noteCode, noteLatency, noteOutcomes, renderTally, type Tally } from './tally.ts';

export interface LoadOptions {
  callsPerSecond: number;
  durationMs: number;
  /** asks no more once it is aborted */
  stop: AbortSignal;
  log: (line: string) => void;
}

const reportMs = 5_000;
/** What is under way at the end gets this long, and is cancelled then; who stops a container waits for 10 s. */
const graceMs = 8_000;
/** Longer than anything in the mixture takes, and short enough that a load that was too much is over soon. */
const timeoutMs = 60_000;
/** So many seconds of load may be under way; what comes beyond is not sent, or this process would grow. */
const maxBehindSeconds = 20;

/** Asks a dispatcher for what a busy installation is asked, until the time is over; resolves with what became of it. */
export async function playLoad(dispatcher: Dispatcher, mixture: Mixture, options: LoadOptions): Promise<Tally> {
  const player = new Player(dispatcher);
  const { callsPerSecond, durationMs, stop, log } = options;
  const startAt = performance.now();
  const reports = setInterval(() => log(player.report(startAt)), reportMs);
  await keepPace({ callsPerSecond, startAt, endAt: startAt + durationMs, stop }, (dueAt) => {
    const { request, calls } = mixture.next();
    player.play(request, calls, dueAt, callsPerSecond * maxBehindSeconds);
    return calls;
  });
  await player.over();
  clearInterval(reports);
  return player.all;
}

class Player {
  /** since the start, and since the last report */
  readonly all = newTally();
  #recent = newTally();
  #recentSince = performance.now();
  #underWay = 0;
  readonly #played = new Set<Promise<void>>();
  readonly #cancel = new AbortController();
  readonly #dispatcher: Dispatcher;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  play(request: Request, calls: number, dueAt: number, maxUnderWay: number): void {
    this.#each((tally) => (tally.asked += calls));
    if (this.#underWay + calls > maxUnderWay) return this.#each((tally) => (tally.shed += calls));
    this.#underWay += calls;
    const played = this.#ask(request, dueAt)
      .catch((error: unknown) => this.#each((tally) => noteCode(tally, nameOf(error))))
      .finally(() => {
        this.#underWay -= calls;
        this.#played.delete(played);
      });
    this.#played.add(played);
  }

  async over(): Promise<void> {
    const timer = setTimeout(() => this.#cancel.abort(), graceMs);
    await Promise.all(this.#played);
    clearTimeout(timer);
  }

  report(startAt: number): string {
    const now = performance.now();
    const line = renderTally(this.#recent, now - this.#recentSince, this.#underWay);
    this.#recent = newTally();
    this.#recentSince = now;
    return `${String(Math.round((now - startAt) / 1_000)).padStart(5)} s  ${line}`;
  }

  async #ask(request: Request, dueAt: number): Promise<void> {
    const { outcomes, ended } = await this.#outcomesOf(request);
    this.#each((tally) => noteOutcomes(tally, outcomes));
    if (ended !== 'completed') this.#each((tally) => noteCode(tally, `run ${ended}`));
    if (request.way !== 'execute' || request.class !== 'interactive') return;
    const ms = performance.now() - dueAt;
    this.#each((tally) => noteLatency(tally, ms));
  }

  async #outcomesOf({ way, principal, calls, class: jobClass }: Request) {
    const { signal } = this.#cancel;
    const asked = { principal, class: jobClass, timeoutMs };
    if (way === 'execute') {
      const { outcomes } = await this.#dispatcher.execute(calls, { ...asked, signal });
      return { outcomes, ended: 'completed' };
    }
    const messages = [{ role: 'user' as const, content: 'What is it worth, and what time is it there?' }];
    if (way === 'run') {
      const conversationId = `load-${principal.userId}`;
      const run = { ...asked, messages, model: scripted, conversationId, signal };
      const { outcomes, state } = await this.#dispatcher.run(run);
      return { outcomes, ended: state };
    }
    const { runId } = await this.#dispatcher.submit({ ...asked, messages, model: scripted.name });
    const { outcomes, state } = await this.#dispatcher.wait(runId, { owner: principal.owner, signal });
    return { outcomes, ended: state };
  }

  #each(note: (tally: Tally) => void): void {
    note(this.all);
    note(this.#recent);
  }
}

/** A durable run that outlasts the load goes on without it. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'error';
  return error.name === 'AbortError' ? 'left under way' : error.name;
}
