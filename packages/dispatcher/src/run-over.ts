import { failures } from '@callyard/shared/failure';

/** Why nobody waits for the calls of a run any more: they are settled with this. */
export class RunOver extends Error {
  readonly code: 'deadline_exceeded' | 'cancelled';

  constructor(code: RunOver['code']) {
    super(failures[code].forModel);
    this.name = 'RunOver';
    this.code = code;
  }
}

/** Why a dispatcher goes no further with a durable run, which goes on without it: nothing is settled. */
export class HoldEnd extends Error {
  readonly why: 'stale' | 'gone' | 'handed-over' | 'parked';
  /** nothing has failed: its span is no error */
  readonly benign = true;
  /** the calls a parked run waits for */
  readonly missing: readonly string[];

  /** `stale` and `gone`: somebody else has the run, or nobody can have it any more, so nothing may be written. */
  constructor(why: HoldEnd['why'], missing: readonly string[] = []) {
    super(`the hold on the run has ended: ${why}`);
    this.name = 'HoldEnd';
    this.why = why;
    this.missing = missing;
  }
}
