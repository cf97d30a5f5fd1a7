import { describe, expect, it } from 'vitest';
import type { Message, ModelResponse } from '../../packages/dispatcher/src/model.ts';
import type { RunRecord } from '../../packages/dispatcher/src/run-record.ts';
import { plainOutcome } from './outcome.ts';

const messages: Message[] = [{ role: 'user', content: 'hello' }];

const response = (content: string): ModelResponse => ({
  message: { role: 'assistant', content },
  stop: 'answer',
  usage: { inputTokens: 3, outputTokens: 4 },
});

/** What every run record promises, wherever it keeps things. */
export function runRecordSuite(name: string, create: (messages: readonly Message[]) => Promise<RunRecord>): void {
  describe(`run record: ${name}`, () => {
    it(`${name}: begins with the messages and no turn`, async () => {
      const record = await create(messages);
      expect(await record.load()).toEqual({ messages, turns: [] });
    });

    it(`${name}: the first response of a turn wins`, async () => {
      const record = await create(messages);
      const first = await record.recordResponse(0, response('first'));
      const second = await record.recordResponse(0, response('second'));
      expect([first.message.content, second.message.content]).toEqual(['first', 'first']);
      expect((await record.load()).turns).toHaveLength(1);
    });

    it(`${name}: the first outcomes of a turn win`, async () => {
      const record = await create(messages);
      await record.recordResponse(0, response('ask'));
      await record.recordOutcomes(0, [plainOutcome('a')]);
      await record.recordOutcomes(0, [plainOutcome('b')]);
      expect((await record.load()).turns[0]?.outcomes?.map(({ key }) => key)).toEqual(['a']);
    });

    it(`${name}: refuses outcomes of a turn that has no response`, async () => {
      const record = await create(messages);
      await expect(record.recordOutcomes(0, [plainOutcome('a')])).rejects.toThrow(/turn 0/);
    });

    it(`${name}: the first end wins`, async () => {
      const record = await create(messages);
      await record.finish({ state: 'completed', stop: 'answer' });
      expect(await record.finish({ state: 'cancelled', stop: 'cancelled' })).toEqual({
        state: 'completed',
        stop: 'answer',
      });
      expect((await record.load()).end).toEqual({ state: 'completed', stop: 'answer' });
    });

    it(`${name}: what was loaded does not change under the reader`, async () => {
      const record = await create(messages);
      await record.recordResponse(0, response('ask'));
      const before = await record.load();
      await record.recordOutcomes(0, [plainOutcome('a')]);
      expect(before.turns[0]?.outcomes).toBeUndefined();
    });
  });
}
