import { cleanText } from '@callyard/shared/call-log';
import type { DispatcherConfig } from '@callyard/shared/config';
import type { LogEvent } from '@callyard/shared/log-names';
import type { Principal } from '@callyard/shared/principal';
import { createRedactor } from '@callyard/shared/redact';
import { hashOfUser } from '@callyard/shared/telemetry-span';
import type { Logger } from 'pino';
import type { HeldRun } from '@callyard/shared/runs/run-store';
import { isThrownByModel } from './ask.ts';
import { HoldEnd } from './run-over.ts';
import type { RunEnd } from './run-record.ts';

/** What every line about a run says of it. */
interface AboutRun {
  runId: string;
  conversationId?: string | undefined;
  principal: Principal;
}

export const runFields = ({ runId, conversationId, principal }: AboutRun) => ({
  run_id: runId,
  conversation_id: conversationId,
  user_hash: hashOfUser(principal),
});

/** Where lines of runs go, and whether they may hold content. */
interface RunLog {
  log: Logger;
  config: Pick<DispatcherConfig, 'logContent' | 'redactKeys'>;
}

/** Tells when a run begins to be driven, and how that ends; `hold` is that of a durable one. */
export async function logDrive(
  to: RunLog,
  run: AboutRun,
  drive: () => Promise<RunEnd>,
  hold?: Pick<HeldRun, 'fence' | 'began'>,
): Promise<RunEnd> {
  const { log } = to;
  const isChatty = log.isLevelEnabled('debug');
  const isTakenOver = hold?.began.why === 'taken-over';
  if (isTakenOver || isChatty) logBegin(log, run, isTakenOver, hold);
  try {
    const end = await drive();
    if (isChatty || end.state !== 'completed') logEnd(to, run, end);
    return end;
  } catch (error) {
    if (error instanceof HoldEnd) logLeft(log, run, error);
    throw error;
  }
}

function logBegin(log: Logger, run: AboutRun, isTakenOver: boolean, hold: Parameters<typeof logDrive>[3]): void {
  const line = { ...runFields(run), hold: hold?.fence, began: hold?.began.why };
  if (isTakenOver) log.warn({ event: 'run.taken_over', ...line }, 'the dispatcher of a run is gone; it goes on here');
  else log.debug({ event: 'run.started', ...line }, 'a run goes on here');
}

/** A run that ends as it was to is told at `debug` only. */
function logEnd({ log, config }: RunLog, run: AboutRun, end: RunEnd): void {
  const { state, stop } = end;
  const line = { event: 'run.ended', ...runFields(run), state, stop, reason: reasonOf(end, config) };
  log[state === 'completed' ? 'debug' : 'info'](line, 'a run has ended');
}

/** What a model says of its failure is content: a provider may repeat what it was asked. All other reasons are ours. */
function reasonOf({ stop, error, status }: RunEnd, config: RunLog['config']): string | undefined {
  if (error === undefined || (stop !== 'model_error' && stop !== 'internal_error')) return error;
  if (config.logContent) return clean(error, config);
  return status === undefined ? undefined : `the model answered with status ${status}`;
}

/** An error as a line may show it: of one that a model threw its kind and its place, and its words as content. */
export function shownError(error: unknown, config: RunLog['config']): unknown {
  if (!isThrownByModel(error)) return error;
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const shown = new Error(config.logContent ? clean(message, config) : `the model threw a ${name}`);
  const frames = stack.slice(stack.indexOf(message) + message.length);
  shown.stack = `${name}: ${shown.message}${frames.startsWith('\n    at ') ? frames : ''}`;
  return shown;
}

const clean = (text: string, { redactKeys: keys }: RunLog['config']): string =>
  cleanText(text, createRedactor({ keys }));

const left = {
  parked: { event: 'run.parked', level: 'debug', text: 'a run waits for its calls' },
  'handed-over': { event: 'run.handed_over', level: 'info', text: 'a run is left to another dispatcher' },
  stale: { event: 'run.stale', level: 'info', text: 'another dispatcher has the run' },
  gone: { event: 'run.stale', level: 'info', text: 'the record of the run is no more' },
} as const satisfies Record<HoldEnd['why'], { event: LogEvent; level: 'debug' | 'info'; text: string }>;

function logLeft(log: Logger, run: AboutRun, { why }: HoldEnd): void {
  const { event, level, text } = left[why];
  if (log.isLevelEnabled(level)) log[level]({ event, ...runFields(run) }, text);
}
