import { matchesGlob } from 'node:path';
import { expect, it } from 'vitest';
import { traced } from '../../vitest.config.ts';
import { codeFiles, expectKept, type Check } from './source-files.ts';

const isAlone = (path: string): boolean => traced.some((pattern) => matchesGlob(path, pattern));

it('tests that register a tracer have a process of their own', () => {
  const registers = /\b(keepSpans|traceThisFile|startTelemetry|new NodeSDK)\(/;
  const shares: Check = ({ path, text }) =>
    path.endsWith('.test.ts') && registers.test(text) && !isAlone(path) ? [`shares its process`] : [];
  const text = ['keep', 'Spans();'].join('');
  expect(isAlone('test/flow/trace-runs.test.ts')).toBe(true);
  expectKept(shares, codeFiles, [['test/flow/other.test.ts', text]]);
});
