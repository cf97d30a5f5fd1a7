import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { joinStream } from '../../packages/dispatcher/src/models/chat-stream.ts';

type Part = Record<string, unknown>;

const join = (...choices: Part[]) => {
  const chunks = choices.map((choice) => ({ id: 'r1', model: 'm-1', choices: [choice] }));
  return joinStream(ReadableStream.from(chunks) as unknown as AsyncIterable<OpenAI.Chat.ChatCompletionChunk>);
};
const stop = { finish_reason: 'stop' };
const parts = (...calls: Part[]) => ({ delta: { tool_calls: calls } });
const joinCalls = async (...choices: Part[]) => {
  const { message } = await join(...choices, stop);
  return message.tool_calls?.map(({ id, function: fn }) => [id, fn?.name, fn?.arguments]);
};

describe('the parts of calls', () => {
  it('belong together by index, however they are mixed', async () => {
    const joined = await joinCalls(
      parts(
        { index: 1, id: 'b', function: { name: 'g', arguments: '{' } },
        { index: 0, id: 'a', function: { name: 'f', arguments: '' } },
      ),
      parts({ index: 1, function: { arguments: '"x":1}' } }, { index: 0, function: { name: '', arguments: '{' } }),
      parts({ index: 0, function: { name: null, arguments: '}' } }),
    );
    expect(joined).toEqual([
      ['a', 'f', '{}'],
      ['b', 'g', '{"x":1}'],
    ]);
  });

  it('keep their id and name where every part repeats them, or brings another id', async () => {
    const repeated = { index: 0, id: 'a', type: 'function' };
    expect(
      await joinCalls(
        parts({ ...repeated, function: { name: 'f', arguments: '{"x"' } }),
        parts({ ...repeated, function: { name: 'f', arguments: ':1}' } }),
      ),
    ).toEqual([['a', 'f', '{"x":1}']]);
    expect(
      await joinCalls(
        parts({ index: 0, id: 'a', function: { name: 'f', arguments: '{"x"' } }),
        parts({ index: 0, id: 'b', function: { arguments: ':1}' } }),
      ),
    ).toEqual([['a', 'f', '{"x":1}']]);
  });

  it('are calls of their own where each has the same index but an id and a name', async () => {
    const joined = await joinCalls(
      parts({ index: 0, id: 'a', function: { name: 'f', arguments: '{"x":1}' } }),
      parts({ index: 0, id: 'b', function: { name: 'f', arguments: '{"x":2}' } }),
    );
    expect(joined).toEqual([
      ['a', 'f', '{"x":1}'],
      ['b', 'f', '{"x":2}'],
    ]);
  });

  it('belong together by id where there is no index', async () => {
    const joined = await joinCalls(
      parts({ id: 'a', function: { name: 'f', arguments: '{' } }),
      parts({ id: 'b', function: { name: 'g', arguments: '{' } }),
      parts({ id: 'a', function: { arguments: '}' } }),
      parts({ id: 'b', function: { name: 'g', arguments: '}' } }),
    );
    expect(joined).toEqual([
      ['a', 'f', '{}'],
      ['b', 'g', '{}'],
    ]);
  });

  it('go on with the last call where there is neither index nor id, until a name begins the next', async () => {
    const joined = await joinCalls(
      parts({ function: { name: 'f', arguments: '{"x"' } }),
      parts({ function: { arguments: ':1}' } }),
      parts({ function: { name: 'f', arguments: '{"x":2}' } }, { function: { name: 'g', arguments: '{}' } }),
    );
    expect(joined).toEqual([
      ['', 'f', '{"x":1}'],
      ['', 'f', '{"x":2}'],
      ['', 'g', '{}'],
    ]);
  });

  it('are written out where a server parsed the arguments', async () => {
    expect(await joinCalls(parts({ index: 0, id: 'a', function: { name: 'f', arguments: { x: 1 } } }))).toEqual([
      ['a', 'f', '{"x":1}'],
    ]);
  });

  it('keep what a server wants back with the call', async () => {
    const extra_content = { google: { thought_signature: 'EjQ' } };
    const { message } = await join(
      parts({ index: 0, id: 'a', extra_content, function: { name: 'f', arguments: '{}' } }),
      stop,
    );
    expect(message.tool_calls).toEqual([
      { id: 'a', type: 'function', extra_content, function: { name: 'f', arguments: '{}' } },
    ]);
  });

  it('of a legacy call are joined too', async () => {
    const { message } = await join(
      { delta: { function_call: { name: 'f', arguments: '{"x"' } } },
      { delta: { function_call: { name: '', arguments: ':1}' } } },
      { finish_reason: 'function_call' },
    );
    expect(message.function_call).toEqual({ name: 'f', arguments: '{"x":1}' });
  });
});

describe('a stream', () => {
  it('joins content, refusal and reasoning, each by itself', async () => {
    const { message } = await join(
      { delta: { role: 'assistant', content: '', reasoning_content: 'Think' } },
      { delta: { content: null, reasoning_content: 'ing.' } },
      { delta: { content: 'Rain', refusal: 'No' } },
      { delta: { content: '.', refusal: '.' } },
      stop,
    );
    expect(message).toEqual({ role: 'assistant', content: 'Rain.', reasoning_content: 'Thinking.', refusal: 'No.' });
  });

  it('takes the usage from wherever it stands, the last chunk without a choice too', async () => {
    const usage = { prompt_tokens: 7, completion_tokens: 5 };
    const chunks = [
      { choices: [{ delta: { content: 'a' }, finish_reason: 'stop' }] },
      { choices: [], usage },
      { usage: null },
    ];
    const joined = await joinStream(
      ReadableStream.from(chunks) as unknown as AsyncIterable<OpenAI.Chat.ChatCompletionChunk>,
    );
    expect(joined.usage).toEqual(usage);
  });

  it('that ends without saying why was cut, whatever it holds', async () => {
    const whole = parts({ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } });
    await expect(join(whole)).rejects.toMatchObject({ name: 'CutResponse' });
    await expect(join()).rejects.toMatchObject({ name: 'CutResponse' });
  });
});
