import { defineTool, Type } from '@callyard/worker';

export const countText = defineTool({
  name: 'count_text',
  version: '1.0.0',
  description: 'Counts the words, characters and sentences of a text',
  category: 'text',
  parameters: Type.Object({ text: Type.String({ maxLength: 20_000 }) }, { additionalProperties: false }),
  policy: { effects: 'none' },
  handler: ({ text }) => ({
    words: segments(text, 'word').filter(({ isWordLike }) => isWordLike).length,
    characters: segments(text, 'grapheme').length,
    sentences: segments(text, 'sentence').length,
  }),
});

const segments = (text: string, granularity: 'word' | 'grapheme' | 'sentence') => [
  ...new Intl.Segmenter('en', { granularity }).segment(text),
];
