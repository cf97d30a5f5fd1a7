import type { Logger } from 'pino';
import type { Audit } from './audit.ts';
import { argumentsIn } from './arguments.ts';
import type { Envelope, Outcome, OutcomeError } from './call.ts';
import { failures, type FailureCode } from './failure.ts';
import type { LogEvent } from './log-names.ts';
import { hashOfUser } from './telemetry-span.ts';

/** Longest argument, result or error text in a line, in characters. */
const maxText = 4_096;

/** Longest name of a tool and id of a call in a line: models and their servers write what they like there. */
const maxName = 256;

/** What every line about a call says of it. */
export const callFields = ({ key, runId, conversationId, call, tool, principal }: Envelope) => ({
  job_id: key,
  run_id: runId,
  conversation_id: conversationId,
  tool: tool.name.slice(0, maxName),
  tool_call_id: call.id.slice(0, maxName) || undefined,
  user_hash: hashOfUser(principal),
});

export interface CallLog {
  log: Logger;
  audit: Audit;
  redact: (value: unknown) => unknown;
  /** what tools say of their failures is told, and at level `debug` arguments and results */
  logContent: boolean;
}

/** One line for each outcome, by whoever wrote it into the ledger; a refused call says who asked, in the audit stream. */
export function logOutcome(outcome: Outcome, envelope: Envelope, to: CallLog): void {
  const { error, status, degraded, durationMs, attempts, lost, traceId } = outcome;
  const { log } = to;
  if (!error && !degraded && !log.isLevelEnabled('debug')) return;
  if (error && status === 'refused') return auditRefused(outcome, envelope, to);
  const line = {
    event: `call.${degraded ? 'degraded' : status}` satisfies LogEvent,
    ...callFields(envelope),
    ...(traceId === undefined ? {} : { trace_id: traceId }),
    duration_ms: durationMs,
    attempts,
    lost,
    ...contentOf(outcome, envelope, to),
  };
  if (degraded) log.warn({ ...line, code: degraded.why, by: degraded.by }, 'completed without its tool');
  else if (error) log[failures[error.code].level]({ ...line, code: error.code }, failureText(error, to));
  else log.debug(line, 'completed');
}

function auditRefused({ error, traceId }: Outcome, { principal, ...envelope }: Envelope, { audit }: CallLog): void {
  const { key: job_id, runId: run_id, tool } = envelope;
  if (!error) return;
  const record = {
    event: 'call.refused',
    decision: 'refused',
    principal,
    job_id,
    run_id,
    tool: tool.name.slice(0, maxName),
  } as const;
  // Details of a permission are names of permissions; those of arguments would be content.
  const more = error.code === 'permission_denied' && error.details ? { details: error.details } : {};
  const { level } = failures[error.code];
  const { code } = error;
  audit.write({ ...record, code, trace_id: traceId, more }, 'refused', level === 'warn' ? level : 'info');
}

/** Errors whose texts may quote arguments and results: those of the tool itself, and of arguments a fallback refuses. */
const mayQuote: readonly FailureCode[] = ['tool_error', 'upstream_error', 'invalid_arguments'];

/** What a tool says of its failure is content; `callyard why` shows it. */
export function failureText(
  { code, message }: Pick<OutcomeError, 'code' | 'message'>,
  to: Pick<CallLog, 'logContent' | 'redact'>,
): string {
  if (mayQuote.includes(code) && !to.logContent) return failures[code].forModel;
  return cleanText(message, to.redact);
}

export const cleanText = (text: string, redact: CallLog['redact']): string => String(redact(text)).slice(0, maxText);

function contentOf({ value }: Outcome, { call }: Envelope, { log, logContent, redact }: CallLog) {
  if (!logContent || !log.isLevelEnabled('debug')) return {};
  const cut = (content: unknown) => (JSON.stringify(redact(content)) ?? '').slice(0, maxText);
  return { arguments: cut(argumentsIn(call.arguments)), ...(value === undefined ? {} : { result: cut(value) }) };
}
