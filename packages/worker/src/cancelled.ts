import { CallError } from '@callyard/shared/failure';
import type { Attempt } from './attempt.ts';

/** Aborts an attempt as nobody waits for its call any more. Its class tells it from what a handler may throw. */
export class Cancelled extends CallError {
  /** no fault of the tool: its span is no error */
  readonly benign = true;

  constructor() {
    super('cancelled');
  }
}

/** Set where the call was cancelled: it ends as that, whatever its tool or its fallback made of it. */
export const cancelOf = ({ abort }: Pick<Attempt, 'abort'>): Cancelled | undefined => {
  const reason: unknown = abort.signal.reason;
  return reason instanceof Cancelled ? reason : undefined;
};
