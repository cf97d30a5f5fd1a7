/*
 * The names of everything we trace: OpenTelemetry's GenAI and messaging conventions of 2026 (both in development, so
 * they are kept here and a rename is one line), and our own under `callyard.`. docs/telemetry.md is generated from it.
 */

/** Spans, with their kinds. `{}` is filled in. */
export const spans = {
  submit: { name: 'submit run', kind: 'PRODUCER', about: 'a durable run taken in; ends at once' },
  agent: {
    name: 'invoke_agent callyard',
    kind: 'INTERNAL',
    about: 'one run of a conversation, in the dispatcher; of a durable run one hold, under its `submit run`',
  },
  calls: { name: 'execute calls', kind: 'INTERNAL', about: 'the calls of a bare `execute`, in the dispatcher' },
  chat: { name: 'chat {model}', kind: 'CLIENT', about: 'one question to the model' },
  send: {
    name: 'send calls',
    kind: 'PRODUCER',
    about: 'one call on its way into its queue; its context travels in the job',
  },
  process: {
    name: 'process calls',
    kind: 'CONSUMER',
    about: 'one pick-up of a call by a worker; attempts are siblings',
  },
  tool: { name: 'execute_tool {tool}', kind: 'INTERNAL', about: 'one attempt: the handler, and nothing else' },
} as const;

/** Attributes, and what they hold. */
export const attributes = {
  'gen_ai.operation.name': '`invoke_agent`, `chat` or `execute_tool`',
  'gen_ai.provider.name': 'whose model: `openai`, `scripted` …',
  'gen_ai.agent.name': '`callyard`',
  'gen_ai.request.model': 'the model asked for',
  'gen_ai.response.id': "the provider's id of the response",
  'gen_ai.response.model': 'the model that answered',
  'gen_ai.response.finish_reasons': 'why the response ended: `stop`, `tool_calls`, `length` or `content_filter`',
  'gen_ai.usage.input_tokens': 'tokens of the question; on the agent span, of the whole run',
  'gen_ai.usage.output_tokens': 'tokens of the answer; on the agent span, of the whole run',
  'gen_ai.conversation.id': 'the conversation, on every span, where the caller gave one',
  'gen_ai.tool.name': 'the tool',
  'gen_ai.tool.type': '`function`',
  'gen_ai.tool.call.id': "the provider's id of the call; it may repeat",
  'gen_ai.tool.call.arguments': 'only with content capture: redacted and capped',
  'gen_ai.tool.call.result': 'only with content capture: redacted and capped',
  'messaging.system.name': '`bullmq`',
  'messaging.operation.name': '`send` or `process`',
  'messaging.operation.type': '`send` or `process`',
  'messaging.destination.name': 'the queue',
  'messaging.message.id': 'the job id, which is the key of the call',
  'messaging.client.id': 'the worker',
  'error.type':
    'the failure code; of other errors the code, the HTTP status or the class. On a refused call without an error status: it is an answer to the model',
  'user.hash': 'the user, as an HMAC; only with a secret configured',
  'callyard.run.id': 'the run',
  'callyard.run.state': 'how the run ended',
  'callyard.run.stop': 'why the run ended',
  'callyard.attempt': 'which attempt a pick-up makes, from 1',
  'callyard.lost': 'workers that died or lost their lock while they held the call',
  'callyard.wait.reason':
    'what the wait before this pick-up was for: `queue` or `share` (a slot), `rate`, `concurrency`, `same_call`, `approval`, `retry`, `retry_after`, `shutdown`',
  'callyard.wait.ms': 'how long that wait was',
  'callyard.degraded.why': 'the failure code a call would have ended in that completed all the same',
  'callyard.degraded.by': 'what answered in its place: `handler`, `tool` or `stale`',
  'callyard.outcome': 'the status of the call, or `retry`, `hand-back`, `abandoned`',
} as const;

export type Attribute = keyof typeof attributes;
