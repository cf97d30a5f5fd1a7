import type { Message } from './model.ts';

/** What a message takes beside its text: its role, and the marks it stands between. */
const tokensPerMessage = 4;
/** Of UTF-8, in English and in code; other languages take more bytes and fewer of them make a token. */
const bytesPerToken = 4;

/**
 * The conversation as a model is shown it: at most about `maxTokens` of it, the newest. Whole exchanges are left out, the
 * oldest first; one begins with a message of the user and goes on until the next. What always stays is what the system
 * said at the beginning, and the last message of the user with all that follows, though they be larger: then it is for
 * the model to refuse. A call and its result stay together.
 */
export function cutHistory(messages: readonly Message[], maxTokens: number): readonly Message[] {
  const head = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  if (head === -1) return messages;
  const beginnings = new Set(exchangesIn(messages, head));
  let left = maxTokens - tokensOf(messages.slice(0, head));
  let from: number | undefined;
  for (let at = messages.length - 1; at >= head; at -= 1) {
    left -= tokensOf(messages.slice(at, at + 1));
    if (left < 0 && from !== undefined) return [...messages.slice(0, head), ...messages.slice(from)];
    if (beginnings.has(at)) from = at;
  }
  return messages;
}

/** By bytes, as every model counts in its own way: a picture by its JSON, so by far too much if it is inline. */
export function tokensOf(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => {
    const bytes = Object.values(message).reduce<number>((all, part) => all + bytesOf(part), 0);
    return sum + tokensPerMessage + Math.ceil(bytes / bytesPerToken);
  }, 0);
}

function bytesOf(part: unknown): number {
  if (part === null || part === undefined) return 0;
  return Buffer.byteLength(typeof part === 'string' ? part : JSON.stringify(part));
}

/** Where an exchange begins, and no result that follows is that of a call before. */
function exchangesIn(messages: readonly Message[], head: number): number[] {
  const callers = callersIn(messages);
  let earliest = messages.length;
  const beginnings: number[] = [];
  for (let at = messages.length - 1; at >= head; at -= 1) {
    earliest = Math.min(earliest, callers[at] ?? at);
    if (messages[at]?.role === 'user' && earliest >= at) beginnings.push(at);
  }
  return beginnings;
}

/** For each message that is a result where its call stands: the last one before it with that id, as providers repeat ids. */
function callersIn(messages: readonly Message[]): (number | undefined)[] {
  const last = new Map<string, number>();
  return messages.map((message, at) => {
    if (message.role === 'tool') return last.get(`id ${message.tool_call_id}`);
    if (message.role === 'function') return last.get(`name ${message.name}`);
    if (message.role !== 'assistant') return undefined;
    for (const { id } of message.tool_calls ?? []) last.set(`id ${id}`, at);
    if (message.function_call) last.set(`name ${message.function_call.name}`, at);
    return undefined;
  });
}
