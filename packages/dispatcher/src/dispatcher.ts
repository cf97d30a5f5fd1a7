import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { runIdPattern, type Outcome } from '@callyard/shared/call';
import { toPrincipal, type PrincipalInput } from '@callyard/shared/principal';
import { activeTraceId, inAgentSpan, inCallsSpan } from '@callyard/shared/telemetry';
import type { Manifest } from '@callyard/shared/tool';
import { toolMessage } from './conversation.ts';
import { connectDispatcher, type Connected, type DispatcherOptions } from './connect.ts';
import { startDeadline } from './deadline.ts';
import type { RunFrame } from './envelope.ts';
import { driveRun, type LoopOptions } from './loop.ts';
import type { Message, Model, ToolCall, ToolChoice, ToolMessage, Usage } from './model.ts';
import { offerTools, type Offer, type ToolSelection } from './offer.ts';
import { readCalls } from './read-calls.ts';
import { conversationOf, memoryRunRecord, usageOf, type RunEnd, type RunHistory } from './run-record.ts';

/** What a run and a bare `execute` have in common. */
interface CallerOptions {
  principal: PrincipalInput;
  /** which tools may be called; default: the live ones whose `requires` the principal meets */
  tools?: ToolSelection;
  conversationId?: string;
  /** `batch` lets `interactive` calls go first; default `interactive` */
  class?: 'interactive' | 'batch';
  /** one deadline over everything, in milliseconds from now; default `runTimeoutMs` */
  timeoutMs?: number;
  /** stops waiting: what is under way ends as `cancelled` */
  signal?: AbortSignal;
  /** `sequential` runs one call at a time, in order; `sequential-until-failure` stops at the first that fails */
  mode?: LoopOptions['mode'];
}

export interface RunOptions extends CallerOptions {
  messages: readonly Message[];
  /** default: the dispatcher's */
  model?: Model;
  toolChoice?: ToolChoice;
  /** whether the model may propose several calls at once; passed through */
  parallel?: boolean;
  maxTurns?: number;
  /** of the whole run; default `maxCalls` of the dispatcher */
  maxCalls?: number;
  maxTokens?: number;
  /** default: a new one. Letters, digits, `_` and `-` */
  runId?: string;
}

export interface RunResult extends RunEnd {
  runId: string;
  /** the whole conversation: the messages given, and all that were added */
  messages: Message[];
  /** what the model said last, if it was text */
  text: string | undefined;
  /** every call of the run, in order */
  outcomes: Outcome[];
  turns: number;
  usage: Usage;
  traceId: string | undefined;
}

export interface ExecuteOptions extends CallerOptions {
  /** repeating a key attaches to the calls that are under way or done, instead of running them twice */
  key?: string;
}

export interface Executed {
  outcomes: Outcome[];
  /** one for each call, ready to be appended to a conversation */
  messages: ToolMessage[];
}

export interface Dispatcher {
  readonly id: string;
  /** Drives a conversation until the model answers. Rejects only for what the caller did wrong. */
  run(options: RunOptions): Promise<RunResult>;
  /** Runs the calls of somebody else's loop: outcomes in the order of the calls. */
  execute(toolCalls: readonly ToolCall[], options: ExecuteOptions): Promise<Executed>;
  /** The tools that are live, in their highest version. */
  tools(): readonly Manifest[];
  /** Resolves when workers serve all of these. */
  waitForTools(names: readonly string[], timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Connects to Redis and the catalog. Rejects with a clear message when Redis cannot be reached or evicts. */
export async function createDispatcher(options: DispatcherOptions = {}): Promise<Dispatcher> {
  const id = `${hostname().split('.', 1)[0]}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const connected = await connectDispatcher(id, options);
  const { live, close } = connected;
  return {
    id,
    run: (run) => runConversation(run, options, connected),
    execute: (calls, execute) => executeCalls(calls, execute, connected),
    tools: () => live.latest(),
    waitForTools: (names, timeoutMs = 30_000) => live.until(names, AbortSignal.timeout(timeoutMs)),
    close,
  };
}

async function runConversation(run: RunOptions, options: DispatcherOptions, to: Connected): Promise<RunResult> {
  const model = run.model ?? options.model;
  if (!model) throw new TypeError('run: no model; give one to createDispatcher or to run');
  const runId = run.runId ?? randomUUID();
  if (!runIdPattern.test(runId))
    throw new TypeError(`run: runId ${JSON.stringify(runId)} does not match ${runIdPattern}`);
  const { maxTurns, maxCalls, maxTokens } = { ...to.config, ...definedOf(run) };
  const { frame, end } = startFrame(runId, run, to, false);
  const offer = offerByTurn(() => offerTools(to.live, frame.principal, run.tools));
  const record = memoryRunRecord(run.messages);
  const { conversationId } = run;
  try {
    offer(0); // a selection that cannot be offered is the caller's mistake, not the end of a run
    const agent = { runId, conversationId, model: model.name, provider: model.provider, principal: frame.principal };
    return await inAgentSpan(agent, async (describe) => {
      const runEnd = await driveRun({
        frame,
        record,
        calls: to.calls,
        model,
        offer,
        limits: { ...to.config, maxTurns, maxCalls, maxTokens },
        mode: run.mode ?? 'parallel',
        toolChoice: run.toolChoice,
        parallel: run.parallel,
      });
      const result = resultOf(runId, await record.load(), runEnd);
      describe(result);
      return result;
    });
  } finally {
    end();
  }
}

async function executeCalls(toolCalls: readonly ToolCall[], execute: ExecuteOptions, to: Connected): Promise<Executed> {
  const { principal, key, tools, mode = 'parallel' } = execute;
  const runId = key === undefined ? randomUUID() : ownedKey(principal.owner, key);
  const { frame, end } = startFrame(runId, execute, to, key !== undefined);
  try {
    const offer = tools ? offerTools(to.live, frame.principal, tools) : everyTool(to);
    const limits = { maxArgumentBytes: to.config.maxArgumentBytes, room: to.config.maxCalls };
    const proposed = readCalls(toolCalls, offer, limits);
    const outcomes = await inCallsSpan(frame, () =>
      mode === 'parallel'
        ? to.calls.run(frame, 0, proposed)
        : to.calls.runInOrder(frame, 0, proposed, mode === 'sequential-until-failure'),
    );
    return { outcomes, messages: outcomes.map(toolMessage) };
  } finally {
    end();
  }
}

/** Without a selection `execute` takes any live tool: its worker still checks what it requires. */
const everyTool = ({ live }: Connected): Offer =>
  new Map(live.latest().map((manifest) => [manifest.name, { manifest, range: `^${manifest.version}` }]));

/** A caller's key belongs to its owner, so two owners may use the same one and never see each other's outcomes. */
const ownedKey = (owner: string, key: string): string =>
  `k-${createHash('sha256')
    .update(JSON.stringify([owner, key]))
    .digest('hex')
    .slice(0, 32)}`;

function startFrame(
  runId: string,
  { principal, conversationId, timeoutMs, signal, class: jobClass = 'interactive' }: CallerOptions,
  { clock, config }: Connected,
  takeover: boolean,
): { frame: RunFrame; end: () => void } {
  const ms = timeoutMs ?? config.runTimeoutMs;
  const deadline = startDeadline(ms, signal);
  const frame: RunFrame = {
    runId,
    conversationId,
    principal: toPrincipal(principal),
    class: jobClass,
    deadlineAt: clock.now() + ms,
    takeover,
    signal: deadline.signal,
  };
  return { frame, end: deadline.clear };
}

function offerByTurn(build: () => Offer): (turn: number) => Offer {
  let current: { turn: number; offer: Offer } | undefined;
  return (turn) => {
    if (current?.turn !== turn) current = { turn, offer: build() };
    return current.offer;
  };
}

function resultOf(runId: string, history: RunHistory, end: RunEnd): RunResult {
  const last = history.turns.at(-1)?.response.message.content;
  return {
    ...end,
    runId,
    messages: conversationOf(history),
    text: typeof last === 'string' ? last : undefined,
    outcomes: history.turns.flatMap(({ outcomes = [] }) => outcomes),
    turns: history.turns.length,
    usage: usageOf(history.turns),
    traceId: activeTraceId(),
  };
}

const definedOf = <T extends object>(given: T): Partial<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
