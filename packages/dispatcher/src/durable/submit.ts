import { randomUUID } from 'node:crypto';
import { toPrincipal } from '@callyard/shared/principal';
import type { SubmitAnswer, SubmitWrite } from '@callyard/shared/queue';
import { RunError } from '@callyard/shared/runs/run-error';
import { recordVersion } from '@callyard/shared/runs/run-store';
import { contentHash } from '@callyard/shared/schema';
import { callerContext, inSubmitSpan } from '@callyard/shared/telemetry';
import { checkConversationId, type CallerOptions } from '../caller.ts';
import type { Connected } from '../connect.ts';
import type { Message } from '../model.ts';
import { offerForTurn } from '../offer.ts';
import { runBounds } from '../run-bounds.ts';
import { runFields } from '../run-lines.ts';
import type { RunOptions } from '../run.ts';
import { messageTexts, type RunSpec, type WrittenSelection } from './run-spec.ts';

/** A durable run: everything `run` takes that can be written down. */
export interface SubmitOptions
  extends
    Omit<CallerOptions, 'tools' | 'signal'>,
    Pick<RunOptions, 'toolChoice' | 'parallel' | 'maxTurns' | 'maxCalls' | 'maxTokens'> {
  /** new messages: a conversation that is known brings those it has */
  messages: readonly Message[];
  /** the name of one of the dispatcher's models; default: its first */
  model?: string;
  /** by name or category; predicates cannot be written down, see `chooseTools` of createDispatcher */
  tools?: WrittenSelection;
  /** the same key of the same owner is the same run, however often it is submitted */
  key?: string;
  /** where another run of the conversation is under way: wait for its end (the default), or be refused as `busy` */
  onBusy?: 'wait' | 'refuse';
  /** have events written from the start; default: from when somebody reads them */
  events?: boolean;
}

export interface Submitted {
  runId: string;
  /** false where the key was submitted before */
  isNew: boolean;
}

/** Takes a durable run in: once this resolves, it is driven to its end by whatever dispatchers live. */
export async function submitRun(options: SubmitOptions, to: Connected): Promise<Submitted> {
  const spec = readSpec(options, to);
  const parent = callerContext(options, to.log);
  const { principal, conversationId } = spec;
  await offerForTurn({ options: spec, principal, conversationId, turn: 0 }, to); // what cannot be offered is the caller's mistake
  const runId = randomUUID();
  return inSubmitSpan({ runId, conversationId, principal, parent }, async (trace, describe) => {
    const write = writeOf(runId, spec, options, trace, to);
    const answer = await to.runsQueue.submit(write);
    if (answer.kind === 'created') {
      if (to.log.isLevelEnabled('debug'))
        to.log.debug({ event: 'run.submitted', ...runFields({ runId, conversationId, principal }) }, 'taken in');
      return { runId, isNew: true };
    }
    const standing = answer.kind === 'known' && answer.runId !== runId ? answer : undefined;
    if (answer.kind === 'known' && answer.body === write.fields.body) {
      describe({ standing });
      return { runId: answer.runId, isNew: !standing };
    }
    const refused = refusal(answer, options, write);
    describe({ standing, refused: refused.code });
    throw refused;
  });
}

function writeOf(
  runId: string,
  spec: RunSpec,
  options: SubmitOptions,
  { carrier, traceId }: { carrier: string | undefined; traceId: string | undefined },
  { names, clock, config }: Connected,
): SubmitWrite {
  const { principal, conversationId, bounds } = spec;
  const { owner } = principal;
  const { maxConversationBytes, runKeepMs } = config;
  const messages = messageTexts(options.messages);
  const bytes = messages.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > maxConversationBytes) throw tooLarge(bytes, maxConversationBytes);
  const deadlineAt = clock.now() + bounds.timeoutMs;
  const conversation = conversationId === undefined ? undefined : names.conversationId(owner, conversationId);
  return {
    runId,
    ofKey: options.key === undefined ? undefined : names.submitted(owner, options.key),
    model: spec.model,
    ttlMs: bounds.timeoutMs + runKeepMs,
    deadlineAt,
    conversation,
    onBusy: options.onBusy ?? 'wait',
    maxConversationBytes,
    bytes,
    fields: {
      v: String(recordVersion),
      owner,
      body: bodyOf(options),
      fence: '0',
      spec: JSON.stringify(spec),
      messages: `[${messages.join(',')}]`,
      deadlineAt: String(deadlineAt),
      ...(conversation === undefined ? {} : { conversation }),
      ...(options.events ? { watchedUntil: String(deadlineAt) } : {}),
      ...(carrier === undefined ? {} : { carrier }),
      ...(traceId === undefined ? {} : { traceId }),
    },
  };
}

function refusal(
  answer: Exclude<SubmitAnswer, { kind: 'created' }>,
  { key, conversationId }: SubmitOptions,
  { bytes, maxConversationBytes }: SubmitWrite,
): RunError {
  switch (answer.kind) {
    case 'known':
      return new RunError('conflict', `The key ${JSON.stringify(key)} was used for another request.`);
    case 'busy':
      return new RunError('busy', `Run ${answer.runId} of conversation ${conversationId} is under way.`);
    case 'full':
      return new RunError(
        'full',
        `Conversation ${conversationId} holds ${answer.bytes} bytes; with ${bytes} more it would pass ` +
          `maxConversationBytes (${maxConversationBytes}). Begin a new one.`,
      );
  }
}

/** What was asked, whatever settings it met: the same request is the same run. */
function bodyOf(options: SubmitOptions): string {
  const { key: _key, onBusy: _onBusy, events: _events, traceparent: _parent, tracestate: _state, ...asked } = options;
  return contentHash(JSON.parse(JSON.stringify(asked)));
}

function readSpec(options: SubmitOptions, to: Connected): RunSpec {
  const { tools, versions, toolChoice, parallel, conversationId, mode = 'parallel', class: jobClass } = options;
  if (typeof tools === 'function')
    throw new TypeError('submit: a predicate cannot be written down; name tools or categories, or use chooseTools');
  if (!Array.isArray(options.messages) || options.messages.length === 0)
    throw new TypeError('submit: messages must hold at least one message');
  checkConversationId(conversationId);
  const principal = toPrincipal(options.principal);
  return {
    principal,
    class: jobClass ?? 'interactive',
    model: modelNamed(options.model, to.models),
    ...(conversationId === undefined ? {} : { conversationId }),
    ...(tools === undefined ? {} : { tools }),
    ...(versions === undefined ? {} : { versions }),
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...(parallel === undefined ? {} : { parallel }),
    mode,
    bounds: runBounds(options, principal, to),
  };
}

function modelNamed(name: string | undefined, models: Connected['models']): string {
  const [first] = models.keys();
  const wanted = name ?? first;
  if (wanted === undefined) throw new TypeError('submit: no model; give one to createDispatcher, or name one');
  return wanted;
}

const tooLarge = (bytes: number, max: number): RunError =>
  new RunError('full', `The messages have ${bytes} bytes; maxConversationBytes allows ${max}.`);
