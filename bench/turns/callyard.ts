import { createDispatcher, scriptedModel, type AssistantMessage, type ModelRequest } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createWorker, defineTool, Type } from '@callyard/worker';
import { callArguments, callsPerTurn, workerSlots, type RunTurn } from './variants.ts';

const echo = defineTool({
  name: 'echo',
  version: '1.0.0',
  description: 'Returns its arguments',
  parameters: Type.Object({
    city: Type.String({ minLength: 2 }),
    unit: Type.Union([Type.Literal('celsius'), Type.Literal('fahrenheit')]),
    days: Type.Integer({ minimum: 1 }),
    detail: Type.Optional(Type.String()),
  }),
  handler: (args) => args,
});

const log = createLogger({ name: 'bench', level: 'error' });

export async function startCallyardWorker(redisUrl: string, prefix: string): Promise<void> {
  await createWorker({ redisUrl, prefix, log, tools: [echo], concurrency: workerSlots });
}

/** A turn of the bench, as the model proposes it. */
export const proposal: AssistantMessage = {
  role: 'assistant',
  content: null,
  tool_calls: Array.from({ length: callsPerTurn }, (_, i) => ({
    id: `call_${i}`,
    type: 'function',
    function: { name: 'echo', arguments: JSON.stringify(callArguments) },
  })),
};
const answer: AssistantMessage = { role: 'assistant', content: 'Done.' };

/** A run of Callyard: the model proposes the turn, its outcomes are gathered, the model answers. */
export async function callyardTurns(redisUrl: string, prefix: string): Promise<RunTurn> {
  const model = scriptedModel(({ turn }: ModelRequest) => (turn === 0 ? proposal : answer), { name: 'bench' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, model });
  await dispatcher.waitForTools(['echo']);
  return async () => {
    const { state, outcomes } = await dispatcher.run({
      messages: [{ role: 'user', content: 'What will the weather be?' }],
      principal: { owner: 'bench', userId: 'bench' },
    });
    if (state !== 'completed' || outcomes.some(({ status }) => status !== 'completed'))
      throw new Error('a turn failed');
  };
}
