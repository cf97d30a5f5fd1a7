import { hash } from 'node:crypto';
import { context, ROOT_CONTEXT, SpanKind, trace, type Context, type Span } from '@opentelemetry/api';
import type { Principal } from './principal.ts';
import { carried, extract, linksTo, spanContextOf, type Carried } from './telemetry-context.ts';
import {
  fail,
  inSpan,
  isUnsampled,
  leaveToOthers,
  nameUser,
  setFacts,
  startSpan,
  type Facts,
  type SpanOptions,
} from './telemetry-span.ts';

/** What all spans of a run say of it. */
interface OfRun {
  runId: string;
  conversationId: string | undefined;
  principal: Principal;
}

const runFacts = ({ runId, conversationId }: Omit<OfRun, 'principal'>): Facts => ({
  'callyard.run.id': runId,
  'gen_ai.conversation.id': conversationId,
});

/** The submit of a durable run: exported at once, so that whatever drives it later has something to hang on. */
export function inSubmitSpan<T>(
  run: OfRun & { parent?: Context },
  work: (context: Carried, describe: (end: NotTakenIn) => void) => Promise<T>,
): Promise<T> {
  const { parent = context.active() } = run;
  return inSpan(
    'submit run',
    SpanKind.PRODUCER,
    runFacts(run),
    (span, at) => {
      nameUser(span, run.principal);
      return work(carried(at), ({ standing, refused }) => {
        setFacts(span, { ...(standing && { 'callyard.run.id': standing.runId }), 'error.type': refused });
        span.addLinks(linksTo(standing?.carrier));
      });
    },
    { parent },
  );
}

/** Why a submit took in no run: its key stood for one before, whose trace is elsewhere, or it was refused. */
interface NotTakenIn {
  standing?: { runId: string; carrier: string | undefined } | undefined;
  refused?: string;
}

/** One hold of a durable run: what it stands under, and how it came about. */
export interface HoldOfRun {
  /** of the submit, or of the first hold that was traced; none where there was no such thing */
  carrier: string | undefined;
  fence: string;
  /** `submitted`, `woken`, `handed-over`, `fault`, or `taken-over` from a dispatcher that died or lost its lock */
  began: string;
  /** those before it that ended without a word, the latest last; times are Redis time */
  lost: readonly { fence: string; heldAt: number; aliveAt: number }[];
  /** in Redis time */
  now: number;
}

interface OfAgent extends OfRun {
  model: string;
  provider: string | undefined;
}

/** How a hold ended that did not end its run: see HoldEnd. */
type Leave = (why: string) => void;

/** One run, or one hold of a durable run: `describe` takes its result, `leave` why somebody else goes on. */
export function inAgentSpan<T>(
  run: OfAgent & { parent?: Context; hold?: HoldOfRun },
  work: (describe: (end: AgentEnd) => void, leave: Leave, begun: BegunTrace | undefined) => Promise<T>,
): Promise<T> {
  const { hold, principal, parent = context.active() } = run;
  const facts: Facts = { ...agentFacts(run), ...(hold && holdFacts(hold)) };
  const options = hold ? holdOptions(run.runId, hold) : { parent };
  return inSpan(
    'invoke_agent callyard',
    SpanKind.INTERNAL,
    facts,
    (span, at) => {
      nameUser(span, principal);
      return work(
        (end) => describeAgent(span, end, hold),
        (why) => leaveHold(span, why),
        hold && hold.carrier === undefined ? begunAt(at) : undefined,
      );
    },
    options,
  );
}

/** The trace that a hold has begun, as its run had none: what the next ones are to hang on. */
interface BegunTrace {
  carrier: string;
  traceId: string;
}

function begunAt(at: Context): BegunTrace | undefined {
  const { carrier, traceId } = carried(at);
  return carrier === undefined || traceId === undefined ? undefined : { carrier, traceId };
}

const agentFacts = (run: OfAgent): Facts => ({
  'gen_ai.operation.name': 'invoke_agent',
  'gen_ai.agent.name': 'callyard',
  'gen_ai.provider.name': run.provider,
  'gen_ai.request.model': run.model,
  ...runFacts(run),
});

export interface AgentEnd {
  state: string;
  stop: string;
  error?: string | undefined;
  usage: { inputTokens: number; outputTokens: number };
}

function describeAgent(span: Span, { state, stop, usage, error }: AgentEnd, hold: HoldOfRun | undefined): void {
  setFacts(span, {
    'callyard.run.state': state,
    'callyard.run.stop': stop,
    'callyard.hold.ended': hold && 'ended',
    'gen_ai.usage.input_tokens': usage.inputTokens,
    'gen_ai.usage.output_tokens': usage.outputTokens,
  });
  if (state === 'failed' || state === 'expired') fail(span, stop, error ?? stop);
}

/** What ended without a word is told of by whoever takes over, as of one that died: here it would be told twice. */
function leaveHold(span: Span, why: string): void {
  setFacts(span, { 'callyard.hold.ended': why });
  if (why === 'stale') leaveToOthers(span);
}

function holdFacts({ fence, began, lost, now }: HoldOfRun): Facts {
  const before = lost.at(-1);
  return {
    'callyard.run.hold': Number(fence),
    'callyard.hold.began': began,
    'callyard.hold.gap.ms': before && Math.max(0, now - before.aliveAt),
  };
}

/** The first hold of a run that had no trace has begun it, also where another dispatcher tells of it. */
function holdOptions(runId: string, { carrier, fence }: Pick<HoldOfRun, 'carrier' | 'fence'>): SpanOptions {
  const id = holdSpanId(runId, fence);
  const parent = extract(carrier);
  const under = spanContextOf(parent);
  return under?.spanId === id ? { parent: ROOT_CONTEXT, id, traceId: under.traceId } : { parent, id };
}

/** The same for whoever knows the run, so that the next holder can export the span of one that was killed. */
const holdSpanId = (runId: string, fence: string): string => hash('sha256', `${runId} ${fence}`).slice(0, 16);

/** The spans of holds whose dispatchers died, or lost their locks: what they began hangs on them. */
export function tellLostHolds(run: OfAgent, { carrier, lost }: Pick<HoldOfRun, 'carrier' | 'lost'>): void {
  if (carrier === undefined || isUnsampled(extract(carrier))) return;
  for (const { fence, heldAt, aliveAt } of lost) {
    const options = holdOptions(run.runId, { carrier, fence });
    const facts: Facts = { ...agentFacts(run), 'callyard.run.hold': Number(fence), 'callyard.hold.ended': 'lost' };
    const span = startSpan('invoke_agent callyard', SpanKind.INTERNAL, facts, { ...options, startTime: heldAt });
    nameUser(span, run.principal);
    fail(span, 'lost', 'its dispatcher died, or lost its lock');
    span.end(Math.max(heldAt, aliveAt));
  }
}

/** The calls of somebody else's loop, which may have no span of its own to hang them on. */
export function inCallsSpan<T>(run: OfRun & { parent?: Context }, work: () => Promise<T>): Promise<T> {
  const { parent = context.active() } = run;
  return inSpan(
    'execute calls',
    SpanKind.INTERNAL,
    runFacts(run),
    (span) => {
      nameUser(span, run.principal);
      return work();
    },
    { parent },
  );
}

/** One question to the model: `describe` takes its answer; what it proposes is linked to `carrier`. */
export function inChatSpan<T>(
  chat: OfRun & { model: string; provider: string },
  work: (describe: (answer: ChatAnswer) => void, carrier: string | undefined) => Promise<T>,
): Promise<T> {
  const facts: Facts = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': chat.provider,
    'gen_ai.request.model': chat.model,
    ...runFacts(chat),
  };
  return inSpan(`chat ${chat.model}`, SpanKind.CLIENT, facts, (span) => {
    nameUser(span, chat.principal);
    const describe = ({ id, model, stop, usage }: ChatAnswer) =>
      setFacts(span, {
        'gen_ai.response.id': id,
        'gen_ai.response.model': model,
        'gen_ai.response.finish_reasons': [finishReasons[stop]],
        'gen_ai.usage.input_tokens': usage.inputTokens,
        'gen_ai.usage.output_tokens': usage.outputTokens,
      });
    return work(describe, span.isRecording() ? carried(context.active()).carrier : undefined);
  });
}

/** Our words for the end of a response, in those that dashboards know. */
const finishReasons = { answer: 'stop', calls: 'tool_calls', length: 'length', filtered: 'content_filter' } as const;

export interface ChatAnswer {
  id?: string;
  model?: string;
  stop: keyof typeof finishReasons;
  usage: { inputTokens: number; outputTokens: number };
}

/** The time in which a turn only waited for its outcomes, told when that is over. */
export interface Gathered {
  /** when the last call was on its way, or the first of calls one after the other; milliseconds since 1970 */
  since: number;
  calls: number;
  /** calls whose outcomes this dispatcher did not wait for */
  missing: number;
  /** the call that was waited for longest */
  slowest: string | undefined;
}

export function tellGathered(run: OfRun, { since, calls, missing, slowest }: Gathered): void {
  if (isUnsampled(context.active()) || trace.getActiveSpan() === undefined) return;
  const facts: Facts = {
    ...runFacts(run),
    'callyard.gather.calls': calls,
    'callyard.gather.missing': missing,
    'callyard.gather.slowest': slowest,
  };
  const span = startSpan('gather calls', SpanKind.INTERNAL, facts, { startTime: since });
  nameUser(span, run.principal);
  span.end();
}
