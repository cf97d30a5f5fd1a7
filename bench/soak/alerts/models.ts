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
