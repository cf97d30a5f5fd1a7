import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../packages/dispatcher/src/model.ts';
import { cutHistory, tokensOf } from '../../packages/dispatcher/src/history.ts';
import { needsRecordedCalls, noRecordedCalls, recordedConversations } from '../support/recorded.ts';
import { toolCall } from '../support/setup.ts';

const user = (content: unknown): Message => ({ role: 'user', content });
const says = (content: string): Message => ({ role: 'assistant', content });
const system: Message = { role: 'system', content: 'be brief' };
const calls = (...ids: string[]): Message => ({
  role: 'assistant',
  content: null,
  tool_calls: ids.map((id) => toolCall('weather', {}, id)),
});
const result = (id: string, content = 'rain'): Message => ({ role: 'tool', tool_call_id: id, content });

/** What the model makes of messages that belong together: an exchange without its user. */
const turn = fc.oneof(
  fc.string().map((text) => [says(text)]),
  // Few ids for many calls: providers repeat them.
  fc
    .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
    .map((ids) => [calls(...ids), ...ids.map((id) => result(id, id.repeat(40)))]),
  fc.constant<Message[]>([
    { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
    { role: 'function', name: 'f', content: 'sun' },
  ]),
  // A user who speaks before the result is there.
  fc.constantFrom('a', 'd').map((id) => [calls(id), user('and?'), result(id)]),
);
const exchange = fc
  .tuple(fc.string({ maxLength: 200 }), fc.array(turn, { maxLength: 4 }))
  .map(([text, turns]) => [user(text), ...turns.flat()]);
const head = fc.array(fc.constantFrom<Message>(system, { role: 'developer', content: 'in English' }), { maxLength: 2 });
const conversation = fc
  .tuple(head, fc.constantFrom<Message[]>([], [says('Hello.')]), fc.array(exchange, { maxLength: 8 }))
  .map(([before, greeting, exchanges]) => [...before, ...greeting, ...exchanges.flat()]);

const headOf = (messages: readonly Message[]) => {
  const end = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return end === -1 ? messages : messages.slice(0, end);
};

/** Every result in a history that has its call before it. */
const orphans = (messages: readonly Message[]): Message[] => {
  const called = new Set<string>();
  return messages.filter((message) => {
    if (message.role === 'assistant') for (const { id } of message.tool_calls ?? []) called.add(id);
    if (message.role === 'assistant' && message.function_call) called.add(message.function_call.name);
    if (message.role === 'tool') return !called.has(message.tool_call_id);
    return message.role === 'function' && !called.has(message.name);
  });
};

function expectSound(messages: readonly Message[], maxTokens: number): void {
  const cut = cutHistory(messages, maxTokens);
  const before = headOf(messages);
  expect(cut.slice(0, before.length)).toEqual(before);
  const kept = cut.slice(before.length);
  expect(kept).toEqual(kept.length === 0 ? [] : messages.slice(-kept.length));
  expect(orphans(cut)).toEqual([]);
  const lastUser = messages.findLast(({ role }) => role === 'user');
  expect(lastUser === undefined || kept.includes(lastUser)).toBe(true);
  const isCut = cut.length < messages.length;
  expect(isCut && tokensOf(messages) <= maxTokens).toBe(false);
  expect(isCut && kept[0]?.role !== 'user').toBe(false);
}

describe('a history', () => {
  it('that is not too long is shown whole', () => {
    const messages = [system, user('hi'), says('Hello.'), user('rain?')];
    expect(cutHistory(messages, tokensOf(messages))).toEqual(messages);
    expect(cutHistory([], 1)).toEqual([]);
    expect(cutHistory([system], 1)).toEqual([system]);
  });

  it('loses its oldest exchanges, whole, and never what the system said at the beginning', () => {
    const messages = [system, user('one'), says('1'), user('two'), calls('a'), result('a'), says('2'), user('three')];
    const kept = [system, ...messages.slice(3)];
    expect(cutHistory(messages, tokensOf(messages) - 1)).toEqual(kept);
    expect(cutHistory(messages, tokensOf(kept))).toEqual(kept);
    expect(cutHistory(messages, tokensOf(kept) - 1)).toEqual([system, user('three')]);
  });

  it('keeps the last message of the user and all that follows, though it be too long', () => {
    const messages = [system, user('one'), says('1'), user('two'), calls('a'), result('a', 'x'.repeat(9_000))];
    expect(cutHistory(messages, 10)).toEqual([system, ...messages.slice(3)]);
  });

  it('is cut before a call where the user spoke between it and its result', () => {
    const messages = [user('x'.repeat(900)), says('1'), user('two'), calls('a'), user('hurry'), result('a'), says('2')];
    expect(cutHistory(messages, 1)).toEqual(messages.slice(2));
  });

  it('counts bytes, and what is no text by its JSON', () => {
    expect(tokensOf([user('ab'.repeat(10))])).toBe(4 + 6);
    expect(tokensOf([user('æøå'.repeat(4))])).toBe(4 + 7);
    const picture = [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(4_000)}` } }];
    expect(tokensOf([user(picture)])).toBeGreaterThan(1_000);
    expect(tokensOf([calls('a')])).toBeGreaterThan(tokensOf([says('')]) + 15);
  });

  it('whatever it holds, is cut between exchanges, keeps results with their calls, and no more than it must lose', () => {
    fc.assert(
      fc.property(conversation, fc.integer({ min: 1, max: 600 }), (messages, maxTokens) => {
        expectSound(messages, maxTokens);
        const cut = cutHistory(messages, maxTokens);
        expect(cutHistory(cut, maxTokens)).toEqual(cut);
        expect(cutHistory(messages, maxTokens + 50).length).toBeGreaterThanOrEqual(cut.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it.skipIf(noRecordedCalls)(`that was recorded is cut as soundly (${needsRecordedCalls})`, () => {
    const conversations = recordedConversations() as Message[][];
    expect(conversations.length).toBeGreaterThan(50);
    let cuts = 0;
    for (const messages of conversations) {
      for (const share of [0.2, 0.5, 0.8]) {
        const maxTokens = Math.round(tokensOf(messages) * share);
        expectSound(messages, maxTokens);
        if (cutHistory(messages, maxTokens).length < messages.length) cuts += 1;
      }
    }
    expect(cuts).toBeGreaterThan(100);
  });
});
