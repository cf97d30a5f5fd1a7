import { cacheIdOf } from '@callyard/shared/cache';
import type { Degraded } from '@callyard/shared/call';
import { callFields, failureText } from '@callyard/shared/call-log';
import type { CallError } from '@callyard/shared/failure';
import type { Tool } from '@callyard/shared/tool';
import { AlreadySettled, Interruption, type Attempt, type WorkerContext } from './attempt.ts';
import { authorize } from './authorize.ts';
import { bounded } from './bounded.ts';
import { cancelOf } from './cancelled.ts';
import { classifyError, isServiceFailure } from './classify.ts';
import { execute } from './execute.ts';
import { fallbackToolOf } from './fallback-tools.ts';
import { redact } from './redact.ts';
import { UpstreamBlocked } from './refusal.ts';
import { validate } from './validate.ts';

/** A value that stands in for the one the tool failed to give. */
export interface Substitute {
  value: unknown;
  degraded: Degraded;
}

/**
 * Finds something to answer with where the service behind a tool fails or is not asked: the last cached value, if its
 * policy lets it be that old, else the tool's fallback. Undefined where there is none, or where it fails, too. No
 * fallback takes limits of its own: the call has taken those of its tool.
 */
export async function degrade(
  error: CallError,
  attempt: Attempt,
  worker: WorkerContext,
): Promise<Substitute | undefined> {
  const { envelope } = attempt;
  const tool = worker.tools.resolve(envelope.tool);
  if (!tool || !mayDegrade(error) || worker.clock.now() >= envelope.deadlineAt) return undefined;
  if (!tool.fallback && !tool.manifest.policy.cache?.staleIfErrorMs) return undefined;
  const [standing] = await worker.ledger.read([envelope.key]);
  if (standing) throw new AlreadySettled(standing); // cancelled meanwhile, say: nobody would read it
  const args = validate(attempt, tool, worker);
  const stale = await lastValue(attempt, tool, args, worker);
  if (stale) return { value: stale.value, degraded: { why: error.code, by: 'stale' } };
  return runFallback(error, attempt, tool, args, worker);
}

/** A fault of the service, or its wish to be left alone; never one of the call. */
const mayDegrade = (error: CallError): boolean =>
  isServiceFailure(error) || error.code === 'circuit_open' || error instanceof UpstreamBlocked;

async function lastValue(
  { envelope }: Attempt,
  { manifest }: Tool,
  args: unknown,
  { cache }: WorkerContext,
): Promise<{ value: unknown } | undefined> {
  const policy = manifest.policy.cache;
  return policy?.staleIfErrorMs ? cache.read(cacheIdOf(manifest, policy.scope, envelope.principal, args)) : undefined;
}

async function runFallback(
  error: CallError,
  attempt: Attempt,
  tool: Tool,
  args: unknown,
  worker: WorkerContext,
): Promise<Substitute | undefined> {
  if (!tool.fallback) return undefined;
  try {
    const value = redact(await substitute(attempt, tool, args, worker), worker);
    return { value, degraded: { why: error.code, by: typeof tool.fallback === 'function' ? 'handler' : 'tool' } };
  } catch (reason) {
    if (reason instanceof Interruption && !hasNoWayBack(reason, tool)) throw reason;
    if (cancelOf(attempt)) return undefined;
    const { code, message } = classifyError(reason);
    const line = { event: 'fallback.failed', ...callFields(attempt.envelope), code };
    const { redact: clean, limits } = worker;
    const text = failureText({ code, message }, { redact: clean, logContent: limits.logContent });
    worker.log.warn(line, `a fallback failed: ${text}`);
    return undefined;
  }
}

/** Handed back at a shutdown, a call that must not start twice would end as `outcome_unknown`; its error says more. */
const hasNoWayBack = ({ kind }: Interruption, { manifest }: Tool): boolean =>
  kind === 'shutdown' && manifest.policy.effects === 'at-most-once';

/** Runs the fallback of a tool; another tool that fails has its own, in turn. */
async function substitute(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<unknown> {
  const { fallback } = tool;
  if (typeof fallback === 'function') return bounded(attempt, tool, worker, (ctx) => fallback(args as never, ctx));
  const other = fallback && fallbackToolOf(fallback.tool, worker.tools);
  if (!other) throw new TypeError(`no fallback of ${tool.manifest.name} is here`);
  authorize(attempt, other);
  const itsArgs = validate(attempt, other, worker);
  try {
    return await execute(attempt, other, itsArgs, worker);
  } catch (error) {
    if (error instanceof Interruption || !other.fallback || !mayDegrade(classifyError(error))) throw error;
    return substitute(attempt, other, itsArgs, worker);
  }
}
