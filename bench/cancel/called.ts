import { scriptedModel, type Model } from '@callyard/dispatcher';

export const owner = 'bench';
export const principal = { owner, userId: 'bench' };

/** A model that proposes one call, whose `id` is what it was asked, and then is done. */
export const callsTool = (name: string): Model =>
  scriptedModel(({ turn, messages }) => {
    if (turn > 0) return { role: 'assistant', content: 'Done.' };
    const text = JSON.stringify({ id: messages[0]?.content });
    return {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name, arguments: text } }],
    };
  });
