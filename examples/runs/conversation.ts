/**
 * A conversation: each run brings one message and gets what was said before. The runs of a conversation never mix, so
 * the second may be submitted while the first is under way. REDIS_URL says which Redis.
 */
import { randomUUID } from 'node:crypto';
import { createDispatcher, scriptedModel, type Message } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';

const nameIn = (messages: readonly Message[]): string | undefined =>
  messages.map(({ content }) => /my name is (\w+)/i.exec(String(content))?.[1]).find((name) => name !== undefined);

/** Knows nothing but what the conversation tells it. */
const model = scriptedModel(({ messages }) => {
  const name = nameIn(messages);
  const isAsked = String(messages.at(-1)?.content).includes('What is my name');
  if (isAsked) return { role: 'assistant', content: name ? `You are ${name}.` : 'You have not told me.' };
  return { role: 'assistant', content: `Hello${name ? `, ${name}` : ''}.` };
});

const { redisUrl, prefix } = loadConfig('dispatcher');
const dispatcher = await createDispatcher({ redisUrl, prefix, model, logLevel: 'error' });
const principal = { owner: 'acme', userId: 'mia' };
const conversationId = randomUUID();

async function say(content: string, to = conversationId): Promise<void> {
  const messages = [{ role: 'user', content } as const];
  const { runId } = await dispatcher.submit({ messages, principal, conversationId: to });
  const { text } = await dispatcher.wait(runId, { owner: principal.owner });
  console.log(`${content} ${text}`);
}

await Promise.all([say('My name is Mia.'), say('What is my name?')]);
await say('What is my name?', randomUUID());

await dispatcher.close();
