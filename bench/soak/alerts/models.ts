import { ModelError, scriptedModel } from '@callyard/dispatcher';
import { scripted } from '../../../packages/cli/src/load/scripted.ts';

/** That of the load, and one that never answers. */
export const talking = scripted;

export const refusing = scriptedModel(
  () => {
    throw new ModelError('overloaded', { status: 503 });
  },
  { name: 'refusing' },
);

/** Asks for tools that take a second, so that much can happen meanwhile. */
export const patient = scriptedModel(
  ({ turn }) =>
    turn > 0
      ? { role: 'assistant', content: 'At last.' }
      : {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'slow', arguments: '{"ms":1000}' } }],
        },
  { name: 'patient' },
);
