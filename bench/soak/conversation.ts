import { createDispatcher, scriptedModel, type Dispatcher, type Message, type RunView } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createNames } from '@callyard/shared/names';
import { createWorker, defineTool, Type } from '@callyard/worker';
import { Redis } from 'ioredis';

const times = 500;
const conversationId = 'soak';
const principal = { owner: 'soak', userId: 'soak' };
const { owner } = principal;

/** Two messages at once to one conversation, over two dispatchers, 500 times: never interleaved, in the order accepted. */
export async function soakConversation(redisUrl: string): Promise<boolean> {
  const prefix = `soak-conversation-${process.pid}`;
  const log = createLogger({ name: 'soak', level: 'error' });
  const echo = defineTool({
    name: 'echo',
    version: '1.0.0',
    description: 'Returns its arguments',
    parameters: Type.Object({ text: Type.String() }),
    handler: ({ text }) => text,
  });
  const worker = await createWorker({ redisUrl, prefix, log, tools: [echo] });
  const two = await Promise.all(
    [1, 2].map(() => createDispatcher({ redisUrl, prefix, log, model: echoing, maxConversationBytes: 2 ** 30 })),
  );
  for (const dispatcher of two) await dispatcher.waitForTools(['echo']);
  const runs: RunView[] = [];
  for (let nth = 0; nth < times; nth++) {
    runs.push(...(await Promise.all(two.map((dispatcher, at) => say(dispatcher, `${nth}.${at}`)))));
  }
  const messages = await readConversation(redisUrl, prefix);
  const accepted = runs
    .toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0))
    .map(({ messages: [first] }) => first);
  const said = messages.filter(({ role }) => role === 'user');
  const counted = {
    runs: runs.length,
    notCompleted: runs.filter(({ state }) => state !== 'completed').length,
    interleaved: interleaved(messages),
    outOfOrder: said.filter(({ content }, i) => content !== accepted[i]?.content).length,
    acceptedLaterStartedFirst: overtaken(runs),
    messages: messages.length,
  };
  console.log(JSON.stringify({ soak: 'conversation', ...counted }));
  for (const dispatcher of two) await dispatcher.close();
  await worker.close();
  const { notCompleted, outOfOrder, acceptedLaterStartedFirst } = counted;
  return notCompleted + counted.interleaved + outOfOrder + acceptedLaterStartedFirst === 0;
}

const lastAsked = (messages: readonly Message[]): string =>
  String(messages.findLast(({ role }) => role === 'user')?.content);

const echoing = scriptedModel(({ turn, messages }) => {
  const text = lastAsked(messages);
  if (turn > 0) return { role: 'assistant', content: `answer to ${text}` };
  const call = { id: 'c', type: 'function', function: { name: 'echo', arguments: JSON.stringify({ text }) } } as const;
  return { role: 'assistant', content: null, tool_calls: [call] };
});

async function say(dispatcher: Dispatcher, text: string): Promise<RunView> {
  const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: text }], principal, conversationId });
  return dispatcher.wait(runId, { owner });
}

async function readConversation(redisUrl: string, prefix: string): Promise<Message[]> {
  const redis = new Redis(redisUrl);
  const texts = await redis.lrange(`${createNames(prefix).conversation(owner, conversationId)}:messages`, 0, -1);
  redis.disconnect();
  return texts.map((text) => JSON.parse(text) as Message);
}

/** Runs whose four messages do not stand together: the question, the call, its result, the answer. */
function interleaved(messages: readonly Message[]): number {
  let count = 0;
  for (let at = 0; at < messages.length; at += 4) {
    const [asked, call, result, answer] = messages.slice(at, at + 4);
    const text = String(asked?.content);
    const isWhole =
      asked?.role === 'user' &&
      call?.role === 'assistant' &&
      result?.role === 'tool' &&
      result.content === text &&
      answer?.content === `answer to ${text}`;
    if (!isWhole) count += 1;
  }
  return count;
}

/** Pairs of which the one that was taken in later has started first. */
function overtaken(runs: readonly RunView[]): number {
  let count = 0;
  for (let at = 0; at < runs.length; at += 2) {
    const [first, second] = runs.slice(at, at + 2).toSorted((a, b) => a.createdAt - b.createdAt);
    if (first && second && first.createdAt < second.createdAt && (first.startedAt ?? 0) > (second.startedAt ?? 0))
      count += 1;
  }
  return count;
}
