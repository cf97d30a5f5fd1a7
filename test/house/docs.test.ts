import { expect, it } from 'vitest';
import { staleDocuments } from '../../scripts/docs.ts';

it('the generated reference says what the code says (npm run docs)', () => {
  expect(staleDocuments()).toEqual([]);
});
