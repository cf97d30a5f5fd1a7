/*
 * The names of everything we trace: OpenTelemetry's GenAI and messaging conventions of 2026 (both in development, so
 * they are kept here and a rename is one line), and our own under `callyard.`. docs/telemetry.md is generated from it.
 */

/** Spans, with their kinds. `{}` is filled in. */
export const spans = {
  submit: {
    name: 'submit run',
    kind: 'PRODUCER',
    about: 'a durable run taken in; ends at once. Linked to that before it whose key it repeats',
  },
  agent: {
    name: 'invoke_agent callyard',
    kind: 'INTERNAL',
    about:
      'one run of a conversation, in the dispatcher; of a durable run one hold, under its `submit run`; where that was not traced, under what its caller gave, or under the first hold, which then begins the trace. That of a hold whose dispatcher was killed is told by the next',
  },
  calls: { name: 'execute calls', kind: 'INTERNAL', about: 'the calls of a bare `execute`, in the dispatcher' },
  chat: { name: 'chat {model}', kind: 'CLIENT', about: 'one question to the model' },
  send: {
    name: 'send calls',
    kind: 'PRODUCER',
    about: 'one call on its way into its queue; its context travels in the job. Linked to the `chat` that proposed it',
  },
  gather: {
    name: 'gather calls',
    kind: 'INTERNAL',
    about:
      'the time in which a turn only waited: from its last call on its way (of calls one after the other, the first) to its last outcome',
  },
  settle: {
    name: 'settle calls',
    kind: 'CLIENT',
    about: "the dispatcher's own word on a call: refused without a job, or ended where no worker ends it",
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
  'gen_ai.tool.name': 'the tool; `_OTHER` where the model named one that it was not offered',
  'gen_ai.tool.type': '`function`',
  'gen_ai.tool.call.id': "the provider's id of the call, cut at 256 characters; it may repeat",
  'gen_ai.tool.call.arguments': 'only with content capture: redacted and capped',
  'gen_ai.tool.call.result': 'only with content capture: redacted and capped',
  'messaging.system.name': '`bullmq`',
  'messaging.operation.name': '`send`, `process` or `settle`',
  'messaging.operation.type': '`send`, `process` or `settle`',
  'messaging.destination.name': 'the queue',
  'messaging.message.id': 'the job id, which is the key of the call',
  'messaging.client.id': 'the worker',
  'error.type':
    'the failure code; of other errors the code where it is one of Node or a library (`ECONNRESET`, `ERR_…`), the HTTP status or the class. Their texts only with content capture. On a refused call without an error status: it is an answer to the model',
  'user.hash': 'the user, as an HMAC; only with a secret configured',
  'callyard.run.id': 'the run',
  'callyard.run.state': 'how the run ended',
  'callyard.run.stop': 'why the run ended',
  'callyard.run.hold': 'which hold of a durable run, from 1',
  'callyard.hold.began':
    'why it began: `submitted`, `woken`, `handed-over`, after a `fault`, or `taken-over` from a dead dispatcher',
  'callyard.hold.gap.ms':
    'where it was taken over: how long nobody is known to have driven the run; a dispatcher says that it does at least every half of `lockMs`',
  'callyard.hold.ended': 'how it ended: `ended` with the run, `parked`, `handed-over`, `lost`, `gone` or `fault`',
  'callyard.gather.calls': 'calls of the turn that were sent',
  'callyard.gather.missing': 'those among them whose outcomes were left to a later hold',
  'callyard.gather.slowest': 'the key of the call that was waited for longest',
  'callyard.attempt': 'which attempt a pick-up makes, from 1',
  'callyard.lost': 'workers that died or lost their lock while they held the call',
  'callyard.class': '`interactive` or `batch`',
  'callyard.lane': 'the lane in which it stands when it waits for admission: pool, class, user and limits, as hashes',
  'callyard.wait.reason':
    'what the longest wait that a pick-up ends was for: `queue` or `share` (a slot), `rate`, `concurrency`, `same_call`, `approval`, `retry`, `retry_after`, `shutdown`, `no_worker`, `lost` (a worker that died, from the last that is known of the call)',
  'callyard.wait.ms': 'how long that wait was',
  'callyard.wait.per': 'of a limit: for each of what it counts, such as `user`; `all` where it is one for all',
  'callyard.wait.bucket': 'of a limit: the bucket it counts in',
  'callyard.approved': 'what a person decided',
  'callyard.degraded.why': 'the failure code a call would have ended in that completed all the same',
  'callyard.degraded.by': 'what answered in its place: `handler`, `tool` or `stale`',
  'callyard.outcome': 'the status of the call, or `retry`, `wait`, `hand-back`, `abandoned`',
} as const;

export type Attribute = keyof typeof attributes;

/** Events on spans, their attributes, and what they tell. */
export const spanEvents = {
  'callyard.wait': {
    attributes: ['callyard.wait.reason', 'callyard.wait.ms', 'callyard.wait.per', 'callyard.wait.bucket'],
    about: 'on `process calls`: each wait that this pick-up ended; on `send calls`: nobody served its tool at first',
  },
  'callyard.approval.asked': { attributes: [], about: 'on `process calls`: a person is asked' },
  'callyard.approval.decided': {
    attributes: ['callyard.approved', 'user.hash'],
    about: 'on `process calls`: what was decided, and by whom, as a hash',
  },
} as const satisfies Record<string, { attributes: readonly Attribute[]; about: string }>;

export type SpanEvent = keyof typeof spanEvents;
