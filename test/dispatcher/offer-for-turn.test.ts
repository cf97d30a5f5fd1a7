import { describe, expect, it } from 'vitest';
import type { StateValue } from '@callyard/shared/conversation-state';
import { defineTool, Type } from '@callyard/worker';
import type { LiveTools } from '../../packages/dispatcher/src/live-tools.ts';
import {
  offerForTurn,
  type OfferParts,
  type OfferSituation,
  type TurnOffer,
} from '../../packages/dispatcher/src/offer.ts';

const manifests = ['search', 'book', 'pay'].map(
  (name) =>
    defineTool({ name, version: '1.0.0', description: name, parameters: Type.Object({}), handler: () => 1 }).manifest,
);
const live = {
  latest: () => manifests,
  find: (name: string) => manifests.find((manifest) => manifest.name === name),
} as unknown as LiveTools;

const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };

/** What is offered in turn 2 of conversation `c`, and how often its state was read. */
async function offered(
  options: TurnOffer['options'],
  chooseTools?: OfferParts['chooseTools'],
  where: { state?: StateValue; conversationId?: string | undefined } = {},
) {
  const { state, conversationId } = { state: {}, conversationId: 'c', ...where };
  const reads: string[][] = [];
  const states = {
    read: async (...whose: [string, string]) => (reads.push(whose), { version: 1, value: state }),
  };
  const turn = { options, turn: 2, principal, conversationId };
  const offer = await offerForTurn(turn, { live, states, chooseTools });
  return { names: [...offer.keys()], reads };
}

describe('the tools of a turn', () => {
  it('are chosen by a run that looks at the state of its conversation', async () => {
    const situations: OfferSituation[] = [];
    const tools = ({ name }: { name: string }, situation: OfferSituation) => {
      situations.push(situation);
      return name !== 'pay' || situation.state.step === 'pay';
    };
    expect(await offered({ tools })).toEqual({ names: ['search', 'book'], reads: [['acme', 'c']] });
    expect((await offered({ tools }, undefined, { state: { step: 'pay' } })).names).toEqual(['search', 'book', 'pay']);
    expect(situations.at(-1)).toEqual({ state: { step: 'pay' }, turn: 2, principal, conversationId: 'c' });
  });

  it.each<[string, TurnOffer['options'], string[]]>([
    ['nothing', {}, ['search', 'book']],
    ['names', { tools: ['book', 'pay'] }, ['book']],
    ['a predicate', { tools: ({ name }) => name !== 'search' }, ['book']],
  ])('are chosen by the dispatcher, too, of those a run selects by %s', async (_what, options, names) => {
    const notYet = ({ name }: { name: string }, { state }: OfferSituation) => name !== 'pay' || state.step === 'pay';
    expect((await offered(options, notYet)).names).toEqual(names);
    expect((await offered(options, notYet, { state: { step: 'pay' } })).names).toContain('pay');
  });

  it('read no state where nobody looks at it, or where there is no conversation', async () => {
    expect(await offered({ tools: ['book'] })).toEqual({ names: ['book'], reads: [] });
    expect(await offered({})).toEqual({ names: ['search', 'book', 'pay'], reads: [] });
    const empty = await offered({}, (_tool, { state }) => 'step' in state, { conversationId: undefined });
    expect(empty).toEqual({ names: [], reads: [] });
  });
});
