/**
 * Ends an attempt from outside. The signal that handlers see is made when one is first looked at: an AbortController
 * and a listener for each call, which most handlers never look at, cost 3 µs.
 */
export class AttemptAbort {
  #ended: { reason: unknown } | undefined;
  #controller: AbortController | undefined;
  #listener: (() => void) | undefined;

  /** The first reason holds. */
  abort(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#controller?.abort(reason);
    this.#listener?.();
  }

  get aborted(): boolean {
    return this.#ended !== undefined;
  }

  get reason(): unknown {
    return this.#ended?.reason;
  }

  /** What handlers get. */
  get signal(): AbortSignal {
    if (this.#controller) return this.#controller.signal;
    this.#controller = new AbortController();
    if (this.#ended) this.#controller.abort(this.#ended.reason);
    return this.#controller.signal;
  }

  /** Told once, at once if it is over already; one listener at a time, undefined for none. */
  listen(listener: (() => void) | undefined): void {
    this.#listener = listener;
    if (this.#ended) listener?.();
  }
}
