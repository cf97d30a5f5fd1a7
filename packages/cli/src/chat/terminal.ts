import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { plainText } from './plain-text.ts';

export interface AskOptions {
  /** takes the question back */
  signal?: AbortSignal;
  /** on a terminal, what was typed before the question is no answer to it */
  fresh?: boolean;
}

/** Where a person types and reads; without one, lines that come in and text that goes out. */
export class Terminal {
  readonly isInteractive = process.stdin.isTTY && process.stdout.isTTY;
  readonly #reader: Interface;
  readonly #typed: string[] = [];
  /** a question stands */
  #answer: ((line: string | undefined) => void) | undefined;
  #hasEnded = false;
  #isAtStart = true;
  #interrupt: () => void = () => {};

  constructor() {
    this.#reader = createInterface({ input: process.stdin, output: this.#echo(), terminal: this.isInteractive });
    this.#reader.on('line', (line) => {
      if (!this.#settle(line)) this.#typed.push(line);
    });
    this.#reader.on('close', () => {
      this.#hasEnded = true;
      this.#settle(undefined);
    });
    this.#reader.on('SIGINT', this.#onInterrupt);
    process.on('SIGINT', this.#onInterrupt);
  }

  /** Resolves with a line; undefined when the input has ended, or the question was taken back. */
  async ask(question: string, { signal, fresh = false }: AskOptions = {}): Promise<string | undefined> {
    if (!this.#isAtStart) this.#put('\n');
    if (signal?.aborted) return undefined;
    if (fresh && this.isInteractive) this.#forgetTyped();
    const early = this.#typed.shift();
    const line = early ?? (this.#hasEnded ? undefined : await this.#nextLine(question, signal));
    if (line !== undefined && (early !== undefined || !this.isInteractive)) this.#put(`${question}${line}\n`);
    return line;
  }

  /** Text of a model, as it comes. */
  write(text: string): void {
    this.#put(plainText(text));
  }

  /** A line of its own, also while a question stands. */
  line(text: string): void {
    const stands = this.isInteractive && this.#answer !== undefined;
    if (stands) this.#put('\r\x1b[K');
    else if (!this.#isAtStart) this.#put('\n');
    this.#put(`${text}\n`);
    if (stands) this.#reader.prompt(true);
  }

  /** What Ctrl-C does from now on. */
  onInterrupt(handle: () => void): void {
    this.#interrupt = handle;
  }

  close(): void {
    process.off('SIGINT', this.#onInterrupt);
    this.#reader.close();
  }

  readonly #onInterrupt = (): void => this.#interrupt();

  #put(text: string): void {
    if (text === '') return;
    process.stdout.write(text);
    this.#isAtStart = text.endsWith('\n');
  }

  async #nextLine(question: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const takeBack = () => this.#settle(undefined);
    this.#answer = resolve;
    signal?.addEventListener('abort', takeBack, { once: true });
    if (this.isInteractive) {
      this.#reader.setPrompt(question);
      this.#reader.prompt(true);
    }
    const line = await promise;
    signal?.removeEventListener('abort', takeBack);
    if (this.isInteractive && line === undefined) this.#put('\n');
    return line;
  }

  /** At once: of lines that come together, each answers one question. */
  #settle(line: string | undefined): boolean {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(line);
    return answer !== undefined;
  }

  #forgetTyped(): void {
    this.#typed.length = 0;
    if (this.#hasEnded) return;
    this.#reader.write(null, { ctrl: true, name: 'e' });
    this.#reader.write(null, { ctrl: true, name: 'u' });
  }

  /** What is typed while an answer streams is kept for the next question, and not shown in the middle of the answer. */
  #echo(): Writable {
    const echo = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#answer) process.stdout.write(chunk);
        done();
      },
    });
    return Object.defineProperty(echo, 'columns', { get: () => process.stdout.columns });
  }
}
