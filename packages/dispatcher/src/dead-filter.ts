import type { DeadJob, DeadWindow } from '@callyard/shared/dead-jobs';
import { failureCodes, failures, type FailureCode } from '@callyard/shared/failure';
import { nearest } from '@callyard/shared/nearest';
import { highestIn, isRange } from '@callyard/shared/version';

/** Which dead letters; all that is given must hold. */
export interface DeadLetterFilter {
  /** `weather`, or with a semver range `weather@^1` */
  tool?: string;
  owner?: string;
  userId?: string;
  code?: FailureCode;
  /** failed at least this long ago */
  olderThanMs?: number;
  /** failed at most this long ago */
  newerThanMs?: number;
}

/** Letters by their keys, by a filter, or all of them. */
export type DeadLetterSelection = { keys: readonly string[] } | { filter: DeadLetterFilter } | { all: true };

/** What was asked of dead letters cannot be done; the message says what can. */
export class DeadLetterError extends Error {
  override name = 'DeadLetterError';
}

const deadCodes = failureCodes.filter((code) => failures[code].deadLetter);

/** @throws DeadLetterError for what no letter could ever match */
export function readFilter(
  { tool, owner, userId, code, olderThanMs, newerThanMs }: DeadLetterFilter,
  now: number,
): { window: DeadWindow; matches: (job: DeadJob) => boolean } {
  const wanted = tool === undefined ? undefined : readTool(tool);
  if (code !== undefined && !deadCodes.includes(code)) throw unknownCode(code);
  const ago = (ms: number | undefined, what: string): number | undefined => {
    if (ms !== undefined && !(ms >= 0)) throw new DeadLetterError(`${what}: ${ms} is no length of time`);
    return ms === undefined ? undefined : now - ms;
  };
  const before = ago(olderThanMs, 'olderThanMs');
  const after = ago(newerThanMs, 'newerThanMs');
  return {
    window: { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) },
    matches: (job) =>
      (!wanted || wanted(job)) &&
      (owner ?? job.envelope.owner) === job.envelope.owner &&
      (userId ?? job.envelope.principal.userId) === job.envelope.principal.userId &&
      (code ?? job.code) === job.code,
  };
}

function readTool(text: string): (job: DeadJob) => boolean {
  const [name, ...rest] = text.split('@');
  const range = rest.length === 0 ? undefined : rest.join('@');
  if (range !== undefined && !isRange(range)) throw new DeadLetterError(`${text}: ${range || 'nothing'} is no range`);
  return ({ envelope: { tool } }) =>
    tool.name === name && (range === undefined || highestIn([tool.version], range) !== undefined);
}

function unknownCode(code: string): DeadLetterError {
  const close = nearest(code, deadCodes);
  const hint = close === undefined ? '.' : `; did you mean ${close}?`;
  return new DeadLetterError(`${code} is no code of a dead letter${hint} They have ${deadCodes.join(', ')}.`);
}
