import { defineTool, Type, type PolicyInput, type ToolDefinition } from '@callyard/worker';
import { principal, setup, toolCall } from './setup.ts';

/* A tool whose service fails, what may answer for it, and a yard to ask it in. */

const City = Type.Object({ city: Type.String() });
type City = ToolDefinition<typeof City>;

export const down = () => {
  throw new Error('the service is down');
};

export const weather = (handler: City['handler'], fallback: City['fallback'], policy: PolicyInput = {}) =>
  defineTool({
    name: 'weather',
    version: '1.0.0',
    description: 'Asks a service',
    parameters: City,
    policy: { retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 2 }, ...policy },
    handler,
    ...(fallback && { fallback }),
  });

export const climate = (handler: City['handler'], more: Partial<City> = {}) =>
  defineTool({ name: 'climate', version: '1.0.0', description: 'Guesses', parameters: City, handler, ...more });

export async function yardWith(...tools: Parameters<Awaited<ReturnType<typeof setup>>['worker']>[0]) {
  const yard = await setup();
  const worker = await yard.worker(tools);
  const dispatcher = await yard.dispatcher();
  const ask = async (args: unknown = { city: 'Oslo' }, options: { timeoutMs?: number; signal?: AbortSignal } = {}) => {
    const { outcomes } = await dispatcher.execute([toolCall('weather', args)], { principal, ...options });
    return outcomes[0];
  };
  return { yard, worker, dispatcher, ask };
}
