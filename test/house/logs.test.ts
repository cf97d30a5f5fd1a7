import { describe, expect, it } from 'vitest';
import { logEvents } from '@callyard/shared/log-names';
import { codeFiles, expectKept, type Check } from './source-files.ts';

/** An event as it is written: whole, or begun by what is known of it. */
const written = /\bevent: (?:'([\w.]+)'|`([\w.]+)\$)/g;

const sources = codeFiles.filter(({ path }) => path.startsWith('packages/'));
const eventsIn = (text: string) => [...text.matchAll(written)].map(([, whole, begun]) => whole ?? `${begun}*`);

const known = (event: string): boolean =>
  event.endsWith('*')
    ? Object.keys(logEvents).some((name) => name.startsWith(event.slice(0, -1)))
    : Object.hasOwn(logEvents, event);

describe('the log', () => {
  it('has no event that is not in the table', () => {
    const unknown: Check = ({ text }) => eventsIn(text).filter((event) => !known(event));
    expectKept(unknown, sources, [
      ['packages/worker/src/a.ts', "log.info({ event: 'call.vanished' }, 'gone');"],
      ['packages/worker/src/a.ts', 'log.info({ event: `settle.${kind}` });'],
    ]);
  });

  it('has no event in the table that nothing writes', () => {
    const texts = sources.filter(({ path }) => !path.endsWith('log-names.ts')).map(({ text }) => text);
    const all = texts.join('\n');
    const begun = texts.flatMap(eventsIn).filter((event) => event.endsWith('*'));
    const isWritten = (name: string) =>
      all.includes(`'${name}'`) || begun.some((start) => name.startsWith(start.slice(0, -1)));
    expect(Object.keys(logEvents).filter((name) => !isWritten(name))).toEqual([]);
  });

  it('has an event in every line', () => {
    const nameless: Check = ({ text }) =>
      [...text.matchAll(/\blog(?:\?\.|\.)(?:debug|info|warn|error)\((?:\{(?! ?\.\.\.)(?!\s*event\b)|['"`])/g)].map(
        ([start]) => start,
      );
    expectKept(nameless, sources, [
      ['packages/worker/src/a.ts', "log.warn({ err: error }, 'failed');"],
      ['packages/worker/src/a.ts', "this.#options.log.info('started');"],
    ]);
  });
});
