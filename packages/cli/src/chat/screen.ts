import { styleText } from 'node:util';
import type { RunEvent } from '@callyard/dispatcher';
import { plainLine } from './plain-text.ts';
import type { Terminal } from './terminal.ts';

type EventOf<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>;
type CallEvent = Extract<RunEvent, { key: string }>;

/** Of the arguments and the progress of a call. */
const maxShown = 120;

/** Shows the events of one run: text as it comes, and a line for whatever happens to a call. */
export class Screen {
  readonly #terminal: Pick<Terminal, 'write' | 'line'>;
  readonly #names = new Map<string, string>();
  readonly #arguments = new Map<string, string>();
  /** of the turn whose text comes */
  #turn = 0;
  #told = '';

  constructor(terminal: Pick<Terminal, 'write' | 'line'>) {
    this.#terminal = terminal;
  }

  show(event: RunEvent): void {
    switch (event.type) {
      case 'state':
        return this.#state(event);
      case 'model.started':
        return this.#begin(event);
      case 'model.delta':
        if (event.turn === this.#turn) this.#tell(event.text);
        return;
      case 'model.finished':
        return this.#finish(event);
      case 'end':
        return this.#end(event);
      default:
        this.#note(callText(event, this.nameOf(event)));
    }
  }

  /** A call by its tool; by its place too, where the turn has several calls of the tool. */
  nameOf({ key, tool }: Pick<CallEvent, 'key' | 'tool'>): string {
    return this.#names.get(key) ?? plainLine(tool, maxShown);
  }

  argumentsOf(key: string): string {
    return this.#arguments.get(key) ?? '';
  }

  #state({ state }: EventOf<'state'>): void {
    if (state === 'queued') this.#note('(handed over: it waits for a dispatcher)');
    if (state === 'waiting') this.#note('(put away until its calls have ended)');
    if (state === 'cancelled') this.#note('(cancelled)');
  }

  #begin({ turn }: EventOf<'model.started'>): void {
    if (turn === this.#turn && this.#told !== '') this.#note('(asked again: what it said so far is void)');
    this.#turn = turn;
    this.#told = '';
  }

  #tell(text: string): void {
    this.#told += text;
    this.#terminal.write(text);
  }

  /** The text as it was recorded; deltas may have been lost, or be those of another answer. */
  #finish({ turn, text = '', calls }: EventOf<'model.finished'>): void {
    const isBegun = text.startsWith(this.#told);
    if (!isBegun) this.#note('(another answer was recorded)');
    this.#tell(isBegun ? text.slice(this.#told.length) : text);
    this.#turn = turn + 1;
    this.#told = '';
    for (const [index, { key, tool, arguments: given }] of calls.entries()) {
      const isAlone = calls.filter((call) => call.tool === tool).length === 1;
      const name = plainLine(tool, maxShown);
      this.#names.set(key, isAlone ? name : `${name} #${index + 1}`);
      this.#arguments.set(key, plainLine(given, maxShown));
      this.#note(`→ ${this.nameOf({ key, tool })} ${this.argumentsOf(key)}`);
    }
  }

  #end({ state, stop, error }: EventOf<'end'>): void {
    if (state === 'completed') return this.#terminal.write(this.#told === '' ? '' : '\n');
    const why = stop === state ? state : `${state} (${stop})`;
    const text = `The run is ${why}${error === undefined ? '' : `: ${plainLine(error, 1_000)}`}`;
    this.#terminal.line(styleText('red', text));
  }

  #note(text: string): void {
    this.#terminal.line(styleText('dim', `  ${text}`));
  }
}

function callText(event: CallEvent, name: string): string {
  switch (event.type) {
    case 'call.waiting':
      return `… ${name} waits: ${event.reason}${event.until === undefined ? '' : `, until ${timeOf(event.until)}`}`;
    case 'call.started':
      return `▸ ${name} runs${event.attempt > 1 ? `, attempt ${event.attempt}` : ''} (${event.worker})`;
    case 'call.progress':
      return `▸ ${name}: ${plainLine(progressText(event.progress), maxShown)}`;
    case 'call.finished': {
      const mark = event.status === 'completed' ? '✓' : '✗';
      const code = event.code === undefined || event.code === event.status ? '' : `: ${event.code}`;
      return `${mark} ${name} ${event.status}${code}${event.durationMs === undefined ? '' : `, ${event.durationMs} ms`}`;
    }
    case 'approval.needed':
      return `? ${name} waits for approval, until ${timeOf(event.expiresAt)}`;
    case 'approval.decided': {
      const why = event.why === undefined ? '' : `: ${plainLine(event.why, maxShown)}`;
      return `! ${name} ${event.decision} by ${plainLine(event.by, maxShown)}${why}`;
    }
  }
}

const progressText = (progress: unknown): string =>
  typeof progress === 'string' ? progress : (JSON.stringify(progress) ?? '');

/** Of the day, as the clock of this machine shows it. */
const timeOf = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);
