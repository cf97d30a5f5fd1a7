import { CallError, failures } from '@callyard/shared/failure';
import type { BreakerPolicy } from '@callyard/shared/policy';
import type { Tool } from '@callyard/shared/tool';
import { CircuitState, circuitBreaker, ConsecutiveBreaker, DelegateBackoff, handleType } from 'cockatiel';
import type { Logger } from 'pino';
import { Interruption, type Breakers } from './attempt.ts';
import { classifyError, isServiceFailure } from './classify.ts';
import { tryAgain } from './refusal.ts';

type Circuit = <T>(attempt: () => Promise<T>) => Promise<T>;

export function createBreakers(log: Logger): Breakers {
  const circuits = new Map<Tool, Circuit>();
  return {
    run(tool, attempt) {
      const { name, policy } = tool.manifest;
      if (!policy.breaker) return attempt();
      const circuit = circuits.get(tool) ?? createCircuit(name, policy.breaker, log);
      circuits.set(tool, circuit);
      return circuit(attempt);
    },
  };
}

/** The end of an attempt that the circuit takes for a failure. */
class Counted extends Error {
  override readonly cause: unknown;
  /** of a probe that says nothing of the service: the circuit opens again, for the next call to try */
  readonly inconclusive: boolean;

  constructor(cause: unknown, inconclusive: boolean) {
    super();
    this.cause = cause;
    this.inconclusive = inconclusive;
  }
}

function createCircuit(tool: string, { failures: most, halfOpenAfterMs }: BreakerPolicy, log: Logger): Circuit {
  const pauseMs = (reason: object) =>
    'error' in reason && reason.error instanceof Counted && reason.error.inconclusive ? 0 : halfOpenAfterMs;
  const breaker = circuitBreaker(handleType(Counted), {
    breaker: new ConsecutiveBreaker(most),
    halfOpenAfter: new DelegateBackoff(({ result }) => pauseMs(result)),
  });
  let probeAt = 0;
  breaker.onBreak((reason) => {
    const ms = pauseMs(reason);
    probeAt = Date.now() + ms;
    if (ms > 0) log.warn({ event: 'circuit.open', tool, ms }, 'a tool fails and is not asked for a while');
  });
  breaker.onReset(() => log.info({ event: 'circuit.closed', tool }, 'a tool works again'));

  return async (attempt) => {
    const isProbe = breaker.state === CircuitState.Open;
    if (isProbe && Date.now() < probeAt) throw circuitOpen(probeAt - Date.now());
    // The library would let these wait for the probe, each in a slot. Should it fail, the pause begins anew.
    if (breaker.state === CircuitState.HalfOpen) throw circuitOpen(halfOpenAfterMs);
    // A call that began while the circuit was closed has no say once it is not: the probe has.
    const counts = () => isProbe || breaker.state === CircuitState.Closed;
    return unwrapped(
      breaker.execute(() => attempt().then(ended, (error: unknown) => judged(error, isProbe, counts()))),
    );
  };
}

type End<T> = { value: T } | { error: unknown };

const ended = <T>(value: T): End<T> => ({ value });

function judged(error: unknown, isProbe: boolean, counts: boolean): { error: unknown } {
  const verdict = counts ? verdictOn(error) : 'nothing';
  if (verdict === 'answer') return { error };
  if (verdict === 'failure' || isProbe) throw new Counted(error, verdict === 'nothing');
  throw error;
}

/** What an error says of the service. One of the tool's own, "no such order", shows that it answers. */
function verdictOn(error: unknown): 'failure' | 'answer' | 'nothing' {
  if (error instanceof Interruption) return 'nothing';
  const { code, retry } = classifyError(error);
  if (isServiceFailure({ code, retry })) return typeof retry === 'object' ? 'nothing' : 'failure';
  return code === 'tool_error' || code === 'upstream_error' ? 'answer' : 'nothing';
}

async function unwrapped<T>(end: Promise<End<T>>): Promise<T> {
  const result = await end.catch((error: unknown) => ({ error: error instanceof Counted ? error.cause : error }));
  if ('error' in result) throw result.error;
  return result.value;
}

function circuitOpen(retryAfterMs: number): CallError {
  return new CallError('circuit_open', failures.circuit_open.forModel + tryAgain(retryAfterMs), { retryAfterMs });
}
