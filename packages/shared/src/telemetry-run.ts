import { hash } from 'node:crypto';
import { context, SpanKind, trace, type Context, type Span } from '@opentelemetry/api';
import type { Principal } from './principal.ts';
import { carried, extract, type Carried } from './telemetry-context.ts';
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
export function inSubmitSpan<T>(run: OfRun & { parent?: Context }, work: (context: Carried) => Promise<T>): Promise<T> {
  const { parent = context.active() } = run;
  return inSpan(
    'submit run',
    SpanKind.PRODUCER,
    runFacts(run),
    (span) => {
      nameUser(span, run.principal);
      return work(carried(context.active()));
    },
    { parent },
  );
}

/** One hold of a durable run: what it stands under, and how it came about. */
export interface HoldOfRun {
  /** of the submit */
  carrier: string | undefined;
  fence: string;
  /** `submitted`, `woken`, `handed-over`, or `taken-over` from a dispatcher that died or lost its lock */
  began: string;
  /** of what was taken over: when its hold began, and when it last wrote to the record */
  before?: { heldAt: number; aliveAt: number } | undefined;
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
  work: (describe: (end: AgentEnd) => void, leave: Leave) => Promise<T>,
): Promise<T> {
  const { hold, principal, parent = context.active() } = run;
  const facts: Facts = { ...agentFacts(run), ...(hold && holdFacts(hold)) };
  const options = hold ? holdOptions(run.runId, hold) : { parent };
  return inSpan(
    'invoke_agent callyard',
    SpanKind.INTERNAL,
    facts,
    (span) => {
      nameUser(span, principal);
      return work(
        (end) => describeAgent(span, end, hold),
        (why) => leaveHold(span, why),
      );
    },
    options,
  );
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

/** Whoever takes over from a stale hold tells of it, as of one that died: here it would be told twice. */
function leaveHold(span: Span, why: string): void {
  setFacts(span, { 'callyard.hold.ended': why });
  if (why === 'stale') leaveToOthers(span);
}

const holdFacts = ({ fence, began, before, now }: HoldOfRun): Facts => ({
  'callyard.run.hold': Number(fence),
  'callyard.hold.began': began,
  'callyard.hold.gap.ms': before && Math.max(0, now - before.aliveAt),
});

const holdOptions = (runId: string, { carrier, fence }: Pick<HoldOfRun, 'carrier' | 'fence'>): SpanOptions =>
  carrier === undefined ? {} : { parent: extract(carrier), id: holdSpanId(runId, fence) };

/** The same for whoever knows the run, so that the next holder can export the span of one that was killed. */
const holdSpanId = (runId: string, fence: string): string => hash('sha256', `${runId} ${fence}`).slice(0, 16);

/** The span of a hold whose dispatcher died, or lost its lock: what it began hangs on it. */
export function tellLostHold(run: OfAgent, { carrier, fence, before }: HoldOfRun): void {
  if (carrier === undefined || !before) return;
  const lost = String(Number(fence) - 1);
  const options = holdOptions(run.runId, { carrier, fence: lost });
  if (isUnsampled(options.parent ?? context.active())) return;
  const facts: Facts = { ...agentFacts(run), 'callyard.run.hold': Number(lost), 'callyard.hold.ended': 'lost' };
  const span = startSpan('invoke_agent callyard', SpanKind.INTERNAL, facts, { ...options, startTime: before.heldAt });
  nameUser(span, run.principal);
  fail(span, 'lost', 'its dispatcher died, or lost its lock');
  span.end(Math.max(before.heldAt, before.aliveAt));
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
  /** when the last call was on its way, milliseconds since 1970 */
  since: number;
  calls: number;
  /** calls whose outcomes this dispatcher did not wait for */
  missing: number;
  /** the call whose outcome came last */
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
