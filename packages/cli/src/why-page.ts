import type { CallStory, RunStory, Why } from '@callyard/dispatcher';
import { plainLine, plainOnLine } from './chat/plain-text.ts';
import { durationText } from './duration-text.ts';
import { renderTable } from './table.ts';
import { nowLine, whoMay } from './why-now.ts';

/** The life of a call in lines: what it is, what it waited for, how it ran, and where it is or how it ended. */
export function renderCall(story: CallStory, traceUrl: string): string {
  return pageOf([
    ...aboutLines(story),
    ...retryLines(story),
    ...waitLines(story),
    ...approvalLines(story),
    ...attemptLines(story),
    ...(story.now ? [nowLine(story, story.now)] : []),
    ...endLines(story),
    ...traceLines(story.traceId, traceUrl),
    ...contentLines(story),
  ]);
}

/** Ids and names are as models and providers wrote them. */
const pageOf = (lines: readonly string[]): string => lines.map(plainOnLine).join('\n');

/** Longest text of an error on a line. */
const longest = 300;

function aboutLines({ key, tool, class: ofClass, owner, userId, ...story }: CallStory): string[] {
  const { runId, conversationId, enqueuedAt, deadlineAt, dispatcher, pool, providerId } = story;
  const kind = ofClass === undefined ? '' : `, ${ofClass}`;
  const conversation = conversationId === undefined ? '' : ` of conversation ${conversationId}`;
  const by = dispatcher === undefined ? '' : ` by dispatcher ${dispatcher}`;
  return [
    `${key}: ${tool.name}${tool.version === '' ? '' : `@${tool.version}`}${kind}`,
    `run ${runId}${conversation}${owner === undefined ? '' : `, for ${owner}/${userId}`}`,
    ...(providerId === undefined ? [] : [`the model calls it ${providerId}`]),
    ...(enqueuedAt === undefined ? [] : [`enqueued ${at(enqueuedAt)}${by}`]),
    ...(deadlineAt === undefined ? [] : [`deadline ${at(deadlineAt)}`]),
    ...(pool === undefined ? [] : [`pool ${pool.id}: ${poolText(pool)}`]),
  ];
}

const poolText = ({ workers, slots }: NonNullable<CallStory['pool']>): string =>
  workers === 0 ? 'no worker serves it' : `${counted(workers, 'worker')} with ${counted(slots, 'slot')}`;

function retryLines({ replayOf, retry }: CallStory): string[] {
  const code = retry?.code === undefined ? '' : ` (${retry.code})`;
  return [
    ...(replayOf === undefined ? [] : [`a retry of the dead letter ${replayOf}`]),
    ...(retry ? [`retried as ${retry.key}: ${retry.state.replace('_', ' ')}${code}`] : []),
  ];
}

function waitLines({ waits, lost }: CallStory): string[] {
  const lines = waits.map(({ reason, ms, per, bucket }) => {
    const limit = per === undefined ? '' : ` per ${per}`;
    return `waited ${durationText(ms)} for ${waitTexts[reason]}${limit}${bucket === undefined ? '' : `, bucket ${bucket}`}`;
  });
  return [...lines, ...(lost > 0 ? [`lost ${counted(lost, 'worker')} on its way`] : [])];
}

const waitTexts: Record<CallStory['waits'][number]['reason'], string> = {
  queue: 'a worker to take it',
  share: 'a free slot in its lane',
  rate: 'a rate',
  concurrency: 'a limit of calls at once',
  retry: 'its next attempt',
  retry_after: 'a service that asked for patience',
  shutdown: 'another worker, as its own stopped',
  same_call: 'the result of an equal call',
  approval: 'a person to approve it',
  lost: 'somebody to notice that its worker was gone',
  no_worker: 'a worker that serves its tool',
};

function approvalLines({ approval, end }: CallStory): string[] {
  if (!approval) return [];
  const asked = `nobody decided on it: ${whoMay(approval.requires)} was asked ${at(approval.askedAt)}`;
  if (!approval.decision) return end ? [asked] : [];
  const { approved, by, why, at: decidedAt } = approval.decision;
  const reason = why === undefined ? '' : `: ${plainLine(why, longest)}`;
  return [`${approved ? 'approved' : 'denied'} by ${by.userId} ${at(decidedAt)}${reason}`];
}

function attemptLines({ failedAttempts, attempts, worker, end }: CallStory): string[] {
  const failed = failedAttempts.map(
    ({ attempt, code, message, worker: by, at: failedAt }) =>
      `attempt ${attempt} failed ${at(failedAt)} on ${by}, ${code}: ${plainLine(message, longest)}`,
  );
  if (!end || worker === undefined) return failed;
  if (end.settledBy === 'dispatcher') return [...failed, `last picked up by ${worker}`];
  const ran = end.ranMs === undefined ? '' : ` for ${durationText(end.ranMs)}`;
  return [...failed, attempts === 0 ? `picked up by ${worker}` : `attempt ${attempts} ran on ${worker}${ran}`];
}

function endLines({ end, worker, toldAt }: CallStory): string[] {
  if (!end) return [];
  const { status, error, cached, degraded, settledBy, totalMs, waitedMs, keptUntil } = end;
  const notes = [
    ...(cached ? ['from the cache'] : []),
    ...(degraded ? [`in place of ${degraded.why}`] : []),
    ...(settledBy === 'dispatcher' ? ['settled by its dispatcher'] : []),
  ];
  const what = error ? `${status}, ${error.code}: ${plainLine(error.message, longest)}` : status;
  const took = totalMs === undefined ? [] : [`took ${tookText(totalMs, waitedMs, worker)}`];
  const kept = keptUntil === undefined ? [] : [`kept for ${durationText(Math.max(0, keptUntil - toldAt))} more`];
  return [notes.length > 0 ? `${what} (${notes.join(', ')})` : what, ...took, ...kept];
}

/** What no worker ever had did not run. */
function tookText(totalMs: number, waitedMs: number, worker: string | undefined): string {
  const total = durationText(totalMs);
  if (worker === undefined) return total;
  return `${total}: ${durationText(waitedMs)} waiting, ${durationText(Math.max(0, totalMs - waitedMs))} running`;
}

function traceLines(traceId: string | undefined, traceUrl: string): string[] {
  if (traceId === undefined) return [];
  return [`trace ${traceUrl === '' ? traceId : traceUrl.replaceAll('{trace}', traceId)}`];
}

function contentLines({ content = {} }: CallStory): string[] {
  return Object.entries(content).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
}

/** The calls of a run, each with the key by which more is told. */
export function renderRunCalls(
  { runId, state, stop, owner, userId, conversationId, calls, traceId }: RunStory,
  traceUrl: string,
): string {
  const rows = calls.map(({ key, tool, status, code, ms }) => [
    key,
    tool,
    code === undefined || code === status ? status : `${status}: ${code}`,
    ms === undefined ? '' : durationText(ms),
  ]);
  const ended = stop === undefined || stop === state ? state : `${state} (${stop})`;
  const conversation = conversationId === undefined ? '' : `, conversation ${conversationId}`;
  const table = renderTable([['CALL', 'TOOL', 'OUTCOME', 'TOOK'], ...rows]);
  return pageOf([
    `run ${runId}: ${ended}, for ${owner}/${userId}${conversation}`,
    ...traceLines(traceId, traceUrl),
    ...(rows.length === 0 ? ['no calls so far'] : table.split('\n')),
  ]);
}

export function renderUnreadable({ key, pool, why }: Extract<Why, { kind: 'unreadable' }>): string {
  return plainOnLine(
    `${key}: there is a job in pool ${pool}, and it cannot be read: ${why}. ` +
      'Workers leave one of a newer version to newer workers for an hour, and refuse any other.',
  );
}

export function renderGone({ key, keptMs, deadKeptMs }: Extract<Why, { kind: 'gone' }>): string {
  const isRun = !key.includes('.');
  if (isRun)
    return `${key}: no durable run is known by it. Records are kept for ${durationText(keptMs)} past their end.`;
  return (
    `${key}: there is neither a job nor an outcome. It was never enqueued, or it is kept no longer: outcomes for ` +
    `${durationText(keptMs)} past the deadline of their call, dead letters for ${durationText(deadKeptMs)}. ` +
    'Its trace and its log lines (job_id) may still tell.'
  );
}

const at = (ms: number): string => new Date(ms).toISOString();

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
