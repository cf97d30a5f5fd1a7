import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { RunEventBody } from '@callyard/shared/runs/run-event';
import { Screen } from '../../packages/cli/src/chat/screen.ts';

/** What is shown of these events. */
function shown(...events: RunEventBody[]): string {
  let text = '';
  const screen = new Screen({
    write: (more) => void (text += more),
    line: (line) => void (text += `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`),
  });
  for (const [id, event] of events.entries()) screen.show({ ...event, id });
  return stripVTControlCharacters(text);
}

const delta = (text: string): RunEventBody => ({ type: 'model.delta', turn: 0, text });
const started = (): RunEventBody => ({ type: 'model.started', turn: 0 });
const finished = (text: string): RunEventBody => ({ type: 'model.finished', turn: 0, text, calls: [] });
const completed: RunEventBody = { type: 'end', state: 'completed', stop: 'answer' };

describe('the text of an answer', () => {
  it('is shown once, as it comes', () => {
    expect(shown(started(), delta('One '), delta('two.'), finished('One two.'), completed)).toBe('One two.');
  });

  it('is completed where pieces of it were not told', () => {
    expect(shown(delta('One '), finished('One two.'))).toBe('One two.');
    expect(shown(finished('All at once.'))).toBe('All at once.');
  });

  it('is said to be void where the model was asked again, and where another answer was recorded', () => {
    expect(shown(started(), delta('On'), started(), delta('Two'), finished('Two'))).toBe(
      'On\n  (asked again: what it said so far is void)\nTwo',
    );
    expect(shown(started(), delta('One'), finished('Two'))).toBe('One\n  (another answer was recorded)\nTwo');
  });

  it('takes no pieces of a turn that is over', () => {
    expect(shown(started(), finished('One'), delta(' stale'))).toBe('One');
  });
});

describe('a call', () => {
  it('is told of line by line', () => {
    const call = { key: 'r.0.0', tool: 'act' };
    const calls = [{ ...call, id: 'c', arguments: '{"secret":\n"\u001b[2Jx"}' }];
    const lines = shown(
      { type: 'model.finished', turn: 0, text: undefined, calls },
      { type: 'call.waiting', ...call, reason: 'queue' },
      { type: 'call.started', ...call, attempt: 2, worker: 'w1' },
      { type: 'call.progress', ...call, progress: { done: 3, of: 4 } },
      { type: 'call.progress', ...call, progress: 'nearly\u0007' },
      { type: 'call.finished', ...call, status: 'cancelled', code: 'cancelled', durationMs: 12 },
      { type: 'approval.decided', ...call, decision: 'denied', by: 'ben', why: 'no' },
      { type: 'state', state: 'waiting' },
      { type: 'end', state: 'cancelled', stop: 'cancelled' },
    );
    expect(lines.trimEnd().split('\n')).toEqual([
      '  → act {"secret": "[2Jx"}',
      '  … act waits: queue',
      '  ▸ act runs, attempt 2 (w1)',
      '  ▸ act: {"done":3,"of":4}',
      '  ▸ act: nearly',
      '  ✗ act cancelled, 12 ms',
      '  ! act denied by ben: no',
      '  (put away until its calls have ended)',
      'The run is cancelled',
    ]);
  });
});
