import type { CallNow, CallStory, LaneWait } from '@callyard/dispatcher';
import { durationText } from './duration-text.ts';

/** Where a call is that has not ended. */
export function nowLine({ approval, pool, toldAt: now }: CallStory, where: CallNow): string {
  const since = `for ${durationText(Math.max(0, now - where.since))}`;
  const unserved = pool?.workers === 0 ? '; no worker serves its pool, so it waits for one, or is moved' : '';
  switch (where.is) {
    case 'lane':
      return `waits in its lane ${since}, place ${where.place} of ${where.of}, ${laneText(where, now)}${unserved}`;
    case 'queued':
      return `let go, waits for a worker to take it ${since}, ${where.before} before it${unserved}`;
    case 'delayed':
      return `waits ${since} for ${delayTexts[where.reason] ?? where.reason}, ${due(where.until, now)}${unserved}`;
    case 'approval':
      return `waits ${since} for ${whoMay(approval?.requires ?? [])} to approve it, ${due(where.until, now)}`;
    case 'active':
      return `runs ${since} on ${where.worker ?? 'a worker'}, ${aliveText(where, unserved)}`;
    case 'proposed':
      return where.isServed
        ? 'proposed by the model, and not enqueued yet'
        : 'proposed by the model, and not enqueued: no worker serves its tool';
    case 'moving':
      return 'on its way from one state to the next; look again';
  }
}

/** Those behind the first wait for the same, and for whoever stands before them. */
function laneText({ place, waitsFor }: Extract<CallNow, { is: 'lane' }>, now: number): string {
  const texts = waitsFor.map((wait) => laneWaitText(wait) + (wait.at === undefined ? '' : `, ${due(wait.at, now)}`));
  return `${place > 1 ? 'the first waits' : 'waits'} for ${texts.join(' and ')}`;
}

function laneWaitText({ reason, per = [], limit }: LaneWait): string {
  if (reason === 'share') return 'a free slot';
  if (reason === 'retry_after') return 'a service that asked for patience';
  return `${reason === 'rate' ? 'the rate' : 'the limit'} of ${limit} per ${per.length === 0 ? 'all' : per.join(' and ')}`;
}

const delayTexts: Partial<Record<string, string>> = {
  retry: 'its next attempt',
  retry_after: 'a service that asked for patience',
  same_call: 'the result of an equal call',
  limit: 'a limit',
  rate: 'a rate',
  concurrency: 'a limit of calls at once',
  approval: 'a worker to take it after the decision',
};

export const whoMay = (requires: readonly string[]): string =>
  requires.length === 0 ? 'a person of its owner' : `a person with ${requires.join(' and ')}`;

/** A job that its worker has lost is noticed by the others of its pool, or by its dispatcher. */
function aliveText({ isAlive, lockMs }: Extract<CallNow, { is: 'active' }>, unserved: string): string {
  if (lockMs === undefined) return `which has lost it${unserved || ': another one takes it over'}`;
  if (isAlive) return 'which lives';
  return unserved
    ? `which is gone${unserved}`
    : `which is gone: taken over when its lock ends, in ${durationText(lockMs)}`;
}

const due = (at: number, now: number): string => (at > now ? `due in ${durationText(at - now)}` : 'due now');
